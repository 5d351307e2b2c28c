"""Every number that a tour says is so: the races are run.

With MINIGRAD_TOURS=all these are all tours, with three seeds: some minutes. Otherwise one seed, and
not the tour that takes longest.
"""

import os
from dataclasses import replace

import numpy as np
import pytest

from minigrad.diagnostics import class_recall, quality
from minigrad.live.race import Race
from minigrad.live.tours import ALL

pytestmark = [pytest.mark.on_host, pytest.mark.slow]
EVERY = os.environ.get("MINIGRAD_TOURS") == "all"
TOURS = [tour for tour in ALL if EVERY or tour.name != "memorising-noise"]
LAST = 20  # the loss is the mean of so many steps


class Raced:
    """A race that is run step by step, with its last losses."""

    def __init__(self, settings, seed):
        self.race = Race(replace(settings, seed=settings.seed + seed))
        self.losses = [[] for _ in self.race.lanes]

    def run(self, until):
        while self.race.done < until:
            self.race.round()
            for lane, losses in zip(self.race.lanes, self.losses, strict=True):
                losses.extend(lane.losses)
                del losses[:-LAST], lane.losses[:]

    def value(self, measure, k):
        lane = self.race.lanes[k]
        if measure == "accuracy":
            return lane.accuracy()
        if measure == "loss":
            return np.mean(self.losses[k]) if lane.running else np.inf
        if measure == "cost":
            return lane.rule.cost
        if measure == "classes":
            return np.sum(class_recall(lane.model, lane.test.x, lane.test.y) > 0)
        batch = self.race.looking.probe  # on which the page measures it
        found = quality(lane.rule, lane.model, lane.loss, batch.x, batch.y, replicates=32)
        names = list(found.layers)
        layer = {"first layer": names[0], "last layer": names[-1]}.get(measure)
        assert layer or measure == "cosine"
        return (found.layers[layer] if layer else found.total).cosine

    def wrong(self, seen):
        """The sentences that are not so, with the number there is."""
        for one in seen:
            value = self.value(one.measure, one.lane)
            if one.minus is not None:
                value = value - self.value(one.measure, one.minus)
            # the least number must be beaten, or just be reached up to rounding
            below = one.least is not None and value < one.least - 1e-9
            if below or (one.most is not None and value > one.most + 1e-9):
                yield f"{one.sentence()} (it is {value:.4g})"


@pytest.mark.parametrize("seed", range(3 if EVERY else 1))
@pytest.mark.parametrize("tour", TOURS, ids=lambda tour: tour.name)
def test_what_a_tour_says_is_so(tour, seed):
    wrong = []
    for step in tour.steps:
        if step.settings is not None:
            raced = Raced(step.settings, seed)
        raced.run(step.until or 0)
        wrong += [f"{step.title}: {text}" for text in raced.wrong(step.seen)]
        if step.tried is not None:
            other = Raced(step.tried, seed)
            other.run(step.tried_until)
            wrong += [f"tried: {text}" for text in other.wrong(step.answered)]
    assert not wrong, "\n".join(wrong)
