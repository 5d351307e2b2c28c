"""A race: lanes that start from the same weights and get the same batches."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from minigrad import data
from minigrad.live.lanes import Lane
from minigrad.live.settings import Settings


class Race:
    """All lanes. `round()` makes a step in each of them.

    number  counts the races of a server: the page forgets its curves when it changes
    """

    def __init__(self, settings: Settings, number: int = 1):
        self.settings = settings
        self.number = number
        train, test = data.load("digits")
        self.lanes = [Lane(settings, lane, train, test) for lane in settings.lanes]
        self.done = 0

    def round(self) -> None:
        """One step in each lane."""
        for lane in self.lanes:
            lane.step()
        self.done += 1

    def measure(self, show: frozenset[str] = frozenset()) -> None:
        """Add a point to every lane's curves, and renew the views that somebody looks at."""
        for lane in self.lanes:
            lane.measure()

    def set_rate(self, number: int, lr: float) -> None:
        """A lane's learning rate, from its next step on."""
        lane = self.lanes[number]
        lane.settings = replace(lane.settings, lr=lr)
        lane.optimizer.lr = lr

    def described(self) -> dict[str, Any]:
        """The message "race"."""
        lanes = [lane.described(k) for k, lane in enumerate(self.lanes)]
        settings = self.settings.as_dict()
        return {"kind": "race", "race": self.number, "settings": settings, "lanes": lanes}

    def frame(self, have: int = 0) -> dict[str, Any]:
        """The message "frame": the points after the first `have` of each lane."""
        lanes = [
            {
                "status": lane.status,
                "why": lane.why,
                "from": have,
                "points": {name: of[have:] for name, of in lane.points.items()},
            }
            for lane in self.lanes
        ]
        return {"kind": "frame", "race": self.number, "step": self.done, "lanes": lanes}
