"""The columns of a CSV file, converted part by part: a large file is never in memory as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from minigrad.data.csv.layout import Layout
from minigrad.data.csv.rows import Row, check_size, check_width


class Reader:
    """The columns as they are read, part by part."""

    def __init__(
        self,
        layout: Layout,
        inputs: list[int],
        targets: list[int],
        texts: set[int],
        missing: str,
    ):
        self.layout = layout
        self.inputs = inputs
        self.targets = targets
        self.texts = texts
        self.missing = missing
        self.lines: list[int] = []
        self.dropped = 0
        self.numbers: dict[int, list[np.ndarray]] = {c: [] for c in inputs if c not in texts}
        self.cells: dict[int, list[str]] = {c: [] for c in [*texts, *targets]}
        # of each column of numbers: the least, the largest, the largest error of rounding
        self.ranges = dict.fromkeys(self.numbers, (np.inf, -np.inf, 0.0))

    def add(self, rows: list[Row]) -> None:
        """Take some rows of the file in."""
        for row in rows:
            if len(row.cells) != self.layout.width:
                check_width(self.layout.path, row, self.layout.width, self.layout.delimiter)
        lines = [row.line for row in rows]
        columns = list(zip(*(row.cells for row in rows), strict=True))
        missing = np.zeros(len(rows), bool)
        numbers = {}
        for column in self.numbers:
            numbers[column] = self._numbers(column, columns[column], lines)
            missing |= self._check(column, np.isnan(numbers[column]), lines)
        cells = {}
        for column in self.cells:
            cells[column] = [cell.strip() for cell in columns[column]]
            empty = "" in cells[column]
            if empty:
                gaps = np.array([not cell for cell in cells[column]])
                missing |= self._check(column, gaps, lines)
        self.dropped += int(missing.sum())
        for column, values in numbers.items():
            self._append(column, values[~missing])
        keep = [not gone for gone in missing.tolist()]
        for column, texts in cells.items():
            self.cells[column] += [text for text, kept in zip(texts, keep, strict=True) if kept]
        self.lines += [line for line, kept in zip(lines, keep, strict=True) if kept]

    def _append(self, column: int, values: np.ndarray) -> None:
        rounded = values.astype(np.float32)
        self.numbers[column].append(rounded)
        if len(values):
            low, high, error = self.ranges[column]
            low, high = min(low, float(values.min())), max(high, float(values.max()))
            self.ranges[column] = low, high, max(error, float(abs(values - rounded).max()))

    def _numbers(self, column: int, cells: Sequence[str], lines: Sequence[int]) -> np.ndarray:
        told = self.layout.feature(column)
        values = told.numbers(cells, lines)
        check_size(told, values, lines)
        return values

    def _check(self, column: int, gaps: np.ndarray, lines: Sequence[int]) -> np.ndarray:
        """The gaps; ValueError for the first one, unless such rows are dropped."""
        if self.missing == "error" and gaps.any():
            raise self.layout.column(column).missing(lines[int(gaps.argmax())])
        return gaps

    def x(self, given: Mapping[int, Sequence[str]]) -> tuple[np.ndarray, list[str]]:
        """The features (N, D) float32, and what each column is.

        given: the values that a column of text may have; else those that it has, sorted
        """
        blocks = []
        titles = []
        for column in self.inputs:
            title = self.layout.title(column)
            if column in self.numbers:
                self.layout.column(column).check_digits(*self.ranges[column])
                blocks.append(np.concatenate(self.numbers[column])[:, None])
                titles.append(title)
            else:
                values = list(given.get(column, sorted(set(self.cells[column]))))
                blocks.append(self._one_hot(column, values))
                titles += [f"{title}={value}" for value in values]
        return np.concatenate(blocks, axis=1), titles

    def _one_hot(self, column: int, values: list[str]) -> np.ndarray:
        """(N, K): 1 where the cell is the value of the column, else 0."""
        number = {value: k for k, value in enumerate(values)}
        found = np.array([number.get(cell, -1) for cell in self.cells[column]])
        if (found < 0).any():
            row = int((found < 0).argmax())
            raise self.layout.column(column).error(
                self.lines[row],
                f"{self.cells[column][row]!r:.60} is none of the values in one_hot, {values}",
            )
        block = np.zeros((len(found), len(values)), np.float32)
        block[np.arange(len(found)), found] = 1
        return block
