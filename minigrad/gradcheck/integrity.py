"""Whether the library is what it was before a student's file ran."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import FunctionType
from typing import Any

WATCHED = ("minigrad", "numpy")


class Snapshot:
    """The library's functions and classes now. `changed` names those replaced since."""

    def __init__(self) -> None:
        self.known = {name: (item, _code(item)) for name, item in _items()}

    def changed(self) -> list[str]:
        """The names that stand for another function, or for one with other code."""
        now = dict(_items())
        return [
            name
            for name, (item, code) in self.known.items()
            if now.get(name) is not item or _code(item) is not code
        ]


def _items() -> Iterator[tuple[str, Any]]:
    """Every function and class of the library's modules by name, and every class's functions."""
    for module_name, module in list(sys.modules.items()):
        library = module_name.partition(".")[0]
        if library not in WATCHED or (library == "numpy" and module_name != "numpy"):
            continue
        for name, item in list(vars(module).items()):
            if isinstance(item, FunctionType | type):
                yield f"{module_name}.{name}", item
            if isinstance(item, type) and library == "minigrad":
                for method, function in list(vars(item).items()):
                    if isinstance(function, FunctionType | property | staticmethod | classmethod):
                        yield f"{module_name}.{name}.{method}", function


def _code(item: Any) -> Any:
    return getattr(item, "__code__", None)
