"""Compare hand-written derivatives with numerical ones, entry by entry: a row of the table."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeVar

import numpy as np

from minigrad.gradcheck.numerical import (
    SMALL,
    Decision,
    Ladder,
    Quotient,
    at_once,
    decide,
    zero_to_noise,
)
from minigrad.gradcheck.report import Row

T = TypeVar("T")
FEW = 0.25  # the largest share of undecided entries in a row that is ok
ENOUGH = 20  # after so many wrong entries, one step is enough for the others
PATIENCE = 12  # after so many undecided entries, far larger steps are given up

Quotients = Callable[[float, int], Quotient]  # (h, entry) -> the slopes of that entry


def decisions(
    ours: np.ndarray,
    quotient: Quotients,
    ladder: Callable[[int], Ladder],
    rtol: float,
    scale: float = 0.0,
    absorbed: Callable[[float, int], float] | None = None,
) -> list[Decision]:
    """Decide for each entry of `ours`, a flat array, whether it is right.

    Errors are relative to the entry, or to a thousandth of the largest one, or to `scale`.
    """
    first = [quotient(ladder(i).first, i) for i in range(ours.size)]
    central = np.array([q.central if q.finite else 0.0 for q in first])
    with np.errstate(invalid="ignore"):
        both = np.minimum(np.abs(central), np.abs(ours))
    largest = float(both[np.isfinite(both)].max(initial=0.0))
    least = max(scale, SMALL * largest)
    result = []
    in_vain = 0
    wrong = 0
    for i, value in enumerate(ours):
        mine = float(value)
        size = max(abs(central[i]), least)
        decision = at_once(mine, first[i], size, rtol)
        if decision is None and wrong >= ENOUGH and first[i].finite:
            decision = Decision("wrong", first[i].central, first[i].floor)
        if decision is None:
            zero = zero_to_noise(mine, first[i])
            far = in_vain < PATIENCE
            if zero is not None and not far:
                decision = zero
            else:
                lost = None if absorbed is None else partial(_swapped, absorbed, i)
                decision = decide(
                    mine, partial(_swapped, quotient, i), ladder(i), least, rtol, far, lost
                )
                in_vain += decision.state == "undecided"
                if zero is not None and decision.state in ("undecided", "kink"):
                    decision = zero
        wrong += decision.state == "wrong"
        result.append(decision)
    return result


def _swapped(function: Callable[[float, int], T], i: int, h: float) -> T:
    return function(h, i)


def row_of(
    name: str,
    ours: np.ndarray,
    found: list[Decision],
    places: np.ndarray,
    shape: tuple[int, ...],
) -> Row:
    """The row for the entries `ours`, which stand at `places` in an array of `shape`."""
    states = np.array([decision.state for decision in found], dtype=object)
    numeric = np.array([decision.numeric for decision in found], float)
    errors = np.array([decision.error for decision in found], float)
    known = np.isin(states, ["ok", "wrong"])
    undecided = int((states == "undecided").sum())
    infinite = int((states == "infinite").sum())
    detail = "; ".join(_left_out(states, ours.size))
    counts = {"checked": ours.size, "undecided": undecided + infinite}
    if not known.any():
        verdict = "UNDECIDED" if undecided else "VOID"
        return Row(name, np.nan, np.nan, verdict, detail or "nothing to compare", **counts)
    with np.errstate(all="ignore"):
        gap = np.abs(ours - numeric)
        size = np.maximum(np.abs(numeric), SMALL * np.abs(numeric[known]).max())
        relative = np.where(gap == 0, 0.0, gap / size)
    max_abs = float(gap[known].max())
    max_rel = float(relative[known].max())
    bad = states == "wrong"
    if bad.any():
        with np.errstate(all="ignore"):
            worst = int(np.argmax(np.where(bad, np.nan_to_num(gap, nan=np.inf), -1.0)))
        index = [int(i) for i in np.unravel_index(int(places[worst]), shape)]
        at = f"; at {index}" if shape else ":"
        text = (
            f"{bad.sum()} of {known.sum()} entries{at} got {ours[worst]:.6g}, expected "
            f"{numeric[worst]:.6g}"
        )
        detail = "; ".join(filter(None, [text, detail]))
        return Row(name, max_abs, max_rel, "WRONG", detail, **counts)
    if infinite:
        return Row(name, max_abs, max_rel, "VOID", detail, **counts)
    if undecided > FEW * ours.size:
        return Row(name, max_abs, max_rel, "UNDECIDED", detail, **counts)
    if not (np.abs(numeric[known]) > 1000 * errors[known]).any():
        detail = f"nearly zero, which proves nothing: another x? Or zeros={name}, if it must be"
        return Row(name, max_abs, max_rel, "VOID", detail, **counts)
    return Row(name, max_abs, max_rel, "ok", detail, **counts)


def _left_out(states: np.ndarray, total: int) -> list[str]:
    """In words: the entries that could not be compared."""
    words = {
        "kink": "entries at a kink, left out",
        "infinite": "references are not finite: another x?",
        "undecided": "entries are undecided: the numerical derivative is too uncertain there",
    }
    counts = {state: int((states == state).sum()) for state in words}
    return [f"{n} of {total} {words[state]}" for state, n in counts.items() if n]
