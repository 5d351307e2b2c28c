"""Checks of arguments, at the borders: each returns the value or says what was expected."""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np

FLOATS = (np.dtype("float32"), np.dtype("float64"))


def float_dtype(dtype: Any) -> np.dtype:
    """`dtype` as a NumPy dtype; only float32 and float64 will do."""
    result = np.dtype(dtype)
    if result not in FLOATS:
        raise TypeError(f"dtype must be float32 or float64, got {result}")
    return result


def positive_int(name: str, value: Any, least: int = 1) -> int:
    """`value` as an int of at least `least`, or a ValueError that names the argument."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise ValueError(f"{name} must be an integer of at least {least}, got {value!r}")
    return int(value)


def not_negative(name: str, value: Any) -> float:
    """`value` as a float; a TypeError if it is no number, a ValueError unless 0 <= value < ∞."""
    number = isinstance(value, numbers.Real) or getattr(value, "shape", None) == ()
    if not number or isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be a number >= 0, got {value!r}, a {type(value).__name__}")
    if not 0 <= value < float("inf"):
        raise ValueError(f"{name} must be a number >= 0, got {value!r}")
    return float(value)


def pair(name: str, value: Any, least: int = 1) -> tuple[int, int]:
    """(rows, columns) from one integer or two."""
    values = value if isinstance(value, tuple | list) else (value, value)
    if len(values) != 2:
        raise ValueError(f"{name} must be an integer or two of them, got {value!r}")
    return positive_int(name, values[0], least), positive_int(name, values[1], least)
