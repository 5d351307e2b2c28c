"""A data set from a table in a CSV file: columns of numbers to x, one or more columns to y."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import cast

import numpy as np

from minigrad.data.csv.layout import Layout, Which
from minigrad.data.csv.reader import Reader
from minigrad.data.csv.rows import (
    check_beginning,
    check_header,
    check_width,
    has_header,
    read_rows,
)
from minigrad.data.csv.target import check_target, target_of
from minigrad.data.dataset import Dataset

CHUNK = 10_000  # rows that are converted at a time
ONE = (str, int, np.integer)
SEVERAL = (list, tuple)
LISTED = 30  # columns that `source` names

Categories = Sequence[Which] | Mapping[Which, Sequence[str]]


def from_csv(
    path: str | Path,
    target: Which | Sequence[Which],
    *,
    features: Sequence[Which] | None = None,
    kind: str | None = None,
    names: Sequence[str] | None = None,
    one_hot: Categories = (),
    missing: str = "error",
    header: bool | None = None,
    delimiter: str = ",",
    decimal: str = ".",
    encoding: str = "utf-8-sig",
) -> Dataset:
    """A Dataset from a CSV file: x (N, D) float32, y labels (N,) int64 or values (N, k) float32.

    target     the column to predict, by name or number (0 is the first, -1 the last). A list of
               k columns gives values (N, k)
    features   the columns of x; None: all others
    kind       "labels" or "values". None: texts and whole numbers are labels, other numbers values
    names      of the classes, in the order of their labels; None: those in the file, sorted. For
               a second file: names=train.names
    one_hot    feature columns of text: each becomes a column of 0 and 1 for each of its values,
               sorted. {"colour": ["red", "blue"]} sets the values, for a second file
    missing    "error", or "drop": rows without a value are left out. Missing are empty cells, in
               the target NaN and null, too, and in columns of numbers also NA, none and ?
    header     whether the first row has the names. None: if it has no number in it; what is
               unclear is an error
    delimiter  between the columns; `decimal`: "," for 3,14; `encoding`: of the file

    `source` names the columns. Scale them with `standardize`. ValueError with the line number for
    whatever does not fit.
    """
    path = Path(path)
    _check_options(target, kind, names, one_hot, missing, header, delimiter, decimal)
    check_beginning(path, encoding)
    with open(path, encoding=encoding, newline="") as file:
        table = read_rows(file, delimiter)
        first = next(table, None)
        if first is None:
            raise ValueError(f"{path}: the file is empty")
        check_width(path, first, len(first.cells), delimiter)
        headed = has_header(path, first, header, decimal)
        titles = [cell.strip() for cell in first.cells] if headed else None
        layout = Layout(path, titles, len(first.cells), decimal, delimiter)
        several = list(target) if isinstance(target, list | tuple) else [cast(Which, target)]
        targets = layout.find("target", several)
        check_target(len(targets), kind, names)
        inputs = layout.inputs(features, targets)
        texts = layout.find("one_hot", list(one_hot))
        _check_texts(layout, texts, inputs)
        read = Reader(layout, inputs, targets, set(texts), missing)
        second = next(table, None)
        named = [*several, *(features or ()), *one_hot]
        if headed and header is None and not any(isinstance(which, str) for which in named):
            check_header(path, first, second, decimal, delimiter)
        begun = [] if headed else [first]
        data = chain(begun, [second] if second else [], table)
        while chunk := list(islice(data, CHUNK)):
            read.add(chunk)
    given = dict(zip(texts, one_hot.values(), strict=True)) if isinstance(one_hot, Mapping) else {}
    return _dataset(read, given, kind, names)


def _dataset(
    read: Reader,
    given: Mapping[int, Sequence[str]],
    kind: str | None,
    names: Sequence[str] | None,
) -> Dataset:
    """The Dataset of what was read. given: the values that a column of text may have."""
    layout = read.layout
    told = [layout.column(column) for column in read.targets]
    cells = [read.cells[column] for column in read.targets]
    y, classes, gaps = target_of(told, cells, read.lines, kind, names)
    if read.missing == "error" and gaps.any():
        raise told[0].missing(read.lines[int(gaps.argmax())])
    rows = len(y) - int(gaps.sum())
    dropped = read.dropped + int(gaps.sum())
    left_out = f"{dropped} rows with missing values left out" if dropped else ""
    if rows == 0:
        raise ValueError(f"{layout.path}: no rows of data{left_out and f', {left_out}'}")
    x, columns = read.x(given)
    of = _listed([layout.title(column) for column in read.targets])
    source = f"{layout.path}: {of} from {_listed(columns)}"
    source += left_out and f"; {left_out}"
    return Dataset(x[~gaps], y[~gaps], source=source, names=classes)


def _listed(names: Sequence[str]) -> str:
    """The names, or the first ones of very many."""
    shown = ", ".join(names[:LISTED])
    return shown if len(names) <= LISTED else f"{shown}, ... ({len(names)} columns)"


def _check_options(
    target: object,
    kind: str | None,
    names: Sequence[str] | None,
    one_hot: Categories,
    missing: str,
    header: bool | None,
    delimiter: str,
    decimal: str,
) -> None:
    """TypeError or ValueError for arguments that are wrong whatever is in the file."""
    if not isinstance(target, (*ONE, *SEVERAL)):
        raise TypeError(f"target must be a column, by name or number, or a list, got {target!r}")
    if kind not in (None, "labels", "values"):
        raise ValueError(f'kind must be "labels", "values" or None, got {kind!r}')
    if missing not in ("error", "drop"):
        raise ValueError(f'missing must be "error" or "drop", got {missing!r}')
    if not isinstance(header, bool | np.bool_ | None):  # 0 would be False
        raise ValueError(f"header must be True, False or None, got {header!r}")
    if decimal not in (".", ","):
        raise ValueError(f'decimal must be "." or ",", got {decimal!r}')
    if not isinstance(delimiter, str) or len(delimiter) != 1:
        raise ValueError(f"delimiter must be one character, got {delimiter!r}")
    if names is not None:
        _check_values("names", names)
    if isinstance(one_hot, str | int):
        raise TypeError(f"one_hot must be a list of columns, got {one_hot!r}: write [{one_hot!r}]")
    if isinstance(one_hot, Mapping):
        for column, values in one_hot.items():
            _check_values(f"one_hot: the values of {column!r}", values)


def _check_values(name: str, values: object) -> None:
    """TypeError unless they are a list of texts, ValueError if one is there twice."""
    if not isinstance(values, SEVERAL) or not all(isinstance(value, str) for value in values):
        raise TypeError(f"{name} must be a list of texts, got {values!r:.200}")
    if len(set(values)) < len(values):
        raise ValueError(f"{name}: each may be there once, got {values!r:.200}")


def _check_texts(layout: Layout, texts: list[int], inputs: list[int]) -> None:
    for column in texts:
        if column not in inputs:
            raise ValueError(f"one_hot: column {layout.said(column)} is none of the features")
