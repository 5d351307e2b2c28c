"""Is this derivative right? Central differences, the dot-product identity, and a table of both.

Derivatives are compared in float64, whatever the layer's own dtype: in float32 a difference
quotient is off by several per cent, and an error of 0.1 % in a derivative would never show.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from minigrad import backend
from minigrad.backend import Array
from minigrad.gradcheck.contract import copies, dtype_rows, gradients_and_faults, none_rows, same
from minigrad.gradcheck.numerical import (
    Difference,
    Function,
    Slopes,
    in_dtype,
    noise,
    settle,
    slopes_along,
)
from minigrad.gradcheck.report import Report, Row, compare_arrays, missing, wrong
from minigrad.layers import Layer
from minigrad.losses import Loss

Arrays = Mapping[str, np.ndarray]


def compare(
    pairs: Mapping[str, tuple[Any, Any]],
    rtol: float = 1e-6,
    title: str = "computed against reference",
) -> Report:
    """A table of |computed - reference|, entry by entry: {"dW": (computed, reference), ...}.

    Relative errors are taken against the reference's entry, or against a thousandth of its
    largest entry where that is more. Shapes must be equal (nothing is broadcast); a reference
    that is all zero proves nothing and does not pass.
    """
    _check_rtol(rtol)
    rows = []
    for name, both in pairs.items():
        ours, reference = (np.asarray(backend.to_host(a), np.float64) for a in both)
        rows.append(compare_arrays(name, ours, reference, rtol))
    return Report(title, rows)


def check(
    subject: Layer | Loss,
    x: Array,
    target: Array | None = None,
    loss: Loss | None = None,
    *,
    train: bool = True,
    seed: int = 0,
    rtol: float = 1e-6,
    entries: int = 200,
    jvp: bool = True,
    zeros: Collection[str] = (),
) -> Report:
    """Compare the hand-written derivatives with central differences and with each other.

    subject     a layer, a model, or a loss (with its `target`); with `loss` and `target`, a model
                is checked through its loss
    x           the input; a few examples are enough
    entries     of each array, how many entries (drawn by `seed`) are checked one by one; along a
                random direction all of them are checked at once
    rtol        the largest relative error that passes, rounding noise aside
    jvp=False   checks `backward` alone
    zeros       names of gradients that must be zero ("d0.b", a bias before batch norm); any other
                gradient that is nearly zero proves nothing, is VOID and does not pass

    dx, dW: against (<dy, f(x + h)> - <dy, f(x - h)>) / 2h for a random dy. y_dot: jvp against the
    difference along random tangents. <dy, y_dot>: against <dx, x_dot> + <dW, W_dot>, which needs
    no h and must agree to 1e-12. An entry at a kink is left out, and the table says so.
    The subject is left as it was found.
    """
    _check_rtol(rtol)
    host = backend.to_host(x)
    like = x if hasattr(x, "dtype") else host
    x = backend.to_device(np.array(host, np.float64, order="C"), like=like)
    f = Function(subject, target, loss, train, seed)
    with in_dtype(subject, np.float64), in_dtype(loss, np.float64):
        rows = list(_rows(f, x, np.random.default_rng(seed), rtol, entries, jvp))
    own = _own_dtype(subject)
    if all(row.verdict == "ok" for row in rows):
        with in_dtype(subject, own), in_dtype(loss, own):
            rows += dtype_rows(f, x.astype(own), jvp)
    return Report(f"{f.name}: by hand against central differences", _with_zeros(rows, zeros))


def _rows(
    f: Function, x: Array, rng: np.random.Generator, rtol: float, entries: int, jvp: bool
) -> Iterator[Row]:
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
        gradient = gradients.get(f"d{name}")
        if gradient is None:
            yield missing(f"d{name}", "backward wrote no such gradient")
        elif gradient.shape != array.shape:
            yield wrong(f"d{name}", f"shape {gradient.shape} instead of {array.shape}")
        else:
            difference = Difference(f, x, y, dy, array)
            yield _check_gradient(f"d{name}", gradient, difference, rng, rtol, entries)
    if jvp:
        tangents = {name: rng.standard_normal(array.shape) for name, array in arrays.items()}
        yield from _check_jvp(f, x, y, dy, gradients, tangents, rtol)


def _check_gradient(
    name: str,
    gradient: np.ndarray,
    difference: Difference,
    rng: np.random.Generator,
    rtol: float,
    entries: int,
) -> Row:
    """One array's gradient against difference quotients: entry by entry, then all together."""
    flat = gradient.reshape(-1)
    sampled = flat.size > entries
    chosen = np.sort(rng.choice(flat.size, entries, False)) if sampled else np.arange(flat.size)

    def slopes(h: float, which: np.ndarray) -> tuple[np.ndarray, ...]:
        return tuple(np.array([difference.entry(h, int(i)) for i in chosen[which]]).T)

    row = _row(name, flat[chosen], slopes, rtol, chosen, gradient.shape)
    if not sampled or row.verdict != "ok":
        return row
    # All entries at once, along v: <gradient, v>. It cannot say which entry is wrong, only that.
    spread = float(np.linalg.norm(gradient))  # what <gradient, v> is about
    for _ in range(3):
        v = rng.standard_normal(gradient.shape)
        along = np.array([(gradient * v).sum()])
        numeric, kink, rounding = settle(along, lambda h, _, v=v: difference.along(h, v), rtol)
        error = float(np.abs(along - numeric)[0])
        if error <= rtol * spread + rounding[0]:
            return row
        if not kink.any():
            detail = f"right at the {entries} entries tried, wrong along a random direction"
            return Row(name, error, error / spread, "WRONG", detail)
    detail = f"only {entries} of {flat.size} entries could be checked: kinks; choose another x"
    return replace(row, verdict="VOID", detail=detail)


def _check_jvp(
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
    on_device = {name: backend.to_device(t, like=x) for name, t in tangents.items()}
    try:
        y_dot = backend.to_host(f.tangent(x, on_device))
    except NotImplementedError as error:
        yield missing("y_dot", str(error))
        return
    if y_dot.shape != y.shape:
        yield wrong("y_dot", f"shape {y_dot.shape} instead of {y.shape}")
        return
    moves = [(array, tangents[name]) for name, array in arrays.items()]

    def slopes(h: float, which: np.ndarray) -> tuple[np.ndarray, ...]:
        left, right = (side.reshape(-1)[which] for side in slopes_along(f, x, y, moves, h))
        return left, right, np.full(which.size, noise(np.abs(y).max(initial=0.0), h))

    yield _row("y_dot", y_dot.reshape(-1), slopes, rtol, np.arange(y.size), y.shape)
    if len(arrays) > 1:
        yield from none_rows(f, x, on_device, y_dot)
    shapes = {f"d{name}": array.shape for name, array in arrays.items()}
    if shapes == {name: gradient.shape for name, gradient in gradients.items()}:
        pairs = [(gradients[f"d{name}"], tangents[name]) for name in arrays]
        yield _check_identity(dy * y_dot, [gradient * tangent for gradient, tangent in pairs])


def _row(
    name: str,
    ours: np.ndarray,
    slopes: Slopes,
    rtol: float,
    places: np.ndarray,
    shape: tuple[int, ...],
) -> Row:
    """Our entries against their difference quotients; those at a kink are left out."""
    numeric, kink, rounding = settle(ours, slopes, rtol)
    detail = f"{kink.sum()} of {kink.size} entries at a kink, left out" if kink.any() else ""
    ours, numeric, rounding, places = (a[~kink] for a in (ours, numeric, rounding, places))
    return compare_arrays(name, ours, numeric, rtol, rounding, places, shape, detail)


def _check_identity(forward: np.ndarray, backward: list[np.ndarray]) -> Row:
    """<dy, y_dot> = <dx, x_dot> + Σ <dW, W_dot>, to rounding: backward is jvp's transpose."""
    left, right = float(forward.sum()), float(sum(product.sum() for product in backward))
    size = float(np.abs(forward).sum() + sum(np.abs(product).sum() for product in backward))
    error = abs(left - right)
    if size < 1e-9:
        detail = "both sides are nearly zero, which proves nothing: another x?"
        return Row("<dy, y_dot>", error, np.nan, "VOID", detail)
    if error <= 1e-12 * size:
        return Row("<dy, y_dot>", error, error / size, "ok")
    detail = f"jvp gives {left:.9g}, backward {right:.9g}"
    return Row("<dy, y_dot>", error, error / size, "WRONG", detail)


def _with_zeros(rows: list[Row], zeros: Collection[str]) -> list[Row]:
    """The rows, with those named in `zeros` ok exactly when they are zero."""
    if unknown := set(zeros) - {row.name for row in rows}:
        raise KeyError(f"zeros names {sorted(unknown)}; there are {[row.name for row in rows]}")
    result = []
    for row in rows:
        if row.name in zeros and row.verdict == "VOID":
            row = replace(row, verdict="ok", detail="zero, as it must be")
        elif row.name in zeros and row.verdict == "ok":
            row = replace(row, verdict="WRONG", detail="it is named in zeros, and is not zero")
        result.append(row)
    return result


def _own_dtype(subject: Layer | Loss) -> np.dtype:
    """What the subject computes in when nobody checks it."""
    if getattr(subject, "dtype", None) is not None:
        return subject.dtype
    params = subject.params.values() if isinstance(subject, Layer) else ()
    return next((param.dtype for param in params), np.dtype("float32"))


def _check_rtol(rtol: float) -> None:
    if not 0 < rtol < 1:
        raise ValueError(f"rtol must lie between 0 and 1, got {rtol}")
