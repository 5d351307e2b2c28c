"""What a layer promises besides right numbers, as the checker's rows for broken promises.

forward and backward change nothing that they are given; backward overwrites its gradients; jvp
takes None for what does not move; results are of x's dtype.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from minigrad import backend
from minigrad.backend import Array
from minigrad.gradcheck.function import Function
from minigrad.gradcheck.report import Row, compare_arrays, wrong


def gradients_and_faults(
    f: Function, x: Array, dy: np.ndarray
) -> tuple[dict[str, np.ndarray], list[Row]]:
    """(backward's gradients on the host, rows for the promises that it broke)."""
    held = f.arrays(x) | {"dy": backend.to_device(dy, like=x)}
    before = copies(held)
    f.value(x)
    first = copies(f.backward(held["dy"]))
    faults = [
        wrong(name, f"backward changed {name} itself")
        for name, array in held.items()
        if not same(array, before[name])
    ]
    for name, array in held.items():
        array[...] = backend.to_device(before[name], like=array)
    again = f.backward(held["dy"])
    faults += [
        wrong(name, "a second backward gave another result: overwrite, do not accumulate")
        for name, gradient in first.items()
        if name not in again or not same(again[name], gradient)
    ]
    return first, faults


def none_rows(
    f: Function, x: Array, tangents: Mapping[str, Array], y_dot: np.ndarray
) -> Iterator[Row]:
    """A row if jvp(x_dot, None) + jvp(None, params_dot) is not jvp(x_dot, params_dot)."""
    alone = {"x": tangents["x"]}
    others = {name: tangent for name, tangent in tangents.items() if name != "x"}
    try:
        parts = [backend.to_host(f.tangent(x, moved)) for moved in (alone, others)]
    except (TypeError, ValueError, AttributeError) as error:
        yield wrong("jvp(None)", f"None stands for what does not move; jvp failed with it: {error}")
        return
    row = compare_arrays("jvp(None)", parts[0] + parts[1], y_dot, rtol=1e-9)
    if row.verdict == "WRONG":
        detail = "jvp(x_dot, None) + jvp(None, params_dot) is not jvp(x_dot, params_dot)"
        yield replace(row, detail=detail)


def dtype_rows(f: Function, x: Array, jvp: bool) -> list[Row]:
    """Rows for results that do not keep the layer's own dtype (an outright error is one too)."""
    try:
        results = {} if f.is_loss else {"y": f.output(x)}
        if f.is_loss:
            f.output(x)
        dy = results.get("y", x)
        results |= f.backward(dy)
        if jvp and not f.is_loss:
            results["y_dot"] = f.tangent(x, f.arrays(x))
    except TypeError as error:
        return [wrong("dtype", f"in {x.dtype}: {error}")]
    return [
        wrong("dtype", f"{name} is {array.dtype} for x in {x.dtype}: compute in x's dtype")
        for name, array in results.items()
        if array.dtype != x.dtype
    ]


def copies(arrays: Mapping[str, Array]) -> dict[str, np.ndarray]:
    return {name: backend.to_host(array).copy() for name, array in arrays.items()}


def same(array: Array, copy: np.ndarray) -> bool:
    return np.array_equal(backend.to_host(array), copy, equal_nan=True)
