"""Is this derivative right? The whole check of a layer, a model or a loss.

Derivatives are compared in float64, whatever the layer's own dtype: in float32 a difference
quotient is off by several per cent, and an error of 0.1 % in a derivative would never show.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from minigrad import backend
from minigrad.backend import Array
from minigrad.gradcheck.contract import dtype_rows
from minigrad.gradcheck.findings import Findings
from minigrad.gradcheck.forms import examine_forms
from minigrad.gradcheck.function import Function
from minigrad.gradcheck.memory import examine_memory
from minigrad.gradcheck.points import examine_points
from minigrad.gradcheck.precision import in_dtype, own_dtype
from minigrad.gradcheck.registered import examine_mixing, examine_registration, shared_views
from minigrad.gradcheck.repeats import examine_holding
from minigrad.gradcheck.report import Report, Row, compare_arrays
from minigrad.gradcheck.siblings import examine_siblings
from minigrad.gradcheck.table import rows_at
from minigrad.layers import Layer
from minigrad.losses import Loss


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
    """Compare the hand-written derivatives with difference quotients and with each other.

    subject     a layer, a model, or a loss (with its `target`); with `loss` and `target`, a model
                is checked through its loss
    x           the input; a few examples are enough
    train       the mode of the table; the other mode is looked at as well
    entries     how many entries of each array are compared one by one; `seed` draws them. All of an
                array's entries are compared at once, along a random direction
    rtol        the largest relative error that passes; rounding noise is allowed beside it
    jvp=False   checks `backward` alone
    zeros       names of gradients that must be zero ("d0.b", a bias before batch norm). Any other
                gradient that is nearly zero proves nothing: its row is VOID and does not pass

    <dy, y_dot> = <dx, x_dot> + <dW, W_dot> needs no step h. It must hold to 1e-12. If the table is
    right, other points, modes and methods are checked as well. The subject is left as it was.
    """
    _check_rtol(rtol)
    if isinstance(subject, Layer):
        list(subject.leaves())  # raises for layers that no optimiser would find
        _check_x_can_move(subject)
    host = backend.to_host(x)
    like = x if hasattr(x, "dtype") else host
    x = backend.to_device(np.array(host, np.float64, order="C"), like=like)
    f = Function(subject, target, loss, train, seed)
    rng = np.random.default_rng([seed, 1])  # not default_rng(seed), which may have drawn x
    found = Findings(warnings=shared_views(subject))
    own = own_dtype(subject)
    with in_dtype(subject, np.float64), in_dtype(loss, np.float64):
        rows = list(rows_at(f, x, rng, rtol, entries, jvp))
        if sound := not any(row.verdict in ("WRONG", "MISSING") for row in rows):
            _examine(f, x, found, rng, rtol, jvp)
    if sound and not found.rows:
        with in_dtype(subject, own), in_dtype(loss, own):
            found.rows += dtype_rows(f, x.astype(own), jvp)
            if own == np.float32 and not found.rows:
                examine_forms(f, x.astype(own), found, rng, jvp)
    rows += found.rows
    title = f"{f.name}: by hand against central differences"
    notes = _notes(rows, found, x, own, sound)
    return Report(title, _with_zeros(rows, zeros), notes, found.warnings)


def _examine(
    f: Function, x: Array, found: Findings, rng: np.random.Generator, rtol: float, jvp: bool
) -> None:
    """Look for faults that a right table at one point cannot show."""
    examine_points(f, x, found, rng, rtol, jvp)
    found.attempt("memory", lambda: examine_memory(f, x, found, rng, jvp))
    if jvp:
        examine_siblings(f, x, found, rng)
    found.attempt("holding", lambda: examine_holding(f, x, found))
    examine_registration(f, x, found)
    examine_mixing(f, x, found)


def _notes(
    rows: list[Row], found: Findings, x: Array, own: np.dtype[Any], sound: bool
) -> list[str]:
    """What was looked at, in words."""
    counts = [f"{row.name} {row.checked}" for row in rows if row.checked]
    notes = [f"entries compared: {', '.join(counts)}"] if counts else []
    if not sound:
        return [*notes, "other points, modes and methods are looked at once the table is right"]
    points = f"looked at {found.points} points; " + "; ".join(found.notes)
    notes.append(points + ("; float32, fast kernels against plain" if own == np.float32 else ""))
    if x.ndim and len(x) == 1:
        notes.append(
            "x is a batch of one, which cannot show a missing 1/N or a sum over the batch that "
            "is not taken: check with more examples as well"
        )
    return notes


def _with_zeros(rows: list[Row], zeros: Collection[str]) -> list[Row]:
    """The rows. A row that `zeros` names is ok if it is zero, and WRONG if it is not."""
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


def _check_x_can_move(model: Layer) -> None:
    """TypeError if a layer takes whole numbers only: the checker moves x by small steps."""
    for layer in model.modules():
        if layer.takes_numbers:
            raise TypeError(
                f"the checker moves x by small steps, and {type(layer).__name__} takes whole "
                "numbers. Check the layers after it: check(model[1:], model[0].forward(x))"
            )


def _check_rtol(rtol: float) -> None:
    if not 0 < rtol < 1:
        raise ValueError(f"rtol must lie between 0 and 1, got {rtol}")
