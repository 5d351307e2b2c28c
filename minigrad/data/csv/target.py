"""The targets in a CSV file: labels with names of classes, or values."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from minigrad.data.csv.rows import (
    COMMA,
    MISSING,
    NO_VALUE,
    THOUSANDS,
    Column,
    check_size,
    is_number,
)

INTEGER = re.compile(r"[-+]?\d+")
FEW = 20  # different labels that are always taken for classes
EACH = 10  # rows that each class has on average, if there are more of them

Target = tuple[np.ndarray, list[str] | None, np.ndarray]


def check_target(count: int, kind: str | None, names: Sequence[str] | None) -> None:
    """ValueError unless the number of target columns, their kind and the names fit together."""
    if count > 1 and (kind == "labels" or names is not None):
        raise ValueError("labels are one column: give one target, or kind='values'")
    if kind == "values" and names is not None:
        raise ValueError("names are for labels: leave them out, or give kind='labels'")


def target_of(
    columns: list[Column],
    cells: list[list[str]],
    lines: Sequence[int],
    kind: str | None,
    names: Sequence[str] | None,
) -> Target:
    """(y, names of classes, where a value is missing (N,)). y is labels (N,) or values (N, k)."""
    if names is not None:
        return _named(columns[0], cells[0], lines, list(names))
    if kind is None:
        kind = "values" if len(columns) > 1 else _kind(columns[0], cells[0])
    if kind == "labels":
        return _labels(columns[0], cells[0])
    values = [c.numbers(texts, lines) for c, texts in zip(columns, cells, strict=True)]
    for column, found in zip(columns, values, strict=True):
        check_size(column, found, lines)
        there = found[~np.isnan(found)]
        if len(there):
            error = float(abs(there - there.astype(np.float32)).max())
            column.check_digits(float(there.min()), float(there.max()), error)
    y = np.stack(values, axis=1)
    return y.astype(np.float32), None, np.isnan(y).any(axis=1)


def _kind(column: Column, cells: list[str]) -> str:
    """Texts and whole numbers are labels, other numbers values. ValueError if that is unclear."""
    different = {cell for cell in cells if cell.lower() not in MISSING}
    texts = [cell for cell in different if not _is_number(column, cell)]
    if texts and all(COMMA.fullmatch(cell) or THOUSANDS.fullmatch(cell) for cell in texts):
        raise column.error_anywhere(f"{texts[0]!r:.60} is no number{column.why(texts[0])}")
    parts = [c for c in different if not INTEGER.fullmatch(c) and _is_number(column, c)]
    if texts and parts:
        raise column.error_anywhere(
            f"{min(texts)!r:.60} is no number, but {min(parts)!r:.60} is one: correct the file, or "
            "give kind='labels' if these are classes"
        )
    if parts:
        return "values"
    if len(different) > FEW and len(cells) < EACH * len(different):
        what = "texts" if texts else "whole numbers"
        advice = "kind='labels' if these are classes"
        advice += "" if texts else ", kind='values' for a regression"
        raise column.error_anywhere(
            f"{len(different):,} different {what} in {len(cells):,} rows: give {advice}"
        )
    return "labels"


def _labels(column: Column, cells: list[str]) -> Target:
    """The classes are the different cells, sorted: numbers by value, texts as Python sorts them."""
    different = set(cells)
    numeric = all(_is_number(column, cell) or cell.lower() in MISSING for cell in different)
    if not numeric:
        names = sorted(cell for cell in different if cell.lower() not in NO_VALUE)
        label = {name: k for k, name in enumerate(names)}
        gaps = np.array([cell not in label for cell in cells], bool)
        return np.array([label.get(cell, 0) for cell in cells], np.int64), names, gaps
    value = {cell: _value(column, cell) for cell in different if cell.lower() not in MISSING}
    names = [str(number) for number in sorted(set(value.values()))]
    number_of = {name: k for k, name in enumerate(names)}
    code = {cell: number_of[str(number)] for cell, number in value.items()}
    gaps = np.array([cell not in code for cell in cells], bool)
    return np.array([code.get(cell, 0) for cell in cells], np.int64), names, gaps


def _named(column: Column, cells: list[str], lines: Sequence[int], names: list[str]) -> Target:
    """Labels by names that are given: 7 and 7.0 are the class "7"."""
    label = {name: k for k, name in enumerate(names)}
    code = {}
    for cell in set(cells):
        number = str(_value(column, cell)) if _is_number(column, cell) else cell
        code[cell] = label.get(cell, label.get(number, -1))
    y = np.array([code[cell] for cell in cells], np.int64)
    gaps = np.array([code[cell] < 0 and cell.lower() in MISSING for cell in cells], bool)
    unknown = (y < 0) & ~gaps
    if unknown.any():
        row = int(unknown.argmax())
        raise column.error(lines[row], f"{cells[row]!r:.60} is none of the names, {names}")
    return y, names, gaps


def _is_number(column: Column, cell: str) -> bool:
    return is_number(cell.replace(column.decimal, "."))


def _value(column: Column, cell: str) -> int | float:
    """A number; whole ones as int."""
    if INTEGER.fullmatch(cell):
        return int(cell)
    number = float(cell.replace(column.decimal, "."))
    return int(number) if number.is_integer() else number
