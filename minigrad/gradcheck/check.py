"""Is this derivative right? The whole examination of a layer, a model or a loss.

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
from minigrad.gradcheck.function import Function
from minigrad.gradcheck.precision import in_dtype, own_dtype
from minigrad.gradcheck.report import Report, Row, compare_arrays
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
    _check_rtol(rtol)
    host = backend.to_host(x)
    like = x if hasattr(x, "dtype") else host
    x = backend.to_device(np.array(host, np.float64, order="C"), like=like)
    f = Function(subject, target, loss, train, seed)
    with in_dtype(subject, np.float64), in_dtype(loss, np.float64):
        rows = list(rows_at(f, x, np.random.default_rng(seed), rtol, entries, jvp))
    own = own_dtype(subject)
    if all(row.verdict == "ok" for row in rows):
        with in_dtype(subject, own), in_dtype(loss, own):
            rows += dtype_rows(f, x.astype(own), jvp)
    return Report(f"{f.name}: by hand against central differences", _with_zeros(rows, zeros))


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


def _check_rtol(rtol: float) -> None:
    if not 0 < rtol < 1:
        raise ValueError(f"rtol must lie between 0 and 1, got {rtol}")
