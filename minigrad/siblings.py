"""Fast methods and plain methods. A class that changes the plain one must not inherit the fast one.

`Linear.backward_params` computes the gradients of `Linear.backward`. It is faster, because it does
not compute dx. Suppose a class is derived from Linear and changes `backward`. With Linear's
`backward_params` it would get Linear's gradients, not its own. The class gets
`Layer.backward_params` instead, which calls `backward`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from inspect import isfunction
from typing import Any

Method = Callable[..., Any]
Pairs = Mapping[str, tuple[str, ...]]  # {name of the fast method: names of its plain methods}


def prefer_plain(cls: type, base: type, pairs: Pairs) -> None:
    """If `cls` changes a plain method, give it the base's form of the fast one."""
    for fast, plain in pairs.items():
        if _place(cls, fast) > min(_place(cls, name) for name in plain):
            _fall_back(cls, base, fast, plain)


def prefer_own(item: object, name: str, value: Any, base: type, pairs: Pairs) -> Any:
    """The same for one object: layer.backward = value. Returns the method to set."""
    for fast, plain in pairs.items():
        if name in plain and getattr(type(item), fast) is not vars(base)[fast]:
            vars(item).setdefault(fast, OwnFast(item, base, fast))
            value = OwnPlain(item, value, fast)
    return value


class OwnPlain:
    """A plain method set on one object. While it runs, the object says so in `_inside`."""

    def __init__(self, item: Any, method: Method, fast: str):
        self.item = item
        self.method = method
        self.fast = fast

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        call = _noted(lambda _, *args, **kwargs: self.method(*args, **kwargs), self.fast)
        return call(self.item, *args, **kwargs)


class OwnFast:
    """The fast method of such an object: the base's form, which calls the plain method."""

    def __init__(self, item: Any, base: type, fast: str):
        self.item = item
        self.base = base
        self.fast = fast

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        inherited = getattr(type(self.item), self.fast)
        call = _choice(vars(self.base)[self.fast], inherited, self.fast)
        return call(self.item, *args, **kwargs)


def _place(cls: type, name: str) -> int:
    """The position in `cls.__mro__` of the first class that defines the method."""
    return next(i for i, above in enumerate(cls.__mro__) if name in vars(above))


def _fall_back(cls: type, base: type, fast: str, plain: tuple[str, ...]) -> None:
    """Put the base's form of `fast` into `cls`, unless `cls` inherits it anyway.

    The plain method of `cls` may itself call the fast method:

        def backward(self, dy):
            self.backward_params(dy)
            return dy @ self.params["W"].T

    There it must get the inherited fast method. With the base's form the two methods would call
    each other without end.
    """
    form = vars(base)[fast]
    written = (vars(above)[fast] for above in cls.__mro__ if fast in vars(above))
    if next(method for method in written if not hasattr(method, "stands_in")) is form:
        return
    method = _choice(form, _next_above(cls, fast), fast)
    vars(method)["stands_in"] = True
    setattr(cls, fast, method)
    for name in plain:
        own = vars(cls).get(name)
        if own is None or isfunction(own):
            setattr(cls, name, _noted(own or _next_above(cls, name), fast))


def _next_above(cls: type, name: str) -> Method:
    """The method that super() finds. It depends on the object's class, not only on `cls`."""

    @wraps(getattr(cls, name))
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return getattr(super(cls, self), name)(*args, **kwargs)

    return method


def _choice(form: Method, inherited: Method, fast: str) -> Method:
    """The base's form of a fast method. Within the plain method it is the inherited form."""

    @wraps(form)
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        inside = fast in vars(self).get("_inside", ())
        return (inherited if inside else form)(self, *args, **kwargs)

    return method


def _noted(plain: Method, fast: str) -> Method:
    """The plain method. While it runs, the object's `_inside` contains `fast`."""

    @wraps(plain)
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        before = vars(self).get("_inside", frozenset())
        vars(self)["_inside"] = before | {fast}
        try:
            return plain(self, *args, **kwargs)
        finally:
            vars(self)["_inside"] = before

    return method
