"""The rows of a CSV file, and what is wrong with a cell, in words and with its line number."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, TextIO

import numpy as np

MISSING = {"", "na", "n/a", "nan", "null", "none", "?"}  # in a column of numbers, in any case
COMMA = re.compile(r"[-+]?[\d.]*\d,\d+([eE][-+]?\d+)?")
BEGINNINGS = {
    b"PK": "an Excel file (or another zip): save the table as CSV",
    b"\xff\xfe": "UTF-16: give encoding='utf-16'",
    b"\xfe\xff": "UTF-16: give encoding='utf-16'",
    b"\x1f\x8b": "gzipped: unzip it first",
}


class Row(NamedTuple):
    """The number of its last line in the file, and its cells."""

    line: int
    cells: list[str]


def rows(file: TextIO, delimiter: str) -> Iterator[Row]:
    """The rows that are not blank. ValueError with the line number for what is no CSV."""
    reader = csv.reader(file, delimiter=delimiter, skipinitialspace=True, strict=True)
    try:
        for cells in reader:
            if cells:
                yield Row(reader.line_num, cells)
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{file.name}: after line {reader.line_num} there are bytes that are not "
            f"{error.encoding}: give the file's encoding, as encoding='cp1252' (Windows)"
        ) from None
    except csv.Error as error:
        raise ValueError(
            f"{file.name}, line {reader.line_num}: {error}. Is there a quotation mark too many or "
            "too few?"
        ) from None


def check_beginning(path: Path, encoding: str) -> None:
    """ValueError for files that are no plain text in this encoding."""
    with open(path, "rb") as file:
        first = file.read(2)
    if first in BEGINNINGS and "16" not in encoding:
        raise ValueError(f"{path}: {BEGINNINGS[first]}")


def has_header(path: Path, first: Row, header: bool | None) -> bool:
    """Whether the first row has the names of the columns."""
    if header is not None:
        return header
    numbers = [is_number(cell) for cell in first.cells]
    if any(numbers) and not all(numbers):
        raise ValueError(
            f"{path}, line {first.line}: the first row has numbers and texts, {_few(first.cells)}: "
            "say header=True if these are the names of the columns, header=False if they are data"
        )
    return not any(numbers)


def check_width(path: Path, row: Row, width: int, delimiter: str) -> None:
    """ValueError unless the row has as many cells as the first one."""
    if len(row.cells) != width:
        raise ValueError(
            f"{path}, line {row.line}: {len(row.cells)} cells, but the first row has {width}: "
            f"{_few(row.cells)}"
        )
    if width == 1:
        raise ValueError(
            f"{path}, line {row.line}: one column alone, {row.cells[0]!r:.60}, and there must be "
            f"at least a feature and a target{_other_delimiter(row.cells[0], delimiter)}"
        )


def is_number(cell: str) -> bool:
    """Whether it is a number as Python writes it. (Python also reads 20_19 as one.)"""
    try:
        float(cell)
    except ValueError:
        return False
    return "_" not in cell


class Column(NamedTuple):
    """A column of the file: its name or number in words, and how its numbers are written.

    advice: what to do if it has texts
    """

    path: Path
    name: str
    decimal: str = "."
    delimiter: str = ","
    advice: str = ""

    def numbers(self, cells: Sequence[str], lines: Sequence[int]) -> np.ndarray:
        """The cells as float64 (N,), NaN where a value is missing. ValueError for anything else."""
        if self.decimal != ".":
            cells = [cell.replace(self.decimal, ".") for cell in cells]
        try:
            values = np.array(list(map(float, cells)))
            plain = "_" not in "".join(cells)
        except ValueError:
            plain = False
        if not plain:
            values = np.array([self._number(*pair) for pair in zip(cells, lines, strict=True)])
        if np.isinf(values).any():
            raise self.error(lines[int(np.argmax(np.isinf(values)))], "the value is infinite")
        return values

    def _number(self, cell: str, line: int) -> float:
        if is_number(cell):
            return float(cell)
        if cell.strip().lower() in MISSING:
            return float("nan")
        raise self.error(line, f"{cell!r:.60} is no number{self.why(cell) or self.advice}")

    def why(self, cell: str) -> str:
        """What to do about a cell that is no number, if it is plain to see."""
        other = _other_delimiter(cell, self.delimiter)
        if other:
            return other
        if COMMA.fullmatch(cell.strip()):
            return ": if the comma is a decimal comma, give decimal=','"
        return ""

    def missing(self, line: int) -> ValueError:
        """The error for a cell without a value."""
        return self.error(line, "no value; missing='drop' leaves such rows out")

    def error(self, line: int, what: str) -> ValueError:
        """The error for a cell."""
        return ValueError(f"{self.path}, line {line}, column {self.name}: {what}")

    def error_anywhere(self, what: str) -> ValueError:
        """The error for the whole column."""
        return ValueError(f"{self.path}, column {self.name}: {what}")


def _other_delimiter(cell: str, delimiter: str) -> str:
    """The advice to give another delimiter, if the cell has one in it."""
    for other in ";\t|":
        if other != delimiter and other in cell:
            return f": if {other!r} separates the columns, give delimiter={other!r}"
    return ""


def _few(cells: Sequence[str]) -> str:
    """The first cells of a row."""
    shown = ", ".join(f"{cell!r:.20}" for cell in cells[:5])
    return f"{shown}, ..." if len(cells) > 5 else shown
