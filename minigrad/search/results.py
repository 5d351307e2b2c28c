"""What a search found: its runs, tables over the settings, the best combination."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from minigrad.search import record
from minigrad.search.row import key

LOSS = "validation_loss"


@dataclass(frozen=True)
class Cell:
    """One combination of settings: the metric's mean and standard deviation over its seeds."""

    metric: str
    settings: dict[str, Any]
    mean: float
    spread: float
    runs: int

    def __str__(self) -> str:
        at = ", ".join(f"{k}={short(v)}" for k, v in self.settings.items())
        seeds = f" (mean of {self.runs} seeds)" if self.runs > 1 else ""
        return f"{self.metric} {with_spread(self.mean, self.spread)} at {at}{seeds}"


@dataclass(frozen=True)
class Table:
    """A metric over the grid: arrays with one dimension for each of `axes` {name: values}.

    mean      over the seeds. NaN if a run diverged or failed, and if there is no run
    spread    the standard deviation over the seeds, sqrt(Σ(x - mean)² / (n - 1)). NaN for one seed
    runs, diverged, failed
              the number of runs of each kind; `runs` are those that neither diverged nor failed
    highest   True if the highest value is the best one
    """

    axes: dict[str, list[Any]]
    metric: str
    mean: np.ndarray
    spread: np.ndarray
    runs: np.ndarray
    diverged: np.ndarray
    failed: np.ndarray
    highest: bool = False

    @property
    def best(self) -> tuple[int, ...] | None:
        """The place of the best mean, an index into `mean`. None if all are NaN."""
        if np.isnan(self.mean).all():
            return None
        at = np.nanargmax(self.mean) if self.highest else np.nanargmin(self.mean)
        return tuple(int(i) for i in np.unravel_index(at, self.mean.shape))

    def turned(self, *names: str) -> Table:
        """The same table with the dimensions in this order.

        A dimension that is not named is left out. It must have one value.
        """
        for name in names:
            if name not in self.axes:
                raise ValueError(f"there is no setting {name!r}: the table has {list(self.axes)}")
        left_out = [name for name in self.axes if name not in names]
        for name in left_out:
            if len(self.axes[name]) > 1:
                raise ValueError(
                    f"{name!r} has several values and cannot be left out: name it too, or choose "
                    f"one of its values before, results.where({name}={self.axes[name][0]!r})"
                )
        order = [*names, *left_out]
        shape = [len(self.axes[name]) for name in names]
        places = [list(self.axes).index(name) for name in order]
        arrays = {
            name: getattr(self, name).transpose(places).reshape(shape)
            for name in ("mean", "spread", "runs", "diverged", "failed")
        }
        return replace(self, axes={name: self.axes[name] for name in names}, **arrays)

    def words(self, at: tuple[int, ...]) -> str:
        """The text for a cell: "2.303 ± 0.004", "2 of 3 diverged", or "" if there is no run."""
        if not math.isnan(self.mean[at]):
            return with_spread(self.mean[at], self.spread[at])
        lost = {"diverged": self.diverged[at], "failed": self.failed[at]}
        n = self.runs[at] + sum(lost.values())
        parts = [kind if k == n else f"{k} of {n} {kind}" for kind, k in lost.items() if k]
        return ", ".join(parts)

    def __str__(self) -> str:
        *down, across = self.axes
        head = [*down, *(f"{across}={short(v)}" for v in self.axes[across])]
        lines = [head]
        for at in np.ndindex(*self.mean.shape[:-1]):
            labels = [short(self.axes[name][i]) for name, i in zip(down, at, strict=True)]
            cells = [self.words((*at, k)) for k in range(self.mean.shape[-1])]
            if self.best is not None and self.best[:-1] == at:
                cells[self.best[-1]] += " *"
            lines.append(labels + cells)
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        title = f"{self.metric}, {'highest' if self.highest else 'lowest'} *"
        rows = ("  ".join(f"{t:>{w}}" for t, w in zip(line, widths, strict=True)) for line in lines)
        return "\n  ".join([title, *rows])

    __repr__ = __str__


class Results:
    """The runs of a search, as `rows`: dicts with settings, seed, status, results and more.

    axes  {name: values}, in the order of the tables. None: all values in the rows, sorted
    """

    def __init__(
        self, rows: Iterable[dict[str, Any]], axes: Mapping[str, Sequence[Any]] | None = None
    ):
        self.rows = list(rows)
        if axes is None:
            names = dict.fromkeys(name for row in self.rows for name in row["settings"])
            with_name = {k: [row for row in self.rows if k in row["settings"]] for k in names}
            axes = {k: _ordered(row["settings"][k] for row in with_name[k]) for k in names}
        self.axes = {name: list(values) for name, values in axes.items()}
        for row in self.rows:
            for name, values in self.axes.items():
                if name not in row["settings"]:
                    raise ValueError(
                        f"a run has no setting {name!r}: it has {row['settings']}; runs with other "
                        "settings belong into other Results"
                    )
                if row["settings"][name] not in values:
                    raise ValueError(
                        f"a run has {name}={row['settings'][name]!r}, which is none of the values "
                        f"in the axes: {values}"
                    )

    @classmethod
    def load(cls, path: str | Path, tag: str | None = None) -> Results:
        """The runs of one tag in a file that `grid` wrote. Of a repeated run, the last row."""
        rows = record.read(path)
        tags = sorted({row["tag"] for row in rows})
        if tag is None and len(tags) > 1:
            raise ValueError(f"{path} holds runs of several tags: choose one of {tags}")
        wanted = {key(row): row for row in rows if tag is None or row["tag"] == tag}
        if not wanted:
            raise ValueError(f"{path} holds no runs with the tag {tag!r}: its tags are {tags}")
        return cls(wanted.values())

    @property
    def failed(self) -> list[dict[str, Any]]:
        """The rows of the runs that raised. They have row["error"] and row["traceback"]."""
        return [row for row in self.rows if row["status"] == "failed"]

    @property
    def metrics(self) -> list[str]:
        """The names of what the runs measured."""
        return list(dict.fromkeys(name for row in self.rows for name in row["results"]))

    def where(self, **settings: Any) -> Results:
        """The runs with these settings. where(momentum=0.9) keeps the other axes whole."""
        for name, value in settings.items():
            if value not in self.axes.get(name, ()):
                raise ValueError(f"no run has {name}={value!r}: the axes are {self.axes}")
        rows = [row for row in self.rows if settings.items() <= row["settings"].items()]
        return Results(rows, self.axes | {name: [value] for name, value in settings.items()})

    def table(self, metric: str = LOSS, highest: bool | None = None) -> Table:
        """The metric over the grid, with means over the seeds.

        highest  True if the highest value is the best one. None: True for an accuracy
        A combination has no mean if one of its runs diverged or failed. The mean of the other
        seeds would make it look better than it is.
        """
        if not self.rows:
            raise ValueError("there are no runs to make a table of")
        places = {
            name: {value: i for i, value in enumerate(values)} for name, values in self.axes.items()
        }
        shape = tuple(len(values) for values in self.axes.values())
        values: dict[tuple[int, ...], list[float]] = {at: [] for at in np.ndindex(*shape)}
        lost = {kind: np.zeros(shape, int) for kind in ("diverged", "failed")}
        for row in self.rows:
            at = tuple(places[name][row["settings"][name]] for name in self.axes)
            if row["status"] in lost:
                lost[row["status"]][at] += 1
            elif metric in row["results"]:
                values[at].append(row["results"][metric])
            else:
                raise ValueError(f"no metric {metric!r}: the runs measured {self.metrics}")
        mean = np.full(shape, np.nan)
        spread = np.full(shape, np.nan)
        for at, cell in values.items():
            if cell and not lost["diverged"][at] and not lost["failed"][at]:
                mean[at] = np.mean(cell)
                if len(cell) > 1:
                    spread[at] = np.std(cell, ddof=1)
        runs = np.array([len(cell) for cell in values.values()]).reshape(shape)
        highest = metric.endswith("accuracy") if highest is None else highest
        return Table(self.axes, metric, mean, spread, runs, **lost, highest=highest)

    def best(self, metric: str = LOSS, highest: bool | None = None) -> Cell:
        """The combination with the best mean over the seeds. Of equal ones, the first.

        A combination that diverged or failed with one of its seeds is never the best.
        """
        table = self.table(metric, highest)
        at = table.best
        if at is None:
            errors = "".join(f"; {row.get('error', '')}" for row in self.failed[:1])
            raise ValueError(
                "every combination diverged or failed with at least one seed, so there is no best "
                f"one: {self._counts()}{errors}"
            )
        settings = {name: v[i] for (name, v), i in zip(self.axes.items(), at, strict=True)}
        return Cell(
            metric, settings, float(table.mean[at]), float(table.spread[at]), int(table.runs[at])
        )

    def _counts(self) -> str:
        status = [row["status"] for row in self.rows]
        kinds = ("done", "diverged", "failed")
        return ", ".join(f"{status.count(kind)} {kind}" for kind in kinds if kind in status)

    def __str__(self) -> str:
        lines = [f"{len(self.rows)} runs: {self._counts()}"]
        metrics = self.metrics
        if metrics:
            lines.append(str(self.table(LOSS if LOSS in metrics else metrics[0])))
        return "\n".join([*lines, *map(why_failed, self.failed)])

    __repr__ = __str__


def why_failed(row: dict[str, Any]) -> str:
    """A failed run in one line."""
    at = ", ".join(f"{k}={short(v)}" for k, v in row["settings"].items())
    reason = next(iter(row.get("error", "").strip().splitlines()), "no reason is given")
    return f"failed: {at}, seed={row['seed']}: {reason}"


def short(value: Any) -> str:
    """A setting as short text: 0.1, 4.64e-4, relu."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return str(value)
    if value == 0 or 1e-2 <= abs(value) < 1e5:
        return f"{value:.3g}" if abs(value) < 1000 else f"{value:g}"
    mantissa, exponent = f"{value:.2e}".split("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"


def with_spread(mean: float, spread: float) -> str:
    """A mean with its spread, if that is not NaN: "2.303 ± 0.0041"."""
    words = significant(mean, 4)
    return words if math.isnan(spread) else f"{words} ± {significant(spread, 2)}"


def significant(value: float, digits: int) -> str:
    """A number with this many significant digits: 0.1200, 14.25, 1424, 1e-09, 2e+07."""
    if value != 0 and not 1e-4 <= abs(value) < 1e5:
        return f"{value:.{digits}g}"
    before = 1 if value == 0 else math.floor(math.log10(abs(value))) + 1
    return f"{value:.{max(0, digits - before)}f}"


def _ordered(values: Iterable[Any]) -> list[Any]:
    """Each value once. Numbers are sorted, others keep their order."""
    values = list(dict.fromkeys(values))
    numbers = all(type(v) in (int, float) for v in values)
    return sorted(values) if numbers else values
