"""Who wrote a function, class or module: the user, or Python and the installed packages."""

from __future__ import annotations

import functools
import os
import sys
import sysconfig
import types
from typing import Any


def installed(value: Any) -> bool:
    """Whether a module, class or function belongs to Python or to an installed package."""
    is_module = isinstance(value, types.ModuleType)
    name = value.__name__ if is_module else getattr(value, "__module__", None)
    if not isinstance(name, str):
        return not isinstance(value, types.FunctionType)
    top = name.split(".")[0]
    if top in ("__main__", "__mp_main__"):
        return False
    if top in sys.stdlib_module_names or top == "minigrad":
        return True
    file = getattr(sys.modules.get(name), "__file__", None)
    return file is not None and os.path.realpath(file).startswith(_folders())


def title(value: Any) -> str:
    """The name under which something can be imported, or "" for what has none."""
    try:
        names = value.__module__, getattr(value, "__qualname__", None) or value.__name__
    except Exception:
        return ""
    return ".".join(names) if all(isinstance(name, str) for name in names) else ""


@functools.lru_cache(maxsize=1)
def _folders() -> tuple[str, ...]:
    """Where Python and the installed packages lie."""
    paths = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    return tuple(os.path.join(os.path.realpath(path), "") for path in paths if path)
