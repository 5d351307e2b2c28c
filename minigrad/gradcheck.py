"""Is this derivative right? Central differences, the dot-product identity, and a table of both.

    print(mg.gradcheck.check(MyLayer(), x))
    print(mg.gradcheck.compare({"dW": (mine, autograd's)}))

Everything is computed in float64, whatever the layer's own dtype: in float32 a difference
quotient is off by several per cent, and an error of 0.1 % in a derivative would never show.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from minigrad import backend
from minigrad.backend import Array
from minigrad.differences import (
    NOISE,
    Difference,
    Function,
    copy64,
    in_float64,
    settle,
    slopes_along,
)
from minigrad.layers import Layer
from minigrad.losses import Loss
from minigrad.report import Report, Row, compare_arrays


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
    rows = []
    for name, (ours, reference) in pairs.items():
        ours, reference = (
            np.asarray(backend.to_host(a) if hasattr(a, "dtype") else a, np.float64)
            for a in (ours, reference)
        )
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
    rtol        the largest relative error that passes
    jvp=False   checks `backward` alone
    zeros       names of gradients that must be zero ("d0.b", a bias before batch norm); any other
                gradient that is nearly zero proves nothing, is VOID and does not pass

    dx, dW: against (<dy, f(x + h)> - <dy, f(x - h)>) / 2h for a random dy. y_dot: jvp against the
    difference along random tangents. <dy, y_dot>: against <dx, x_dot> + <dW, W_dot>, which needs
    no h and must agree to 1e-12. An entry at a kink is left out, and the table says so.
    The subject is left as it was found.
    """
    x = copy64(x)
    with in_float64(subject):
        f = Function(subject, target, loss, train, seed)
        rows = list(_rows(f, x, np.random.default_rng(seed), rtol, entries, jvp))
    if unknown := set(zeros) - {row.name for row in rows}:
        raise KeyError(f"zeros names {sorted(unknown)}; there are {[row.name for row in rows]}")
    rows = [
        replace(row, verdict="ok", detail="zero, as it must be")
        if row.name in zeros and row.verdict == "VOID"
        else row
        for row in rows
    ]
    return Report(f"{f.name}: by hand against central differences", rows)


def _rows(
    f: Function, x: Array, rng: np.random.Generator, rtol: float, entries: int, jvp: bool
) -> Iterator[Row]:
    y = f.value(x)
    if not np.array_equal(y, f.value(x), equal_nan=True):
        raise ValueError(
            f"{f.name}: forward gave two results for the same x; let its random choices start "
            "anew in reseed(seed)"
        )
    dy = np.ones(y.shape) if f.is_loss else rng.standard_normal(y.shape)
    noise = NOISE * max(1.0, float(np.abs(dy * y).sum()))
    arrays = {"dx": x} | {f"d{name}": param for name, param in f.params().items()}
    gradients, faults = f.gradients(x, dy)
    yield from faults
    for name, array in arrays.items():
        if name not in gradients:
            yield Row(name, np.nan, np.nan, "MISSING", "backward wrote no such gradient")
        elif gradients[name].shape != array.shape:
            what = f"shape {gradients[name].shape} instead of {array.shape}"
            yield Row(name, np.nan, np.nan, "WRONG", what)
        else:
            difference = Difference(f, x, y, dy, array)
            yield _check_gradient(name, gradients[name], difference, rng, rtol, entries, noise)
    if not jvp:
        return
    tangents = {name: rng.standard_normal(array.shape) for name, array in arrays.items()}
    try:
        y_dot = f.tangent(x, tangents)
    except NotImplementedError as error:
        yield Row("y_dot", np.nan, np.nan, "MISSING", str(error))
        return
    if y_dot.shape != y.shape:
        yield Row("y_dot", np.nan, np.nan, "WRONG", f"shape {y_dot.shape} instead of {y.shape}")
        return
    moves = [(array, tangents[name]) for name, array in arrays.items()]
    found = settle(
        y_dot.reshape(-1),
        lambda h, which: tuple(side.reshape(-1)[which] for side in slopes_along(f, x, y, moves, h)),
        rtol,
        noise,
    )
    yield _row("y_dot", y_dot.reshape(-1), *found, rtol, np.arange(y.size), y.shape)
    if all(name in gradients and gradients[name].shape == a.shape for name, a in arrays.items()):
        yield _check_identity(dy, y_dot, gradients, tangents)


def _check_gradient(
    name: str,
    gradient: np.ndarray,
    difference: Difference,
    rng: np.random.Generator,
    rtol: float,
    entries: int,
    noise: float,
) -> Row:
    """One array's gradient against difference quotients: entry by entry, then all together."""
    flat = gradient.reshape(-1)
    sampled = flat.size > entries
    chosen = np.sort(rng.choice(flat.size, entries, False)) if sampled else np.arange(flat.size)

    def slopes(h: float, which: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        sides = np.array([difference.entry(h, int(i)) for i in chosen[which]])
        return sides[:, 0], sides[:, 1]

    row = _row(
        name,
        flat[chosen],
        *settle(flat[chosen], slopes, rtol, noise),
        rtol,
        chosen,
        gradient.shape,
    )
    if not sampled or row.verdict != "ok":
        return row
    # All entries at once, along v: <gradient, v>. It cannot say which entry is wrong, only that.
    v = rng.standard_normal(gradient.shape)
    along = np.array([(gradient * v).sum()])
    spread = np.linalg.norm(gradient)  # what <gradient, v> is about
    numeric, kink, allowed = settle(along, lambda h, _: difference.along(h, v), rtol, noise)
    error = float(np.abs(along - numeric)[0])
    if kink.any() or error <= rtol * spread + allowed[0]:
        return row
    detail = f"right at the {entries} entries tried, wrong along a random direction"
    return Row(name, error, error / spread, "WRONG", detail)


def _row(
    name: str,
    ours: np.ndarray,
    numeric: np.ndarray,
    kink: np.ndarray,
    allowed: np.ndarray,
    rtol: float,
    places: np.ndarray,
    shape: tuple[int, ...],
) -> Row:
    detail = f"{kink.sum()} of {kink.size} entries at a kink, left out" if kink.any() else ""
    on = ~kink
    return compare_arrays(name, ours[on], numeric[on], rtol, allowed[on], places[on], shape, detail)


def _check_identity(
    dy: np.ndarray,
    y_dot: np.ndarray,
    gradients: Mapping[str, np.ndarray],
    tangents: Mapping[str, np.ndarray],
) -> Row:
    """<dy, y_dot> = <dx, x_dot> + Σ <dW, W_dot>, to rounding: backward is jvp's transpose."""
    forward, backward = dy * y_dot, [gradients[name] * tangents[name] for name in gradients]
    left, right = float(forward.sum()), float(sum(product.sum() for product in backward))
    size = float(np.abs(forward).sum() + sum(np.abs(product).sum() for product in backward))
    error = abs(left - right)
    relative = error / size if size else np.nan
    if size < 1e-9:
        verdict, detail = "VOID", "both sides are nearly zero: choose another x"
    elif relative <= 1e-12:
        verdict, detail = "ok", ""
    else:
        verdict, detail = "WRONG", f"jvp gives {left:.9g}, backward {right:.9g}"
    return Row("<dy, y_dot>", error, relative, verdict, detail)
