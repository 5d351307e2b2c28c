"""The switch between fast kernels and their plain forms.

    from minigrad import kernels
    kernels.use("plain")            # from here on every kernel runs its plain form
    with kernels.use("plain"):      # or for a while
        ...

A kernel is written twice in one file, and called by one name:

    @kernel
    def square(x):                  # the fast form: it runs unless asked otherwise
        ...

    @square.plain
    def square_plain(x):            # what it computes, in the fewest words
        return x * x

Both forms take the same arguments and return the same numbers, up to rounding.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

FORMS = ("fast", "plain")
KERNELS: dict[str, Kernel[Any, Any]] = {}  # all of them, by module and name

_form = "fast"


def use(form: str) -> _Switch:
    """Run "fast" kernels or their "plain" forms from here on; as a context manager, for a while.

    The switch is one for the whole process. Call `forward` again after it: what one form keeps for
    the backward pass is not always what the other needs. Raises ValueError for another word.
    """
    if form not in FORMS:
        raise ValueError(f'kernels are "fast" or "plain", got {form!r}')
    previous = _form
    _turn(form)
    return _Switch(previous)


def form() -> str:
    """The form in use, "fast" or "plain"."""
    return _form


def _turn(form: str) -> None:
    global _form
    _form = form
    for each in KERNELS.values():
        each.turn(form)


class _Switch:
    """What `use` returns: leaving its `with` block restores the form from before."""

    def __init__(self, previous: str):
        self._previous = previous

    def __enter__(self) -> str:
        return form()

    def __exit__(self, *exception: object) -> None:
        _turn(self._previous)


class Kernel(functools.partial, Generic[P, R]):
    """A function in two forms with one name; `kernels.use` says which of them a call runs.

    A call costs 0.04 µs more than a call of the form itself: Python runs a `partial` in C, and
    `turn` changes what this one calls. A method that looks up the form would cost 0.14 µs, several
    per cent of a small network's step.
    """

    fast: Callable[P, R]
    forms: dict[str, Callable[P, R]]

    def __new__(cls, fast: Callable[P, R]) -> Kernel[P, R]:
        self = super().__new__(cls, fast)
        functools.update_wrapper(self, fast)
        self.fast = fast
        self.forms = {"fast": fast}
        KERNELS[f"{fast.__module__}.{fast.__name__}"] = self
        return self

    def plain(self, function: Callable[P, R]) -> Callable[P, R]:
        """Decorator: this function is the kernel's plain form."""
        self.forms["plain"] = function
        self.turn(_form)
        return function

    def turn(self, form: str) -> None:
        """From here on a call runs this form; the fast one where there is no other."""
        self.__setstate__((self.forms.get(form, self.fast), (), {}, self.__dict__))

    def __repr__(self) -> str:
        return f"<kernel {self.fast.__module__}.{self.fast.__qualname__}>"

    def __reduce__(self) -> str:
        """Copies and pickles are by name: a kernel is one of a kind, as a function is."""
        return self.fast.__qualname__

    if TYPE_CHECKING:

        def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R: ...
        def __setstate__(self, state: tuple[Any, ...]) -> None: ...


kernel = Kernel
