"""Which columns of a CSV file are meant: by name where there is a header, else by number."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from minigrad.data.csv.rows import Column

Which = str | int


class Layout(NamedTuple):
    """The columns of a file. `titles`: their names, None if there is no header."""

    path: Path
    titles: list[str] | None
    width: int
    decimal: str
    delimiter: str

    def said(self, column: int) -> str:
        """A column by its name, or by its number."""
        return repr(self.titles[column]) if self.titles else str(column)

    def title(self, column: int) -> str:
        return self.titles[column] if self.titles else f"column {column}"

    def column(self, column: int) -> Column:
        return Column(self.path, self.said(column), self.decimal, self.delimiter)

    def feature(self, column: int) -> Column:
        """A column of x: its errors also say what to do with texts."""
        name = self.titles[column] if self.titles else column
        advice = (
            ". Leave a column of text out, with features=[...], or give "
            f"one_hot=[{name!r}]: a column of 0 and 1 for each of its values"
        )
        return self.column(column)._replace(advice=advice)

    def find(self, argument: str, columns: Sequence[Which]) -> list[int]:
        """The numbers of columns given by name or number."""
        if isinstance(columns, str | int):
            raise TypeError(f"{argument} must be a list of columns, got {columns!r}")
        found = [self._one(argument, which) for which in columns]
        if len(set(found)) < len(found):
            raise ValueError(f"{argument}: a column is named twice in {list(columns)}")
        return found

    def _one(self, argument: str, which: Which) -> int:
        there = ", ".join(map(repr, self.titles)) if self.titles else f"0 to {self.width - 1}"
        if isinstance(which, bool) or not isinstance(which, str | int | np.integer):
            raise TypeError(f"{argument}: a column is a name or a number, got {which!r}")
        if not isinstance(which, str):
            if not -self.width <= which < self.width:
                raise ValueError(
                    f"{self.path}: {argument} is column {which}, and there are {self.width} columns"
                )
            return int(which) % self.width
        if self.titles is None:
            raise ValueError(
                f"{self.path}: {argument} is {which!r}, but the file has no names of columns. Give "
                f"its number, {there}; or header=True if the first row has the names"
            )
        if self.titles.count(which) != 1:
            how = "two columns have" if which in self.titles else "no column has"
            raise ValueError(
                f"{self.path}: {argument}: {how} the name {which!r}. The columns are {there:.1000}"
                f"{', so give its number' * (which in self.titles)}"
            )
        return self.titles.index(which)

    def inputs(self, features: Sequence[Which] | None, targets: list[int]) -> list[int]:
        """The columns of x."""
        if not targets:
            raise ValueError("target must name at least one column")
        if features is None:
            found = [column for column in range(self.width) if column not in targets]
            unnamed = [column for column in found if self.titles and not self.titles[column]]
            if unnamed:
                raise ValueError(
                    f"{self.path}: column {unnamed[0]} has no name. (Tables of pandas are saved so "
                    "with the numbers of their rows.) Choose the columns with features=[...]"
                )
        else:
            found = self.find("features", features)
        if not found:
            raise ValueError(f"{self.path}: there is no column for x beside the target")
        both = [self.said(column) for column in found if column in targets]
        if both:
            raise ValueError(f"column {both[0]} is among the features and is the target, too")
        return found
