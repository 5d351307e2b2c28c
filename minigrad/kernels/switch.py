"""The switch between fast kernels and their plain forms.

    from minigrad import kernels
    kernels.use("plain")            # from here on every kernel runs its plain form
    with kernels.use("plain"):      # or for a while
        ...

A kernel is written twice in one file, and called by one name:

    @kernel
    def square(x):                  # the fast form, which runs unless asked otherwise
        ...

    @square.plain
    def square_plain(x):            # what it computes, in the fewest words
        return x * x
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Generic, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

FORMS = ("fast", "plain")
KERNELS: dict[str, Kernel[Any, Any]] = {}  # all of them, by module and name

_plain = False


def use(form: str) -> _Switch:
    """Run "fast" kernels or their "plain" forms from here on; as a context manager, for a while.

    The switch is one for the whole process. Raises ValueError for another word.
    """
    global _plain
    if form not in FORMS:
        raise ValueError(f'kernels are "fast" or "plain", got {form!r}')
    previous, _plain = _plain, form == "plain"
    return _Switch(previous)


def form() -> str:
    """The form in use, "fast" or "plain"."""
    return "plain" if _plain else "fast"


class _Switch:
    """What `use` returns: leaving its `with` block restores the form from before."""

    def __init__(self, previous: bool):
        self._previous = previous

    def __enter__(self) -> str:
        return form()

    def __exit__(self, *exception: object) -> None:
        global _plain
        _plain = self._previous


class Kernel(Generic[P, R]):
    """A function in two forms with one name; `kernels.use` says which of them a call runs."""

    def __init__(self, fast: Callable[P, R]):
        self.fast = fast
        self._plain: Callable[P, R] | None = None
        functools.update_wrapper(self, fast)
        KERNELS[f"{fast.__module__}.{fast.__name__}"] = self

    def plain(self, function: Callable[P, R]) -> Callable[P, R]:
        """Decorator: this function is the kernel's plain form."""
        self._plain = function
        return function

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        if _plain and self._plain is not None:
            return self._plain(*args, **kwargs)
        return self.fast(*args, **kwargs)


kernel = Kernel
