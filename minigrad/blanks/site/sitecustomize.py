"""Puts a student's classes in the place of the library's, as the library is imported.

Python imports a module of this name by itself, where its folder is on PYTHONPATH. The environment
variable MINIGRAD_BUILD says what to put where: {"minigrad.layers.linear": [[file, class], ...]}.
Child processes inherit both. This file imports nothing of minigrad: it is there before it.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

HERE = os.path.dirname(os.path.abspath(__file__))
PLACES = json.loads(os.environ.get("MINIGRAD_BUILD") or "{}")
REPLACED: dict[str, tuple[Any, Any]] = {}  # {class's name: (the library's class, the student's)}


class Loader:
    """Loads the library's module, then the student's classes, which take the others' names."""

    def __init__(self, loader: Any):
        self.loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self.loader.exec_module(module)
        for file, name in PLACES[module.__name__]:
            with open(file, "rb") as text:  # bytes: an editor may have put a mark in front
                code = compile(text.read(), file, "exec")
            space: dict[str, Any] = {"__name__": module.__name__, "__file__": file}
            exec(code, space)
            library = getattr(module, name)
            own = checked(space.get(name), library, name, os.path.basename(file))
            REPLACED[name] = library, own
            setattr(module, name, own)

    def __getattr__(self, name: str) -> Any:
        """What else is asked of a loader: its source, its file's name."""
        return getattr(self.loader, name)


def checked(own: Any, library: Any, name: str, file: str) -> Any:
    """The student's class, if it is one of the library's kind."""
    base = library.__mro__[1]
    if not isinstance(own, type):
        raise ImportError(f"{file} has no class {name}")
    if not issubclass(own, base):
        raise ImportError(f"{file}: {name} must begin with class {name}({base.__name__}):")
    return own


class Finder:
    """Finds the modules that have a class of the student's."""

    @staticmethod
    def find_spec(name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name not in PLACES:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None:
            spec.loader = Loader(spec.loader)  # type: ignore[assignment]
        return spec


def another() -> None:
    """Run the sitecustomize that this one hides, if there is one."""
    rest = [place for place in sys.path if os.path.abspath(place or ".") != HERE]
    spec = PathFinder.find_spec("sitecustomize", rest)
    if spec is not None and spec.loader is not None:
        spec.loader.exec_module(importlib.util.module_from_spec(spec))


if PLACES:
    sys.meta_path.insert(0, Finder)
if __name__ == "sitecustomize":
    another()
