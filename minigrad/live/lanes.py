"""A lane of a race: one network that one rule trains."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from minigrad import models
from minigrad.arguments import a_parameter, in_words
from minigrad.data import Dataset
from minigrad.evaluation import evaluate
from minigrad.feeding import Feeding
from minigrad.layers import Layer, Sequential, Softmax
from minigrad.live import rules
from minigrad.live.protocol import finite
from minigrad.live.settings import LaneSettings, Settings
from minigrad.live.trail import Trail
from minigrad.losses import CrossEntropyLoss
from minigrad.optim import SGD, Adam, Optimizer
from minigrad.rules import Rule
from minigrad.stepping import steps

MAKE: dict[str, Callable[[Layer, float], Optimizer]] = {
    "sgd": SGD,
    "momentum": lambda model, lr: SGD(model, lr, momentum=0.9),
    "adam": Adam,
}


def network(settings: Settings, lane: LaneSettings, train: Dataset) -> Sequential:
    """A lane's network with its first weights."""
    size = math.prod(train.x.shape[1:])
    sizes = (size, *settings.hidden, int(train.classes or 0))
    net = models.mlp(sizes, settings.activation, seed=settings.seed)
    return Sequential(*net.layers, Softmax()) if lane.softmax_twice else net


class Lane:
    """A network, its rule and its optimiser. `step()` makes one step of `fit`.

    status   "running"; "left out", the rule cannot train this network; "diverged", the loss is not
             finite; "failed", the rule has raised an error. `why` says it in a sentence
    rule     None if it cannot even be made
    done     steps so far; `seconds` they took, `work` forward-equivalents
    """

    def __init__(self, settings: Settings, lane: LaneSettings, train: Dataset, test: Dataset):
        self.settings = lane
        self.seed = settings.seed
        self.model = network(settings, lane, train)
        like = a_parameter(self.model)
        self.train = train.placed(like)
        self.test = test.placed(like)
        self.loss = CrossEntropyLoss()
        self.optimizer = MAKE[settings.optimizer](self.model, lane.lr)
        size = math.prod(train.x.shape[1:])
        self.rule: Rule | None
        self.why: str | None
        self.rule, self.why = rules.fitted(
            lane.rule, self.model, self.loss, size, self.seed, *self._options()
        )
        self.status = "left out" if self.why or self.rule is None else "running"
        self.done = 0
        self.seconds = 0.0
        self.work = 0.0
        self.losses: list[float] = []  # since the last point of the curves
        self.trail = Trail(self.model)
        if self.rule is not None:
            feeding = Feeding(self.train, settings.batch_size, True, self.seed)
            self._steps = steps(self.model, self.loss, self.rule, self.optimizer, feeding)

    def _options(self) -> tuple[int, float]:
        return self.settings.directions, self.settings.update_probability

    @property
    def running(self) -> bool:
        return self.status == "running"

    @property
    def cost(self) -> float | None:
        """Forward-equivalents of a step. None: there is no rule, or it does not say."""
        return None if self.rule is None else rules.cost(self.rule)

    def step(self) -> None:
        """One step, unless the lane has ended. Whatever its rule raises ends this lane alone."""
        if not self.running:
            return
        since = time.perf_counter()
        try:
            value = next(self._steps)
        except Exception as error:
            self.end("failed", f"failed at step {self.done + 1}: {in_words(error)}")
            return
        self.seconds += time.perf_counter() - since
        if not math.isfinite(value):
            said = "not a number (nan)" if math.isnan(value) else f"infinite ({value})"
            why = f"the loss was {said}; a smaller learning rate may help"
            self.end("diverged", f"diverged at step {self.done + 1}: {why}")
            return
        self.done += 1
        self.work += self.cost or 0.0
        self.losses.append(value)
        self.trail.add(self.done, self.model)

    def end(self, status: str, why: str) -> None:
        """No more steps."""
        self.status, self.why = status, why

    def point(self) -> dict[str, Any] | None:
        """What `Curves.add` takes. None: the lane has not moved since the last point."""
        if not self.losses:
            return None
        losses, self.losses = self.losses, []
        return {
            "step": self.done,
            "accuracy": finite(self.accuracy()),
            "seconds": self.seconds,
            "work": self.work,
            "cosine": None,
            "sum": math.fsum(losses),
            "count": len(losses),
        }

    def accuracy(self) -> float:
        """On the test examples, of what the rule takes for the network's outputs."""
        with np.errstate(over="ignore", invalid="ignore"):
            return evaluate(self.model, self.loss, self.test, rule=self.rule)[1]

    def change(self, **values: Any) -> None:
        """Another learning rate or option, from the next step on. ValueError for what is none."""
        settings = replace(self.settings, **values)
        own = rules.options(settings.rule)
        if wrong := [name for name in values if name != "lr" and name not in own]:
            raise ValueError(f"{rules.title(settings.rule)} has no {wrong[0]}")
        self.settings = settings
        self.optimizer.lr = settings.lr
        if self.rule is not None and own:
            rules.change(settings.rule, self.rule, self.model, self.seed, *self._options())

    def described(self, number: int, label: str) -> dict[str, Any]:
        """What the page must know of the lane once."""
        settings = self.settings
        return {
            "id": number,
            "rule": settings.rule,
            "title": rules.title(settings.rule),
            "label": label,
            "cost": self.cost,
            "lr": settings.lr,
            "directions": settings.directions,
            "update_probability": settings.update_probability,
            "softmax_twice": settings.softmax_twice,
            "options": list(rules.options(settings.rule)),
            "status": self.status,
            "why": self.why,
        }


def labels(lanes: tuple[LaneSettings, ...]) -> list[str]:
    """A short name for each lane. Lanes of one rule are told apart by what differs in them."""
    found = []
    for lane in lanes:
        others = [other for other in lanes if other.rule == lane.rule]
        own = rules.options(lane.rule)
        parts = [rules.title(lane.rule)]
        if "directions" in own and (lane.directions != 1 or _differ(others, "directions")):
            parts.append(f"K = {lane.directions}")
        if "update_probability" in own and lane.update_probability != 1:
            parts.append(f"p = {lane.update_probability:g}")
        if lane.softmax_twice or _differ(others, "softmax_twice"):
            parts.append("two softmaxes" if lane.softmax_twice else "one softmax")
        if _differ(others, "lr"):
            parts.append(f"lr {lane.lr:g}")
        found.append(", ".join(parts))
    return found


def _differ(lanes: list[LaneSettings], name: str) -> bool:
    return len({getattr(lane, name) for lane in lanes}) > 1
