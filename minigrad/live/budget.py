"""How often a training is looked at, so that it keeps most of the time for itself."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable

POINTS = "points"
SHARE = 0.08  # of the time, for the points of the curves
MOST = 0.15  # for them, where SHARE would give fewer than SMOOTH in a second
SMOOTH = 16.0
RATE = 18.0  # points in a second, at most: a page gets as many frames
FOR_VIEWS = 0.07  # of the time, for all views together
LOOKS = 6.0  # views of one kind of one lane in a second, at most
MEMORY = 8  # measurements of which the cost is the mean


class Budget:
    """Says what is due to be measured. After a measurement of c seconds the next one waits.

    It waits until c is no more than its share of the time since it began: c/share seconds. All
    together take `MOST` and `FOR_VIEWS` of the time at most, however much is shown.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter):
        self.clock = clock
        self._next: dict[str, float] = {}
        self._costs: dict[str, deque[float]] = {}

    def due(self, names: Iterable[str]) -> list[str]:
        """Those that may be measured now."""
        now = self.clock()
        return [name for name in names if self._next.get(name, now) <= now]

    def spent(self, name: str, since: float, views: int = 1, rate: float = RATE) -> None:
        """A measurement that began at `since` has ended. `views`: how many are shown."""
        costs = self._costs.setdefault(name, deque(maxlen=MEMORY))
        costs.append(self.clock() - since)
        cost = sum(costs) / len(costs)
        wait = cost / (SHARE if name == POINTS else FOR_VIEWS / max(1, views))
        if name == POINTS and wait > 1 / SMOOTH:
            wait = max(1 / SMOOTH, cost / MOST)
        self._next[name] = since + max(1 / rate, wait)
