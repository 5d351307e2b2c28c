"""Old names of arguments, attributes and classes of rules. They work, and warn."""

from __future__ import annotations

import warnings
from typing import Any


def renamed(owner: str, old: str, new: str, old_value: Any, new_value: Any) -> Any:
    """The value of an argument that was given by its new name or by its old one."""
    if old_value is None:
        return new_value
    if new_value is not None:
        raise TypeError(f"{owner}: {old} is the old name of {new}; give {new} alone")
    warnings.warn(
        f"{owner}({old}=...) is called {owner}({new}=...) now", DeprecationWarning, stacklevel=3
    )
    return old_value


def old_attribute(old: str, new: str) -> Any:
    """A property that reads the attribute `new` and warns."""

    def read(self: Any) -> Any:
        warnings.warn(
            f"{type(self).__name__}.{old} is called {new} now", DeprecationWarning, stacklevel=2
        )
        return getattr(self, new)

    return property(read, doc=f"The old name of `{new}`.")


def old_name(module: str, name: str, old: dict[str, Any]) -> Any:
    """What a module's `__getattr__` returns for a name that has changed."""
    if name not in old:
        raise AttributeError(f"module {module!r} has no attribute {name!r}")
    warnings.warn(
        f"{module}.{name} is called {old[name].__name__} now", DeprecationWarning, stacklevel=3
    )
    return old[name]
