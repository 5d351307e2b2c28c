"""Grades one part: what is right, what is wrong and by how much, what is still to be written.

It runs in a process of its own, in which the student's class has taken the place of the library's.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any

import numpy as np

from minigrad.blanks.blanking import MARK
from minigrad.blanks.cases import CASES, CHECKED, Case
from minigrad.blanks.parts import BY_NAME, PARTS, Part, file_name
from minigrad.gradcheck import check

RTOL = {np.dtype("float64"): 1e-9, np.dtype("float32"): 1e-4}
RIGHT, WRONG, BLANK, WAITS, ERROR = "right", "wrong", "to do", "waits", "stopped by an error"


class Different(Exception):
    """The student's numbers are not those of the library. The message says by how much."""


def graded(part: Part, library: Any, own: Any) -> list[dict[str, str]]:
    """For each method that is taken out, in order: {"method", "verdict", "words"}.

    library, own  the two classes
    """
    found = [_method(part, name, cases, library, own) for name, cases in CASES[part.name].items()]
    if part.name in CHECKED and all(row["verdict"] == RIGHT for row in found):
        found.append(_checked(part, own))
    return found


def _method(
    part: Part, name: str, cases: list[tuple[str, Case]], library: Any, own: Any
) -> dict[str, str]:
    for said, case in cases:
        verdict, words = _verdict(part, name, case, library, own)
        if verdict != RIGHT:
            return {"method": name, "verdict": verdict, "words": f"{said}: {words}"}
    many = "1 case" if len(cases) == 1 else f"{len(cases)} cases"
    return {"method": name, "verdict": RIGHT, "words": f"the library's numbers in {many}"}


def _verdict(part: Part, name: str, case: Case, library: Any, own: Any) -> tuple[str, str]:
    expected = case(library)
    try:
        compare(case(own), expected)
    except NotImplementedError as todo:
        if MARK not in str(todo):
            return ERROR, where(todo)
        method = str(todo).rpartition(".")[2]
        if method == name:
            return BLANK, part.hints[name]
        return WAITS, f"it needs {part.cls}.{method}, which is still to be written"
    except Different as fault:
        return WRONG, str(fault)
    except (Exception, SystemExit) as error:
        return ERROR, where(error)
    return RIGHT, ""


def compare(own: dict[str, Any], expected: dict[str, Any]) -> None:
    """Raise Different at the first array that is not the library's, up to rounding."""
    for name, right in expected.items():
        if name not in own:
            raise Different(f"{name} is missing")
        ours, right = np.asarray(own[name]), np.asarray(right)
        if ours.dtype == object:
            raise Different(f"{name} is {own[name]!r:.60}, and no array")
        if ours.shape != right.shape:
            raise Different(f"{name} has shape {ours.shape}, it should be {right.shape}")
        if ours.dtype != right.dtype:
            raise Different(f"{name} is {ours.dtype}, it should be {right.dtype}")
        rtol = RTOL.get(right.dtype, 0)
        size = float(np.abs(right[np.isfinite(right)]).max(initial=0))
        # Rounding errors of a sum are relative to the largest number, not to each.
        if not np.allclose(ours, right, rtol, rtol * max(size, 1e-3), equal_nan=True):
            raise Different(_how_much(name, ours, right, size))
    if extra := sorted(own.keys() - expected.keys()):
        raise Different(f"{extra[0]} should not be there")


def _how_much(name: str, ours: np.ndarray, right: np.ndarray, size: float) -> str:
    with np.errstate(invalid="ignore", over="ignore"):
        off = np.abs(ours.astype("float64") - right.astype("float64"))
    off = np.where(np.isnan(off), np.inf, off)
    off[(ours == right) | (np.isnan(ours) & np.isnan(right))] = 0  # infinite and right
    at = np.unravel_index(int(off.argmax()), off.shape)
    place = f"[{', '.join(map(str, at))}]" if at else ""
    words = f"{name}{place} is {ours[at]:.6g}, it should be {right[at]:.6g}"
    bad = int((off > 1e-6 * max(size, 1e-3)).sum())
    if off.size > 1:
        words += f"; {bad} of {off.size} numbers are off"
    with np.errstate(invalid="ignore", divide="ignore"):
        factors = ours[right != 0] / right[right != 0]
    if off.size > 1 and factors.size and np.allclose(factors, factors[0], 1e-6):
        words += f", all {factors[0]:.4g} times what they should be"
    return words


def _checked(part: Part, own: Any) -> dict[str, str]:
    """What the gradient checker says of the whole class, at the end."""
    row = {"method": "checker", "verdict": RIGHT, "words": "derivatives and memory pass `check`"}
    try:
        subject, inputs = CHECKED[part.name](own)
        report = check(subject, *inputs)
    except (Exception, SystemExit) as error:
        return row | {"verdict": ERROR, "words": where(error)}
    return row if report else row | {"verdict": WRONG, "words": str(report)}


def where(error: BaseException) -> str:
    """The error, with the last line of the student's file that led to it."""
    frames = traceback.extract_tb(error.__traceback__)
    names = [file_name(part) for part in PARTS]
    own = [frame for frame in frames if Path(frame.filename).name in names]
    frame = (own or frames)[-1]
    return f"{type(error).__name__}: {error} ({Path(frame.filename).name}, line {frame.lineno})"


def main() -> None:
    """`python -m minigrad.blanks.grading linear FILE` writes the rows of a part, as JSON."""
    part = BY_NAME[sys.argv[1]]
    replaced = sys.modules["sitecustomize"].REPLACED  # which has put the student's class there
    library, own = replaced[part.cls]
    with np.errstate(all="ignore"):
        rows = graded(part, library, own)
    Path(sys.argv[2]).write_text(json.dumps(rows), encoding="utf-8")
    os._exit(0)  # whatever threads the student's class has begun


if __name__ == "__main__":
    main()
