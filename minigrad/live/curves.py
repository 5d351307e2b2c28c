"""The points of a lane's curves: a limited number, however long the race is."""

from __future__ import annotations

from typing import Any

MOST = 600  # points of a lane
NAMES = ("step", "loss", "accuracy", "seconds", "work", "cosine")


class Curves:
    """Points of all lanes. Those that are settled never change; one more after them is the newest.

    A new point becomes settled when it is at least `distance` rounds behind the last settled one,
    and replaces the newest otherwise. When there are `MOST` points, every two become one, the
    distance doubles, and `generation` is a new one.

    settled   how many points are settled
    """

    def __init__(self, lanes: int):
        self.generation = 0
        self.settled = 0
        self.distance = 1
        self.rounds: list[int] = []  # at each settled point
        self.points: list[dict[str, list[Any]]] = [
            {name: [] for name in NAMES} for _ in range(lanes)
        ]
        self._losses = [(0.0, 0) for _ in range(lanes)]  # sum and number since the settled point

    def add(self, done: int, rows: list[dict[str, Any] | None]) -> None:
        """A point for each lane, after `done` rounds. None: the lane has ended before.

        A row has NAMES, and "count" and "sum": of the losses since the last point.
        """
        for lane, row in enumerate(rows):
            points = self.points[lane]
            if row is None:
                continue
            total, count = self._losses[lane]
            total, count = total + row["sum"], count + row["count"]
            self._losses[lane] = total, count
            row = row | {"loss": total / count if count else None}
            kept = len(points["step"]) > self.settled  # there is a newest point: it is replaced
            for name in NAMES:
                if kept:
                    old = points[name].pop()
                    if name == "cosine" and row[name] is None:
                        row = row | {name: old}
                points[name].append(row[name])
        if not self.rounds or done - self.rounds[-1] >= self.distance:
            self._settle(done)

    def _settle(self, done: int) -> None:
        self.rounds.append(done)
        self.settled = len(self.rounds)
        self._losses = [(0.0, 0) for _ in self.points]
        if self.settled >= MOST:
            self._thin()

    def _thin(self) -> None:
        """Every two points become one: the later one, with the mean of the losses between."""
        self.generation += 1
        starts = [0, *self.rounds]
        self.rounds = self.rounds[1::2]
        self.settled = len(self.rounds)
        self.distance = max(1, 2 * (starts[-1] - starts[1]) // (len(starts) - 2))
        for points in self.points:
            n = len(points["step"])
            losses = _merged(points["loss"], points["step"])
            cosines = [
                b if b is not None else a
                for a, b in zip(points["cosine"][::2], points["cosine"][1::2], strict=False)
            ]
            for name in NAMES:
                points[name] = points[name][1::2] + points[name][n - 1 :] * (n % 2)
            points["loss"] = losses
            points["cosine"] = cosines + points["cosine"][len(cosines) :]

    def after(self, settled: int) -> list[tuple[int, dict[str, list[Any]]]]:
        """Of each lane (how many points are before, the points after them).

        A page that had `settled` points of a lane then has all; a lane that has ended has fewer.
        """
        found = []
        for points in self.points:
            before = min(settled, len(points["step"]))
            found.append((before, {name: values[before:] for name, values in points.items()}))
        return found


def _merged(losses: list[Any], steps: list[int]) -> list[Any]:
    """The mean of the losses of every two points, each counted by its steps. A last one stays."""
    lengths = [b - a for a, b in zip([0, *steps], steps, strict=False)]
    found = []
    for i in range(0, len(losses) - 1, 2):
        a, b = lengths[i], lengths[i + 1]
        found.append((losses[i] * a + losses[i + 1] * b) / (a + b))
    return found + losses[len(losses) - len(losses) % 2 :]
