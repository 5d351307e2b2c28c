"""A lane of a race: one network that one rule trains."""

from __future__ import annotations

import math
import time
from typing import Any

from minigrad import models
from minigrad.compare.rules import RULES
from minigrad.data import Dataset
from minigrad.evaluation import evaluate
from minigrad.feeding import Feeding
from minigrad.live.settings import LaneSettings, Settings
from minigrad.losses import CrossEntropyLoss
from minigrad.optim import SGD
from minigrad.stepping import steps


class Lane:
    """A network, its rule and its optimiser. `step()` makes one step of `fit`.

    status  "running", "diverged", or "left out" (the rule cannot train this network); `why` says it
    points  {"step": [...], "loss": [...], "accuracy": [...], "seconds": [...]}: the curves so far.
            loss is the mean of the steps since the last point, accuracy that of the test examples
    """

    def __init__(self, settings: Settings, lane: LaneSettings, train: Dataset, test: Dataset):
        self.settings = lane
        self.test = test
        size = math.prod(train.x.shape[1:])
        sizes = (size, *settings.hidden, int(train.classes or 0))
        self.model = models.mlp(sizes, settings.activation, seed=settings.seed)
        self.loss = CrossEntropyLoss()
        self.rule = RULES[lane.rule].make(self.model, settings.seed)
        self.optimizer = SGD(self.model, lane.lr)
        self.why = self.rule.why_not(self.model, self.loss)
        self.status = "left out" if self.why else "running"
        feeding = Feeding(train, settings.batch_size, True, settings.seed)
        self._steps = steps(self.model, self.loss, self.rule, self.optimizer, feeding)
        self.done = 0
        self.seconds = 0.0
        self._losses: list[float] = []
        self.points: dict[str, list[float]] = {
            name: [] for name in ("step", "loss", "accuracy", "seconds")
        }

    def step(self) -> None:
        """One step, unless the lane has ended."""
        if self.status != "running":
            return
        since = time.perf_counter()
        value = next(self._steps)
        self.seconds += time.perf_counter() - since
        if not math.isfinite(value):
            self.status, self.why = "diverged", f"the loss is {value} at step {self.done + 1}"
            return
        self.done += 1
        self._losses.append(value)

    def measure(self) -> None:
        """Add a point to the curves."""
        if not self._losses:
            return
        accuracy = evaluate(self.model, self.loss, self.test, rule=self.rule)[1]
        points = self.points
        points["step"].append(self.done)
        points["loss"].append(sum(self._losses) / len(self._losses))
        points["accuracy"].append(accuracy)
        points["seconds"].append(self.seconds)
        self._losses = []

    def described(self, number: int) -> dict[str, Any]:
        """What the page must know of the lane once."""
        return {
            "id": number,
            "rule": self.settings.rule,
            "title": RULES[self.settings.rule].title,
            "cost": self.rule.cost,
            "lr": self.settings.lr,
            "status": self.status,
            "why": self.why,
        }
