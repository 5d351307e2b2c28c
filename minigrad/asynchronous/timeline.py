"""Which block worked when."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

KINDS = ("forward", "backward", "module")


@dataclass(frozen=True)
class Timeline:
    """What the process of each block did, and when.

    events  for each block an array (E, 5): kind (a place in KINDS), step (from 1), start and end
            in seconds since the first event of all blocks, and processor seconds. These are fewer
            than end - start if the process had to wait for a core
    """

    events: list[np.ndarray]

    @classmethod
    def of(cls, events: list[np.ndarray]) -> Timeline:
        """The timeline of events whose start and end are times on the machine's clock."""
        first = min((float(e[:, 2].min()) for e in events if len(e)), default=0.0)
        shifted = []
        for e in events:
            e = np.array(e, float).reshape(-1, 5)
            e[:, 2:4] -= first
            shifted.append(e)
        return cls(shifted)

    def during(self, start: float, stop: float) -> Timeline:
        """The events between two times, in seconds.

        An event that begins before `start`, or ends after `stop`, is cut off there.
        """
        if not start < stop:
            raise ValueError(f"expected start < stop, got start={start} and stop={stop}")
        found = []
        for e in self.events:
            e = e[(e[:, 3] > start) & (e[:, 2] < stop)].copy()
            length = e[:, 3] - e[:, 2]
            e[:, 2:4] = e[:, 2:4].clip(start, stop)
            e[:, 4] *= (e[:, 3] - e[:, 2]) / np.maximum(length, 1e-12)
            e[:, 2:4] -= start
            found.append(e)
        return Timeline(found)

    @property
    def seconds(self) -> float:
        """From the first start to the last end."""
        return max((float(e[:, 3].max()) for e in self.events if len(e)), default=0.0)

    @property
    def at_work(self) -> float:
        """How many blocks work at once, on average. 1 if each waits for the one before."""
        return self._share(sum(float((e[:, 3] - e[:, 2]).sum()) for e in self.events))

    @property
    def cores(self) -> float:
        """How many processor cores are used at once, on average."""
        return self._share(sum(float(e[:, 4].sum()) for e in self.events))

    @property
    def overlap(self) -> float:
        """The share of the time in which two or more blocks work."""
        if not self.events:
            return 0.0
        edges = np.concatenate([np.stack([e[:, 2], np.ones(len(e))], 1) for e in self.events])
        ends = np.concatenate([np.stack([e[:, 3], -np.ones(len(e))], 1) for e in self.events])
        both = np.concatenate([edges, ends])
        both = both[np.lexsort((both[:, 1], both[:, 0]))]  # at equal times an end comes first
        busy = np.cumsum(both[:, 1])[:-1]
        return self._share(float(np.diff(both[:, 0])[busy >= 2].sum()))

    @property
    def ahead(self) -> float:
        """The share of the steps in which the first block is updated before the top block begins.

        0 for backprop on any machine: there the first block is updated last.
        """
        if not self.events:
            return 0.0
        stepped: dict[float, float] = {}
        begun: dict[float, float] = {}
        for _, step, _, end, _ in self._of(self.events[0], "backward"):
            stepped[step] = max(end, stepped.get(step, end))
        for _, step, start, _, _ in self._of(self.events[-1], "forward"):
            begun[step] = start
        both = stepped.keys() & begun.keys()
        return sum(stepped[s] <= begun[s] for s in both) / len(both) if both else 0.0

    @staticmethod
    def _of(events: np.ndarray, kind: str) -> np.ndarray:
        return events[events[:, 0] == KINDS.index(kind)]

    def _share(self, seconds: float) -> float:
        return seconds / self.seconds if self.seconds else 0.0

    def as_dict(self) -> dict[str, Any]:
        """All numbers by name, for results.json."""
        return {
            "seconds": self.seconds,
            "blocks at work": self.at_work,
            "cores": self.cores,
            "overlap": self.overlap,
            "ahead": self.ahead,
        }
