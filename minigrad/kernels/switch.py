"""The switch between fast kernels and their plain forms.

    from minigrad import kernels
    kernels.use("plain")            # from here on every kernel runs its plain form
    with kernels.use("plain"):      # only within this block
        ...

Each kernel is written in two forms in one file. Both have one name for the caller:

    @kernel
    def square(x):                  # the fast form: it runs unless `use` says otherwise
        ...

    @square.plain
    def square_plain(x):            # the plain form: short and easy to read
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
KERNELS: dict[str, Kernel[Any, Any]] = {}  # {"module.name": kernel}

_form = "fast"


def use(form: str) -> _Switch:
    """Run the "fast" or the "plain" forms of all kernels, from here on or in a `with` block.

    It acts on the whole process. Call `forward` again after it: the two forms may keep different
    arrays for `backward`. Raises ValueError for any other form.
    """
    if form not in FORMS:
        raise ValueError(f'form must be "fast" or "plain", got {form!r}')
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
    """What `use` returns. The end of its `with` block restores the earlier form."""

    def __init__(self, previous: str):
        self._previous = previous

    def __enter__(self) -> str:
        return form()

    def __exit__(self, *exception: object) -> None:
        _turn(self._previous)


class Kernel(functools.partial, Generic[P, R]):
    """One name for a function in two forms. `kernels.use` decides which form a call runs.

    A kernel is a `partial`, and `turn` changes the function that it calls. Python runs a `partial`
    in C. A call costs 0.04 µs more than a direct call. A method that looks up the form would cost
    0.14 µs more. That is several per cent of a step of a small network.
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
        """From here on a call runs this form. A kernel without a plain form runs the fast one."""
        self.__setstate__((self.forms.get(form, self.fast), (), {}, self.__dict__))

    def __repr__(self) -> str:
        return f"<kernel {self.fast.__module__}.{self.fast.__qualname__}>"

    def __reduce__(self) -> str:
        """A copy or an unpickled kernel is the same object, found by its name, as for functions."""
        return self.fast.__qualname__

    if TYPE_CHECKING:

        def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R: ...
        def __setstate__(self, state: tuple[Any, ...]) -> None: ...


kernel = Kernel
