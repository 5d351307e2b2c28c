"""Plain data with arrays in it, taken apart into text (JSON) and arrays, and put together again."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from minigrad.history import NOT_FINITE

ARRAY = "__array__"
FLOAT = "__float__"


def pack(value: Any, name: str, arrays: dict[str, np.ndarray]) -> Any:
    """`value` for JSON. Each array in it goes into `arrays` under a name that begins with `name`.

    value   None, True, False, numbers, text, arrays, and lists and dicts of these. Dicts have text
            as keys. A NumPy number is an array without axes
    In the result {"__array__": name} stands for an array, and {"__float__": "nan"} for a number
    that is not finite, since JSON has no word for it. `unpack` gives the value back.
    TypeError, with the place's name, for anything else.
    """
    if value is None or isinstance(value, bool | str) or type(value) is int:
        return value
    if isinstance(value, np.ndarray | np.generic):
        arrays[name] = np.asarray(value)
        return {ARRAY: name}
    if type(value) is float:
        return value if math.isfinite(value) else {FLOAT: str(value)}
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str) or key in (ARRAY, FLOAT):
                raise TypeError(f"{name}: the keys of a dict that is saved are text, got {key!r}")
        return {key: pack(item, f"{name}/{key}", arrays) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [pack(item, f"{name}/{i}", arrays) for i, item in enumerate(value)]
    raise TypeError(
        f"{name} is a {type(value).__name__}, and cannot be saved. What is saved are numbers, "
        "text, arrays, and lists and dicts of these"
    )


def unpack(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    """The value that `pack` was given. It takes the arrays out of `arrays`.

    ValueError if an array is missing, or named twice.
    """
    if isinstance(value, list):
        return [unpack(item, arrays) for item in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {ARRAY}:
        name = value[ARRAY]
        if not isinstance(name, str) or name not in arrays:
            raise ValueError(f"the array {name!r} is missing, or it is named twice")
        return arrays.pop(name)
    if value.keys() == {FLOAT}:
        text = value[FLOAT]
        if not isinstance(text, str) or text not in NOT_FINITE:
            raise ValueError(f"{text!r} is no number")
        return float(text)
    return {key: unpack(item, arrays) for key, item in value.items()}
