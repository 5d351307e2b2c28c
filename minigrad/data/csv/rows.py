"""The rows of a CSV file, and what is wrong with a cell, in words and with its line number."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, TextIO

import numpy as np

NO_VALUE = {"", "nan", "-nan", "null", "<na>", "#n/a"}  # in any column, in any case
MISSING = NO_VALUE | {"na", "n/a", "none", "?"}  # in a column of numbers
COMMA = re.compile(r"[-+]?[\d.]*\d,\d+([eE][-+]?\d+)?")
THOUSANDS = re.compile(r"[-+]?\d{1,3}(,\d{3})+(\.\d*)?")
EXACT = 2**24  # float32 has every whole number up to this one
BEGINNINGS = {
    b"\xd0\xcf": "an old Excel file: save the table as CSV",
    b"PK": "an Excel file (or another zip): save the table as CSV",
    b"\xff\xfe": "UTF-16: give encoding='utf-16'",
    b"\xfe\xff": "UTF-16: give encoding='utf-16'",
    b"\x1f\x8b": "gzipped: unzip it first",
}


class Row(NamedTuple):
    """The number of its last line in the file, and its cells."""

    line: int
    cells: list[str]


def read_rows(file: TextIO, delimiter: str) -> Iterator[Row]:
    """The rows that are not blank. ValueError with the line number for what is no CSV."""
    reader = csv.reader(file, delimiter=delimiter, skipinitialspace=True, strict=True)
    try:
        for cells in reader:
            if cells:
                yield Row(reader.line_num, cells)
    except UnicodeError as error:
        encoding = getattr(error, "encoding", file.encoding)
        raise ValueError(
            f"{file.name}: after line {reader.line_num} there are bytes that are not {encoding}: "
            "give the file's encoding, as encoding='cp1252' (Windows)"
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


def has_header(path: Path, first: Row, header: bool | None, decimal: str = ".") -> bool:
    """Whether the first row has the names of the columns. ValueError if that is unclear."""
    if first.cells[0].lower().startswith("sep="):
        raise ValueError(
            f"{path}, line {first.line}: {first.cells[0]!r:.20} is a note for Excel: delete this "
            "line, and give the delimiter that it names"
        )
    if header is not None:
        return bool(header)
    numbers = [is_number(cell.replace(decimal, ".")) for cell in first.cells]
    what = ""
    if any(numbers) and not all(numbers):
        what = "has numbers and texts"
    elif [cell.strip() for cell in first.cells] == [str(i) for i in range(len(first.cells))]:
        what = "counts the columns, as pandas does for columns without names"
    if what:
        raise ValueError(
            f"{path}, line {first.line}: the first row {what}, {_few(first.cells)}: "
            "say header=True if these are the names of the columns, header=False if they are data"
        )
    return not any(numbers)


def check_header(path: Path, first: Row, second: Row | None, decimal: str, delimiter: str) -> None:
    """ValueError if the first row may be names or data, since no number tells."""
    if second is None or any(_other_delimiter(cell, delimiter) for cell in second.cells):
        return  # no number is seen, since the cells are not yet the right ones
    if not any(is_number(cell.replace(decimal, ".")) for cell in second.cells):
        raise ValueError(
            f"{path}, line {first.line}: neither in the first row nor in the second one is a "
            f"number: say header=True if {_few(first.cells)} are the names of the columns, "
            "header=False if they are data"
        )


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
            self._check_no_points(cells, lines)
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

    def _check_no_points(self, cells: Sequence[str], lines: Sequence[int]) -> None:
        """With decimal commas, points separate thousands: 1.234 is not a bit more than 1."""
        if "." not in "".join(cells):
            return
        row = next(i for i, cell in enumerate(cells) if "." in cell)
        raise self.error(
            lines[row],
            f"{cells[row]!r:.60} has a point, and decimal=',' is given: take points between "
            "thousands out of the file",
        )

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
        comma = COMMA.fullmatch(cell.strip())
        advice = ": if the comma is a decimal comma, give decimal=','" if comma else ""
        if THOUSANDS.fullmatch(cell.strip()):
            advice += "; " if advice else ": "
            advice += "if commas separate thousands, take them out of the file"
        return advice

    def check_digits(self, low: float, high: float, error: float) -> None:
        """ValueError if float32 has not the digits in which numbers from low to high differ.

        error: by how much one was rounded, at most
        """
        if max(-low, high) > EXACT and high > low and error > 0.01 * (high - low):
            raise self.error_anywhere(
                f"float32 keeps about 7 digits, and the numbers from {low:.15g} to {high:.15g} "
                "differ only behind them. Subtract a number from all of them in the file"
            )

    def missing(self, line: int) -> ValueError:
        """The error for a cell without a value."""
        return self.error(line, "no value; missing='drop' leaves such rows out")

    def error(self, line: int, what: str) -> ValueError:
        """The error for a cell."""
        return ValueError(f"{self.path}, line {line}, column {self.name}: {what}")

    def error_anywhere(self, what: str) -> ValueError:
        """The error for the whole column."""
        return ValueError(f"{self.path}, column {self.name}: {what}")


def check_size(column: Column, values: np.ndarray, lines: Sequence[int]) -> None:
    """ValueError for a number that float32 does not have."""
    large = np.abs(values) > np.finfo(np.float32).max
    if large.any():
        raise column.error(lines[int(large.argmax())], "the number is too large for float32")


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
