"""What a data set is made of, as arrays: lists are converted, and what cannot be is an error."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad import backend
from minigrad.backend import Array, array_module


def is_array(value: Any) -> bool:
    """Whether this is an array of NumPy or of CuPy."""
    try:
        array_module(value)
    except TypeError:
        return False
    return True


def as_arrays(**values: Any) -> dict[str, Any]:
    """{name: the value as an array}. Arrays stay as they are, and None stays None.

    What is converted goes to where the arrays are, if there are any among the values.
    """
    like = next((value for value in values.values() if is_array(value)), None)
    arrays = {}
    for name, value in values.items():
        arrays[name] = value = _unmasked(name, value)
        if value is not None and not is_array(value):
            arrays[name] = _converted(name, value)
            if like is not None:
                arrays[name] = backend.to_device(arrays[name], like)
    return arrays


def _unmasked(name: str, value: Any) -> Any:
    """A plain array in place of a masked one, or of NumPy's old matrix. ValueError for values
    that are masked: what lies below the mask would be taken for a number.
    """
    if isinstance(value, np.ma.MaskedArray) and (masked := int(np.ma.count_masked(value))):
        raise ValueError(
            f"{name} is a masked array with {masked} masked value{'s' * (masked > 1)}: leave these "
            f"examples out, or fill them in, {name}.filled(0)"
        )
    plain = isinstance(value, np.ma.MaskedArray | np.matrix)
    return np.asarray(value) if plain else value


def _converted(name: str, value: Any) -> np.ndarray:
    """An array of a list's numbers, float32 or int64; or the array that `__array__` gives."""
    kind = type(value).__name__
    plain = isinstance(value, list | tuple | range)
    if not plain and not hasattr(type(value), "__array__"):
        raise TypeError(
            f"{name} must be an array, or a list of numbers, got {kind}; for an iterator write "
            f"list({name})"
        )
    try:
        array = np.asarray(value)
    except Exception as error:  # a list of rows of unequal length; a tensor on another device
        first = " ".join(str(error).split())
        raise ValueError(f"{name}: NumPy makes no array of this {kind}: {first}") from error
    if plain and array.dtype == "bool":
        raise TypeError(
            f"{name} is a list of True and False: cast with numpy.asarray({name}, 'int64') or "
            f"numpy.asarray({name}, 'float32')"
        )
    if plain and array.dtype == "float64":  # Python's floats
        return array.astype("float32")
    return array.astype("int64") if plain and array.dtype.kind == "i" else array


def check_numbers(name: str, array: Array) -> None:
    """TypeError for an array of text or of Python objects."""
    kind = array.dtype.kind
    first = array.reshape(-1)[0] if kind in "OUS" and array.size else None
    if kind in "US" or isinstance(first, str):
        advice = f"the text as numbers is numpy.asarray({name}, 'float32')"
        if name == "x":
            advice = (
                "number the words, for an Embedding, as the project `words` does "
                f"(minigrad run words). If it is numbers as text: {advice}"
            )
        if name == "y":
            advice = (
                "number the classes, names, y = numpy.unique(y, return_inverse=True), and give "
                f"both, Dataset(x, y, names=names). If it is numbers as text: {advice}"
            )
        raise TypeError(f"{name} is text, as {str(first)!r:.60}. {advice[0].upper()}{advice[1:]}")
    if kind == "O":
        raise TypeError(
            f"{name} has Python objects, as {first!r:.60}, and no numbers; cast with "
            f"numpy.asarray({name}, 'float32')"
        )


def check_finite(name: str, array: Array) -> None:
    """ValueError if a floating-point array has NaN or infinite values."""
    if array.dtype.kind != "f" or np.isfinite(float(array.sum(dtype=np.float64))):
        return  # one NaN or infinity shows in the sum
    finite = backend.to_host(array_module(array).isfinite(array)).reshape(len(array), -1)
    whole = finite.all(axis=1)
    if not whole.all():
        raise ValueError(
            f"{name} has NaN or infinite values in {int((~whole).sum())} of {len(array)} examples, "
            f"first in example {int(np.argmin(whole))}"
        )


def places(which: Any, n: int) -> slice | np.ndarray:
    """The places that `take` is asked for, among n examples: a slice, or an index array.

    CuPy gives no error for an index that is out of range. So they are checked here, on the host.
    """
    if isinstance(which, slice):
        return which
    if isinstance(which, int | np.integer) and not isinstance(which, bool):
        if which < 0:
            raise ValueError(
                f"take(n) gives the first n examples, n >= 0, got {which}; for the last "
                f"{-which} write take(slice({which}, None))"
            )
        if which > n:
            raise ValueError(
                f"cannot take {which} examples of {n}; for all of them, if there are fewer, write "
                f"take(slice({which}))"
            )
        return slice(int(which))
    if isinstance(which, float | np.floating | bool | np.bool_ | None):
        advice = part(which, n, "take")
        raise TypeError(
            f"take needs a number of examples, a slice, indices or a mask, got {which!r}{advice}"
        )
    index = backend.to_host(which) if is_array(which) else np.asarray(which)
    if index.size == 0 and index.ndim == 1 and index.dtype.kind != "b":
        return index.astype(np.int64)
    if index.ndim != 1 or index.dtype.kind not in "iub":
        raise TypeError(
            "take needs a number of examples, a slice, integer indices (K,) or a mask (N,) of True "
            f"and False, got {type(which).__name__} of {index.dtype}, shape {index.shape}"
        )
    if index.dtype.kind == "b":
        if len(index) != n:
            raise ValueError(f"the mask has {len(index)} entries, the data set {n} examples")
        return np.flatnonzero(index)
    wrong = (index >= n) | (index < -n)
    if wrong.any():
        raise ValueError(
            f"{int(wrong.sum())} of {len(index)} indices are out of range, first "
            f"{index[wrong][0]}: {n} examples have the places 0 to {n - 1}"
        )
    return index.astype(np.int64)


def part(fraction: Any, n: int, method: str) -> str:
    """Advice for who gives 0.2 where a number of examples is expected. "" if there is none."""
    if not isinstance(fraction, float | np.floating):
        return ""
    if 0 < fraction < 1 and n > 1:
        number = min(max(round(fraction * n), 1), n - 1)
        return f"; for {fraction:.0%} of the {n} examples write {method}({number})"
    if 1 <= fraction < n and fraction == int(fraction):
        return f"; write {method}({int(fraction)})"
    return ""
