"""The main table: each gradient, the jvp, and the identity that binds them, at one point."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from minigrad import backend
from minigrad.backend import Array
from minigrad.gradcheck.compared import decisions, row_of
from minigrad.gradcheck.contract import gradients_and_faults, jvp_faults, none_rows
from minigrad.gradcheck.differences import DirectionDifference, EntryDifference
from minigrad.gradcheck.findings import copies, on_device, same
from minigrad.gradcheck.function import Function, gradient_of
from minigrad.gradcheck.numerical import EPS
from minigrad.gradcheck.report import Row, missing, wrong

Arrays = Mapping[str, np.ndarray]


def rows_at(
    f: Function, x: Array, rng: np.random.Generator, rtol: float, entries: int, jvp: bool
) -> Iterator[Row]:
    """The rows for dx, each parameter's gradient, y_dot and <dy, y_dot>, at x."""
    arrays = f.arrays(x)
    before = copies(arrays)
    y = f.value(x)
    changed = [name for name in arrays if not same(arrays[name], before[name])]
    for name in changed:
        yield wrong(name, f"forward changed {name} itself: compute a new array")
    if changed:
        return
    if not same(f.value(x), y):
        raise ValueError(
            f"{f.name}: forward gave two results for the same x; let its random choices start "
            "anew in reseed(seed)"
        )
    dy = np.ones(y.shape) if f.is_loss else rng.standard_normal(y.shape)
    try:
        gradients, faults = gradients_and_faults(f, x, dy)
    except NotImplementedError as error:
        yield missing("dx", str(error))
        return
    yield from faults
    for name, array in arrays.items():
        label = gradient_of(name)
        gradient = gradients.get(label)
        if gradient is None:
            words = "backward wrote no such gradient"
            if len(gradients) == 1:
                words += "; an array that is not to be learned belongs into buffers, not params"
            yield missing(label, words)
        elif gradient.shape != array.shape:
            yield wrong(label, f"shape {gradient.shape} instead of {array.shape}")
        else:
            yield gradient_row(f, x, y, dy, array, label, gradient, rng, rtol, entries)
    if jvp:
        yield from jvp_rows(f, x, y, dy, gradients, tangents_for(arrays, rng), rtol)


def tangents_for(arrays: Mapping[str, Array], rng: np.random.Generator) -> dict[str, np.ndarray]:
    """A random tangent for each array. Entries larger than 1 get larger tangents.

    Its numbers have 8 binary digits: then x + h·tangent is exact for an h that is a power of two.
    """
    result = {}
    for name, array in arrays.items():
        _, exponent = np.frexp(np.maximum(1.0, np.abs(backend.to_host(array))))
        digits, scale = np.frexp(rng.standard_normal(array.shape))
        result[name] = np.ldexp(np.round(digits * 256) / 256, scale + exponent - 1)
    return result


def gradient_row(
    f: Function,
    x: Array,
    y: np.ndarray,
    dy: np.ndarray,
    array: Array,
    name: str,
    gradient: np.ndarray,
    rng: np.random.Generator,
    rtol: float,
    entries: int,
) -> Row:
    """One array's gradient against difference quotients: entry by entry, then all together."""
    flat = gradient.reshape(-1)
    sampled = flat.size > entries
    chosen = np.sort(rng.choice(flat.size, entries, False)) if sampled else np.arange(flat.size)
    difference = EntryDifference(f, x, y, dy, array)
    found = decisions(
        flat[chosen],
        lambda h, i: difference.quotient(h, int(chosen[i])),
        lambda i: difference.ladder(int(chosen[i])),
        rtol,
        absorbed=lambda h, i: difference.absorbed(h, int(chosen[i])),
    )
    row = row_of(name, flat[chosen], found, chosen, gradient.shape)
    if not sampled or row.verdict != "ok":
        return row
    # All entries at once, along v: <gradient, v>. It shows that an entry is wrong, but not which.
    for _ in range(3):
        v = tangents_for({"v": array}, rng)["v"]
        state, error, relative = along(f, x, y, dy, [(array, v, gradient)], rtol)
        if state == "ok":
            return row
        if state == "wrong":
            detail = f"right at the {entries} entries tried, wrong along a random direction"
            return Row(name, error, relative, "WRONG", detail)
    detail = f"only {entries} of {flat.size} entries could be checked: kinks; choose another x"
    return replace(row, verdict="VOID", detail=detail)


def along(
    f: Function,
    x: Array,
    y: np.ndarray,
    dy: np.ndarray,
    moves: list[tuple[Array, np.ndarray, np.ndarray]],
    rtol: float,
) -> tuple[str, float, float]:
    """(state, error, relative error) of Σ <gradient, v> for moves (array, v, gradient)."""
    with np.errstate(all="ignore"):
        mine = float(sum((gradient * v).sum() for _, v, gradient in moves))
        # the usual size of such a sum, if its terms do not cancel: errors are relative to it
        spread = float(np.sqrt(sum(((gradient * v) ** 2).sum() for _, v, gradient in moves)))
    difference = DirectionDifference(f, x, y, [(array, v) for array, v, _ in moves], dy)
    scale = spread if np.isfinite(spread) else 0.0
    (decision,) = decisions(
        np.array([mine]), difference.quotient, lambda _: difference.ladder(), rtol, scale
    )
    error = abs(mine - decision.numeric)
    return decision.state, error, error / scale if scale else np.nan


def jvp_rows(
    f: Function,
    x: Array,
    y: np.ndarray,
    dy: np.ndarray,
    gradients: Arrays,
    tangents: Arrays,
    rtol: float,
) -> Iterator[Row]:
    """jvp against a difference along the tangents, and against backward."""
    arrays = f.arrays(x)
    moved = on_device(tangents, x)
    try:
        y_dot = backend.to_host(f.tangent(x, moved)).copy()
    except NotImplementedError as error:
        yield missing("y_dot", str(error))
        return
    if y_dot.shape != y.shape:
        yield wrong("y_dot", f"shape {y_dot.shape} instead of {y.shape}")
        return
    difference = DirectionDifference(
        f, x, y, [(array, tangents[name]) for name, array in arrays.items()]
    )
    ladder = difference.ladder()
    found = decisions(y_dot.reshape(-1), difference.quotient, lambda _: ladder, rtol)
    yield row_of("y_dot", y_dot.reshape(-1), found, np.arange(y.size), y.shape)
    yield from jvp_faults(f, x, moved)
    if len(arrays) > 1:
        yield from none_rows(f, x, moved, y_dot)
    shapes = {gradient_of(name): array.shape for name, array in arrays.items()}
    if shapes == {name: gradient.shape for name, gradient in gradients.items()}:
        pairs = [(gradients[gradient_of(name)], tangents[name]) for name in arrays]
        with np.errstate(all="ignore"):
            products = [gradient * tangent for gradient, tangent in pairs]
            largest = max(float(np.abs(tangent).max(initial=0.0)) for _, tangent in pairs)
            # y is rounded to EPS |y|; where y_dot is what a cancellation left, so is it
            rounding = 4 * EPS * float(np.abs(dy * y).sum()) * largest
            yield identity_row(dy * y_dot, products, rounding)


def identity_row(forward: np.ndarray, backward: list[np.ndarray], rounding: float = 0.0) -> Row:
    """<dy, y_dot> = <dx, x_dot> + Σ <dW, W_dot>, to rounding: backward is jvp's transpose.

    rounding: an error of this size may be rounding alone. It proves nothing, either way.
    """
    left = float(forward.sum())
    right = float(sum(product.sum() for product in backward))
    size = float(np.abs(forward).sum() + sum(np.abs(product).sum() for product in backward))
    error = abs(left - right)
    if size < 1e-300:
        detail = "both sides are nearly zero, which proves nothing: another x?"
        return Row("<dy, y_dot>", error, np.nan, "VOID", detail)
    if error <= 1e-12 * size:
        return Row("<dy, y_dot>", error, error / size, "ok")
    detail = f"jvp gives {left:.9g}, backward {right:.9g}"
    if error <= rounding:
        detail += ": both may be rounding, another x?"
        return Row("<dy, y_dot>", error, error / size, "UNDECIDED", detail)
    return Row("<dy, y_dot>", error, error / size, "WRONG", detail)
