"""Fast methods beside plain ones: a class that changes the plain one does not inherit the fast one.

`Linear.backward_params` is `Linear.backward` without dx, and faster. A class derived from Linear
that changes `backward` must not keep it: its gradients would still be Linear's. Such a class gets
the base's own form in its place, which calls the plain method.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from inspect import isfunction
from typing import Any

Pairs = Mapping[str, tuple[str, ...]]  # {name of the fast method: names of its plain methods}


def prefer_plain(cls: type, base: type, pairs: Pairs) -> None:
    """Give `cls` the base's form of each fast method whose plain methods it changes."""
    for fast, plain in pairs.items():
        if _place(cls, fast) > min(_place(cls, name) for name in plain):
            _fall_back(cls, base, fast, plain)


def set_on_object(item: object, base: type, pairs: Pairs) -> str:
    """The name of a plain method that was set on the object itself, where a fast one of its class
    would be called in its place; "" if there is none."""
    own = vars(item)
    for fast, plain in pairs.items():
        if fast not in own and getattr(type(item), fast) is not vars(base)[fast]:
            for name in plain:
                if name in own:
                    return name
    return ""


def _place(cls: type, name: str) -> int:
    """How far up among the classes that `cls` is derived from the method is written."""
    return next(i for i, above in enumerate(cls.__mro__) if name in vars(above))


def _fall_back(cls: type, base: type, fast: str, plain: tuple[str, ...]) -> None:
    """Put the base's form of `fast` into `cls`, unless that is what it inherits anyway.

    The plain method may itself call the fast one of the class that both come from:

        def backward(self, dy):
            self.backward_params(dy)
            return dy @ self.params["W"].T

    Called from there, the inherited fast method does its work as before. Else the two would call
    each other without end.
    """
    written = (vars(above)[fast] for above in cls.__mro__ if fast in vars(above))
    inherited = next(method for method in written if not hasattr(method, "stands_in"))
    form = vars(base)[fast]
    if inherited is form:
        return

    @wraps(form)
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        inside = fast in vars(self).get("_inside", ())
        return (inherited if inside else form)(self, *args, **kwargs)

    vars(method)["stands_in"] = True
    setattr(cls, fast, method)
    for name in plain:
        if isfunction(getattr(cls, name)):
            setattr(cls, name, _noted(getattr(cls, name), fast))


def _noted(plain: Callable[..., Any], fast: str) -> Callable[..., Any]:
    """The plain method; while it runs, the object says so in `_inside`."""

    @wraps(plain)
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        before = vars(self).get("_inside", frozenset())
        vars(self)["_inside"] = before | {fast}
        try:
            return plain(self, *args, **kwargs)
        finally:
            vars(self)["_inside"] = before

    return method
