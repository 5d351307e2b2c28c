"""What a tab has of a race, and what it is told next: only what is new to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from minigrad.live.race import Race


class Cursor:
    """How far a tab knows a race: how many points of each lane, and which views.

    show   names of the views that the tab shows
    layer  the layer whose units it shows
    """

    def __init__(self) -> None:
        self.race = 0
        self.revision = -1  # of the message "race" that the tab has
        self.generation = -1
        self.have: list[int] = []
        self.seen: dict[tuple[int, str], Any] = {}
        self.show: frozenset[str] = frozenset()
        self.layer: str | None = None

    def begin(self, race: Race) -> None:
        """Forget everything: the tab sees another race."""
        self.race = race.number
        self.generation = -1
        self.have = [0] * len(race.lanes)
        self.seen = {}

    def look(self, show: frozenset[str], layer: str | None) -> None:
        """The tab shows other views: those that were hidden are sent again."""
        kept = self.show & show if layer == self.layer else (self.show & show) - {"units"}
        self.seen = {key: at for key, at in self.seen.items() if key[1] in kept}
        self.show = show
        self.layer = layer

    def frame(self, race: Race) -> dict[str, Any]:
        """The message "frame". Runs beside the training, which only ever appends to points."""
        generation = getattr(race, "generation", 0)
        if generation != self.generation:
            self.generation = generation
            self.have = [0] * len(race.lanes)
        lanes = [self._lane(k, lane) for k, lane in enumerate(race.lanes)]
        return {
            "kind": "frame",
            "race": race.number,
            "generation": generation,
            "step": race.done,
            "lanes": lanes,
        }

    def _lane(self, k: int, lane: Any) -> dict[str, Any]:
        points: Mapping[str, list[Any]] = lane.points
        there = min(len(of) for of in points.values())  # a point that is half written is not sent
        begin = min(self.have[k], there)
        self.have[k] = there
        return {
            "status": lane.status,
            "why": lane.why,
            "lr": lane.settings.lr,
            "from": begin,
            "points": {name: of[begin:there] for name, of in points.items()},
            "views": self._views(k, getattr(lane, "views", {})),
        }

    def _views(self, k: int, views: Mapping[str, Any]) -> dict[str, Any]:
        fresh = {}
        for name in self.show & views.keys():
            view = views[name]
            key = (view.get("at"), view.get("layer"))
            if view.get("layer", self.layer) == self.layer and self.seen.get((k, name)) != key:
                self.seen[k, name] = key
                fresh[name] = view
        return fresh
