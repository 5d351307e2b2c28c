"""What a layer promises besides right numbers. A broken promise is a row of the report.

forward, backward and jvp change nothing that they are given. backward overwrites its gradients, one
for each parameter. jvp takes None for what does not move. Results have x's dtype.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from minigrad import backend
from minigrad.backend import Array
from minigrad.gradcheck.findings import copies, same
from minigrad.gradcheck.function import Function, gradient_of
from minigrad.gradcheck.report import Row, compare_arrays, wrong


def gradients_and_faults(
    f: Function, x: Array, dy: np.ndarray
) -> tuple[dict[str, np.ndarray], list[Row]]:
    """(backward's gradients on the host, rows for the promises that it broke)."""
    held = f.arrays(x) | {"dy": backend.to_device(dy.copy(), like=x)}
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
    known = {gradient_of(name) for name in f.arrays(x)}
    faults += [
        wrong(name, f"backward wrote a gradient for {name[1:]!r}, which is no parameter")
        for name in first
        if name not in known
    ]
    return first, faults


def jvp_faults(f: Function, x: Array, tangents: Mapping[str, Array]) -> Iterator[Row]:
    """Rows for arguments that jvp changed, and for a y_dot that differs in a second call."""
    f.output(x)
    held = f.arrays(x) | {f"{name}_dot": array for name, array in tangents.items()}
    before = copies(held)
    y_dot = backend.to_host(f.jvp(tangents)).copy()
    for name, array in held.items():
        if not same(array, before[name]):
            yield wrong(name, f"jvp changed {name} itself: compute a new array")
            array[...] = backend.to_device(before[name], like=array)
    if not same(f.jvp(tangents), y_dot):
        yield wrong("y_dot", "a second jvp gave another result: it must not change the cache")


def none_rows(
    f: Function, x: Array, tangents: Mapping[str, Array], y_dot: np.ndarray
) -> Iterator[Row]:
    """A row if jvp(x_dot, None) + jvp(None, params_dot) is not jvp(x_dot, params_dot)."""
    alone = {"x": tangents["x"]}
    others = {name: tangent for name, tangent in tangents.items() if name != "x"}
    try:
        parts = [backend.to_host(f.tangent(x, moved)).copy() for moved in (alone, others)]
    except (TypeError, ValueError, AttributeError) as error:
        yield wrong("jvp(None)", f"None stands for what does not move; jvp failed with it: {error}")
        return
    row = compare_arrays("jvp(None)", parts[0] + parts[1], y_dot, rtol=1e-9)
    if row.verdict == "WRONG":
        size = float(np.abs(parts[0]).max(initial=0.0) + np.abs(parts[1]).max(initial=0.0))
        if row.max_abs > 1e-9 * size:  # less is rounding, of large parts that cancel
            detail = "jvp(x_dot, None) + jvp(None, params_dot) is not jvp(x_dot, params_dot)"
            yield replace(row, detail=detail)


def dtype_rows(f: Function, x: Array, jvp: bool) -> list[Row]:
    """Rows for results that do not keep the layer's own dtype. A TypeError is a row, too."""
    try:
        with np.errstate(all="ignore"):
            found = {} if f.is_loss else {"y": f.output(x)}
            if f.is_loss:
                f.output(x)
            found |= f.backward(found.get("y", x))
            if jvp and not f.is_loss:
                found["y_dot"] = f.tangent(x, f.arrays(x))
    except TypeError as error:
        return [wrong("dtype", f"in {x.dtype}: {error}")]
    return [
        wrong("dtype", f"{name} is {array.dtype} for x in {x.dtype}: compute in x's dtype")
        for name, array in found.items()
        if array.dtype != x.dtype
    ]
