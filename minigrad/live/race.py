"""A race: lanes that start from the same weights and get the same batches."""

from __future__ import annotations

import math
import threading
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from minigrad import backend
from minigrad.arguments import in_words
from minigrad.live import measuring, rules, sets
from minigrad.live.curves import Curves
from minigrad.live.lanes import Lane, labels
from minigrad.live.settings import Settings


class Known(NamedTuple):
    """What a page has of a race: `Race.frame` says what is new since then."""

    race: int = 0
    generation: int = 0
    settled: int = 0
    stamp: int = 0


NOTHING = Known()


class Race:
    """All lanes. `advance()` makes a step in the next of them; a step in each is a round.

    number   counts the races of a server: the page forgets its curves when it changes
    edition  counts the changes of rates and options: the page gets the race anew
    unfit    {rule: why it cannot train this network}, of all rules that cannot
    done     rounds so far
    turn     the lane that is next; 0 between two rounds
    The worker's thread calls all methods, but `frame` and `described`, which any thread may call.
    """

    def __init__(self, settings: Settings, number: int = 1):
        self.settings = settings
        self.number = number
        self.edition = 0
        self.train, self.test = sets.load(
            settings.data, settings.data_noise, settings.label_noise, settings.seed
        )
        first = Lane(settings, settings.lanes[0], self.train, self.test)
        rest = [Lane(settings, lane, first.train, first.test) for lane in settings.lanes[1:]]
        self.lanes = [first, *rest]  # they share the data, which are placed on the device once
        plane = sets.SETS[settings.data].plane
        self.looking = measuring.Looking(
            probe=measuring.probe(first.train, settings.batch_size, settings.seed),
            reach=measuring.reach(self.train) if plane else None,
            layer=None,
        )
        size = math.prod(self.train.x.shape[1:])
        self.unfit = rules.unfit(first.model, first.loss, size)
        self.curves = Curves(len(self.lanes))
        self.done = 0
        self.turn = 0
        self._lock = threading.Lock()
        self._stamp = 0
        self._views: list[dict[str, tuple[int, Any]]] = [{} for _ in self.lanes]
        self._cosines: list[float | None] = [None for _ in self.lanes]  # for the next point

    @property
    def running(self) -> bool:
        """Whether a lane still trains."""
        return any(lane.running for lane in self.lanes)

    def advance(self) -> None:
        """The next lane's step. After the last lane the round is done."""
        self.lanes[self.turn].step()
        self.turn = (self.turn + 1) % len(self.lanes)
        if self.turn == 0:
            self.done += 1

    def end_round(self) -> None:
        """The steps that are missing in a round that has begun."""
        while self.turn:
            self.advance()

    def round(self) -> None:
        """One step in each lane."""
        self.end_round()
        self.advance()
        self.end_round()

    def measure(self, show: frozenset[str] = frozenset()) -> None:
        """Add a point to every lane's curves, and renew views of all lanes."""
        self.add_points()
        for name in sorted(show):
            for k in range(len(self.lanes)):
                self.look(name, k)

    def add_points(self) -> None:
        """Add a point to every lane's curves."""
        rows: list[dict[str, Any] | None] = []
        for k, lane in enumerate(self.lanes):
            try:
                row = lane.point()
            except Exception as error:  # a rule whose outputs fail
                lane.end("failed", f"failed at step {lane.done}: {in_words(error)}")
                row = None
            if row is not None:
                row["cosine"], self._cosines[k] = self._cosines[k], None
            rows.append(row)
        if any(row is not None for row in rows):
            with self._lock:
                self.curves.add(self.done, rows)

    def look(self, name: str, number: int) -> None:
        """Renew a view of a lane. One that has ended keeps its last."""
        lane = self.lanes[number]
        if not lane.running and name in self._views[number]:
            return
        found = measuring.view(name, lane, self.looking)
        if name == "cosine" and found is not None:
            self._cosines[number] = found["total"]
        with self._lock:
            self._stamp += 1
            self._views[number][name] = self._stamp, found

    def show_units(self, layer: str | None) -> None:
        """Whose units are shown, by the layer's flat name; None: the first hidden layer's."""
        if layer is not None and layer not in measuring.hidden(self.lanes[0]):
            names = ", ".join(measuring.hidden(self.lanes[0])) or "none"
            raise ValueError(f"layer {layer!r:.20} has no hidden units; layers that have: {names}")
        self.looking = self.looking._replace(layer=layer)
        with self._lock:
            for views in self._views:
                views.pop("units", None)

    def change(self, number: int, **values: Any) -> None:
        """A lane's lr, directions or update_probability, from its next step on."""
        lane = self.lane(number)
        lane.change(**values)
        lanes = list(self.settings.lanes)
        lanes[number] = lane.settings
        self.settings = replace(self.settings, lanes=tuple(lanes))
        self.edition += 1

    def lane(self, number: int) -> Lane:
        """The lane of this number. ValueError: there is none."""
        if not 0 <= number < len(self.lanes):
            raise ValueError(f"there are lanes 0 to {len(self.lanes) - 1}, got {number}")
        return self.lanes[number]

    @property
    def classes(self) -> list[str]:
        """What the classes are called."""
        return list(self.train.names or map(str, range(self.train.classes or 0)))

    def described(self) -> dict[str, Any]:
        """The message "race"."""
        names = labels(self.settings.lanes)
        model = self.lanes[0].model
        return {
            "kind": "race",
            "race": self.number,
            "settings": self.settings.as_dict(),
            "address": self.settings.to_text(),
            "lanes": [lane.described(k, names[k]) for k, lane in enumerate(self.lanes)],
            "layers": [prefix.removesuffix(".") for prefix, leaf in model.leaves() if leaf.params],
            "hidden": measuring.hidden(self.lanes[0]),
            "unfit": self.unfit,
            "classes": self.classes,
            "plane": self._plane(),
        }

    def _plane(self) -> dict[str, Any] | None:
        """The training examples as points."""
        if self.looking.reach is None:
            return None
        r = self.looking.reach
        y = backend.to_host(self.train.y)
        noisy = np.flatnonzero(y != backend.to_host(self.train.clean_y))
        x = np.round(backend.to_host(self.train.x).astype("float64"), 4)
        plane = {"x": x.tolist(), "y": y.tolist(), "noisy": noisy.tolist()}
        return plane | {"range": [-r, r, -r, r]}

    def frame(self, known: Known = NOTHING) -> tuple[dict[str, Any], Known]:
        """The message "frame": what is new since a page knew this much; and what it knows then."""
        with self._lock:
            curves = self.curves
            same = (known.race, known.generation) == (self.number, curves.generation)
            settled = known.settled if same else 0
            stamp = known.stamp if known.race == self.number else 0
            points = curves.after(settled)
            now = Known(self.number, curves.generation, curves.settled, self._stamp)
            views = [
                {name: view for name, (at, view) in of.items() if at > stamp} for of in self._views
            ]
            done = self.done
        lanes = [
            {
                "status": lane.status,
                "why": lane.why,
                "lr": lane.settings.lr,
                "from": points[k][0],
                "points": points[k][1],
                "views": views[k],
            }
            for k, lane in enumerate(self.lanes)
        ]
        message = {"kind": "frame", "race": self.number, "generation": now.generation}
        return message | {"step": done, "lanes": lanes}, now
