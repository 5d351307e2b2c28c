"""Checks of arguments. Each returns the value, or raises an error that says what was expected."""

from __future__ import annotations

import numbers
import warnings
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, TypeVar, cast

import numpy as np

F = TypeVar("F", bound=Callable[..., Any])

FLOATS = (np.dtype("float32"), np.dtype("float64"))


def float_dtype(dtype: Any) -> np.dtype:
    """`dtype` as a NumPy dtype. TypeError unless it is float32 or float64."""
    result = np.dtype(dtype)
    if result not in FLOATS:
        raise TypeError(f"dtype must be float32 or float64, got {result}")
    return result


def positive_int(name: str, value: Any, least: int = 1) -> int:
    """`value` as an int. ValueError unless it is an integer of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise ValueError(f"{name} must be an integer of at least {least}, got {value!r}")
    return int(value)


def not_negative(name: str, value: Any) -> float:
    """`value` as a float. TypeError if it is not a number, ValueError unless 0 <= value < ∞."""
    number = isinstance(value, numbers.Real) or getattr(value, "shape", None) == ()
    kind = getattr(getattr(value, "dtype", None), "kind", "f")
    if not number or isinstance(value, bool) or kind not in "fiu":
        raise TypeError(
            f"{name} must be a number >= 0, got {value!r:.60}, a {type(value).__name__}"
        )
    if not 0 <= value < float("inf"):
        raise ValueError(f"{name} must be a number >= 0, got {value!r:.60}")
    return float(value)


def number(name: str, value: Any) -> int | float:
    """A number from a saved state as Python's own; it may be an array without axes.

    TypeError for anything else.
    """
    plain = value.item() if getattr(value, "shape", None) == () else value
    if isinstance(plain, bool) or not isinstance(plain, numbers.Real):
        raise TypeError(f"{name} must be a number, got {value!r:.60}, a {type(value).__name__}")
    return int(plain) if isinstance(plain, numbers.Integral) else float(plain)


def finite(name: str, value: Any) -> float:
    """`value` as a float. TypeError if it is not a number, ValueError if it is NaN or infinite."""
    plain = float(number(name, value))
    if not abs(plain) < float("inf"):
        raise ValueError(f"{name} must be a finite number, got {value!r}")
    return plain


def positive(name: str, value: Any) -> float:
    """`value` as a float. TypeError if it is not a number, ValueError unless 0 < value < ∞."""
    plain = float(number(name, value))
    if not 0 < plain < float("inf"):
        raise ValueError(f"{name} must be a number > 0, got {value!r}")
    return plain


def count(name: str, value: Any) -> int:
    """A count from a saved state as an int. Like `number`; and it is whole, 0 <= count < 2^63.

    (`positive_int` checks arguments: it takes no array, and always raises ValueError.)
    """
    plain = number(name, value)
    if not isinstance(plain, int):
        raise TypeError(f"{name} must be a whole number >= 0, got {value!r:.60}")
    if not 0 <= plain < 2**63:
        raise ValueError(f"{name} must be a whole number from 0 to 2^63 - 1, got {value!r:.60}")
    return plain


def check_state(owner: str, state: Any) -> None:
    """TypeError unless a saved state is a dict, as `state_dict()` gives it."""
    if not isinstance(state, Mapping):
        raise TypeError(f"{owner}: a state is a dict from state_dict(), got {state!r:.60}")


def pair(name: str, value: Any, least: int = 1) -> tuple[int, int]:
    """(rows, columns) from one integer or from two."""
    values = value if isinstance(value, tuple | list) else (value, value)
    if len(values) != 2:
        raise ValueError(f"{name} must be an integer or two of them, got {value!r}")
    return positive_int(name, values[0], least), positive_int(name, values[1], least)


def not_over_half(name: str, value: Any, size: tuple[int, int]) -> tuple[int, int]:
    """(rows, columns) from integers >= 0. ValueError if one is more than half of `size`."""
    values = pair(name, value, least=0)
    if any(2 * one > whole for one, whole in zip(values, size, strict=True)):
        raise ValueError(f"{name} must be at most half of kernel_size {size}, got {value!r}")
    return values


def axis(name: str, value: Any, dtype: Any = None) -> tuple[int | None, Any]:
    """(the number of an axis, or None; the dtype). TypeError unless it is an integer or None.

    These layers had `dtype` as their first argument. So a dtype is still taken there.
    """
    if value is None or (isinstance(value, int | np.integer) and not isinstance(value, bool)):
        return None if value is None else int(value), dtype
    try:
        return None, float_dtype(value)
    except TypeError:
        raise TypeError(f"{name} must be the number of an axis, got {value!r}") from None


def renamed(**names: str) -> Callable[[F], F]:
    """A decorator: the function also accepts old names of arguments. @renamed(old="new").

    `names` is {old name: new name}. A call with an old name gives a DeprecationWarning. A call
    with both names raises TypeError.
    """

    def decorate(function: F) -> F:
        @wraps(function)
        def called(*args: Any, **options: Any) -> Any:
            for old in [name for name in options if name in names]:
                new = names[old]
                if new in options:
                    raise TypeError(f"{old}= is the old name of {new}=: give {new}= alone")
                warnings.warn(
                    f"{old}= is now called {new}=: write {new}={options[old]!r:.50}",
                    DeprecationWarning,
                    stacklevel=2,
                )
                options[new] = options.pop(old)
            return function(*args, **options)

        return cast(F, called)

    return decorate
