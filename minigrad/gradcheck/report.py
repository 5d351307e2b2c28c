"""The comparison table: how far two sets of arrays are apart, where, and whether that will do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from minigrad.gradcheck.numerical import SMALL


@dataclass(frozen=True)
class Row:
    """One comparison: the largest absolute and relative error, the verdict, and where.

    verdict: "ok"; "WRONG"; "VOID" where the reference is so small that agreeing with it proves
    nothing; "UNDECIDED" where the numerical derivative is too uncertain to compare with;
    "MISSING" where there is nothing to compare.
    checked, undecided: how many entries were compared, and for how many that decided nothing.
    """

    name: str
    max_abs: float
    max_rel: float
    verdict: str
    detail: str = ""
    checked: int = 0
    undecided: int = 0


class Report:
    """The table: prints itself, is true when every row is ok, and report["dW"] is one row.

    notes     what was looked at, and what could not be
    warnings  what is no wrong derivative, but must be read
    """

    def __init__(
        self,
        title: str,
        rows: list[Row],
        notes: Sequence[str] = (),
        warnings: Sequence[str] = (),
    ):
        self.title = title
        self.rows = rows
        self.notes = list(notes)
        self.warnings = list(warnings)

    def __bool__(self) -> bool:
        return bool(self.rows) and all(row.verdict == "ok" for row in self.rows)

    def __getitem__(self, name: str) -> Row:
        for row in self.rows:
            if row.name == name:
                return row
        raise KeyError(f"no row {name!r}: the report has {[row.name for row in self.rows]}")

    def __str__(self) -> str:
        width = max(len(row.name) for row in self.rows) if self.rows else 0
        lines = [self.title, f"  {'':{width}}   max abs   max rel  verdict"]
        for row in self.rows:
            numbers = f"{row.max_abs:8.1e}  {row.max_rel:8.1e}"
            lines.append(f"  {row.name:{width}}  {numbers}  {row.verdict:7}  {row.detail}".rstrip())
        failed = sum(row.verdict != "ok" for row in self.rows)
        lines += [f"  note: {note}" for note in self.notes]
        lines += [f"  WARNING: {warning}" for warning in self.warnings]
        if not self:
            lines.append(f"  {failed} of {len(self.rows)} not ok")
        elif self.warnings:
            lines.append("  every row is ok, but read the WARNING")
        else:
            lines.append("  all ok")
        return "\n".join(lines)

    __repr__ = __str__


def wrong(name: str, detail: str) -> Row:
    """A row for a fault that no number measures."""
    return Row(name, np.nan, np.nan, "WRONG", detail)


def missing(name: str, detail: str) -> Row:
    """A row for a result that is missing, so that there is nothing to compare."""
    return Row(name, np.nan, np.nan, "MISSING", detail)


def relative_to(reference: np.ndarray) -> np.ndarray:
    """What an error in each entry is divided by: the entry's size, or SMALL times the largest."""
    return np.maximum(np.abs(reference), SMALL * np.abs(reference).max(initial=0.0))


def compare_arrays(
    name: str,
    ours: np.ndarray,
    reference: np.ndarray,
    rtol: float,
    noise: float | np.ndarray = 0.0,
    places: np.ndarray | None = None,
    shape: tuple[int, ...] | None = None,
    detail: str = "",
) -> Row:
    """The row for one array; an error passes up to rtol · (entry's size) + noise.

    places, shape: where in an array of `shape` the compared entries stand, if they are a choice.
    """
    if ours.shape != reference.shape:
        return wrong(name, f"shape {ours.shape} instead of {reference.shape}")
    shape = shape or reference.shape
    ours = ours.reshape(-1)
    reference = reference.reshape(-1)
    defined = np.isfinite(reference)
    if not defined.all():
        detail = f"{(~defined).sum()} of {defined.size} references are not finite: another x?"
        places = np.arange(defined.size) if places is None else places
        noise = np.broadcast_to(noise, defined.shape)[defined]
        ours = ours[defined]
        reference = reference[defined]
        places = places[defined]
    if reference.size == 0:
        return Row(name, np.nan, np.nan, "VOID", detail or "nothing to compare")
    error = np.abs(ours - reference)
    size = relative_to(reference)
    excess = error - (rtol * size + noise)
    excess[~np.isfinite(error)] = np.inf
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = np.where(error == 0, 0.0, error / size)
    max_abs = float(error.max())
    max_rel = float(relative.max())
    if excess.max() > 0:
        worst = int(excess.argmax())
        place = worst if places is None else int(places[worst])
        index = tuple(int(i) for i in np.unravel_index(place, shape))
        got = ours[worst]
        expected = reference[worst]
        count = int((excess > 0).sum())
        at = f"; at {list(index)}" if shape else ":"
        text = f"{count} of {error.size} entries{at} got {got:.6g}, expected {expected:.6g}"
        return Row(name, max_abs, max_rel, "WRONG", "; ".join(filter(None, [text, detail])))
    if not defined.all():
        return Row(name, max_abs, max_rel, "VOID", detail)
    if not np.abs(reference).max() > 1000 * np.max(noise):
        detail = f"nearly zero, which proves nothing: another x? Or zeros={name}, if it must be"
        return Row(name, max_abs, max_rel, "VOID", detail)
    return Row(name, max_abs, max_rel, "ok", detail)
