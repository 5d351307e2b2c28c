"""One run of a comparison: a rule trains the network, and is measured on the way."""

from __future__ import annotations

import copy
import math
import time
import tracemalloc
from collections.abc import Sequence
from itertools import islice
from typing import Any

import numpy as np

from minigrad import backend, diagnostics, stepping
from minigrad.arguments import a_parameter
from minigrad.backend import Array
from minigrad.compare.protocol import OPTIMIZERS, Plan
from minigrad.data import Dataset
from minigrad.diagnostics.measures import SHOWN
from minigrad.evaluation import evaluate
from minigrad.feeding import Feeding
from minigrad.layers import Layer
from minigrad.losses import Loss
from minigrad.optim import Optimizer
from minigrad.rules import Rule

MEASURED = (0, 0.04, 0.1, 0.2, 0.4, 0.7, 1)  # parts of a training after which it is measured
TRIAL, TRAINING = "search", "training"


def points(steps: int) -> list[int]:
    """The steps after which a training is measured."""
    return sorted({round(part * steps) for part in MEASURED})


def carry_out(
    plan: Plan, *, seed: int, rule: str, kind: str, lr: float, steps: int
) -> dict[str, float]:
    """A run's measurements, as numbers by name. Of a trial: the validation set's at its end.

    Of a training also "curve|k|validation_loss", "quality|k|total|cosine" and
    "quality|k|layer|1|cosine", for the k-th of the points, and the test set's at its end. What is
    not finite is left out. The loss on the validation set is NaN if the run diverged.
    """
    train, validation, test = plan.sets()
    model = plan.network(seed)
    like = a_parameter(model)
    train, validation, test = (part.placed(like) for part in (train, validation, test))
    loss = plan.loss()
    teacher = plan.rule(rule, model, seed)
    optimizer = OPTIMIZERS[plan.optimizer][0](model, lr)
    probe = train.take(min(plan.probe, len(train)))
    watch = Watch(model, teacher, loss, validation, probe, plan, seed)
    if kind == TRAINING:
        watch.points = points(steps)
        found = work_of_a_step(model, teacher, loss, *_first(train, plan.batch_size))
    else:
        found = {}
    watch.begin()
    ended = trained(model, teacher, loss, optimizer, train, plan.batch_size, steps, watch)
    found |= {"steps": watch.steps, "seconds": watch.seconds}
    if not ended:
        return _finite(found | watch.found) | {"validation_loss": math.nan}
    value, accuracy = evaluated(teacher, model, loss, validation)
    found |= {"validation_loss": value, "validation_accuracy": accuracy}
    if kind == TRAINING:
        found["test_loss"], found["test_accuracy"] = evaluated(teacher, model, loss, test)
    lost = {} if math.isfinite(value) else {"validation_loss": math.nan}
    return _finite(found | watch.found) | lost


def trained(
    model: Layer,
    rule: Rule,
    loss: Loss,
    optimizer: Optimizer,
    train: Dataset,
    batch_size: int,
    steps: int,
    watch: Watch,
) -> bool:
    """As many steps as asked for, on the batches of `fit`. False: the loss is not finite any more.

    `fit` itself would end with an epoch, and would evaluate the whole training set.
    """
    feeding = Feeding(train, batch_size, True, watch.seed)
    for value in islice(stepping.steps(model, loss, rule, optimizer, feeding), steps):
        if not math.isfinite(value):
            return False
        watch.step(value)
    return True


class Watch:
    """Counts the steps of a run and their seconds, and measures it at some of them."""

    def __init__(
        self,
        model: Layer,
        rule: Rule,
        loss: Loss,
        validation: Dataset,
        probe: Dataset,
        plan: Plan,
        seed: int,
    ):
        self.parts = model, rule, loss
        self.validation = validation
        self.probe = probe
        self.plan = plan
        self.seed = seed
        self.points: Sequence[int] = ()
        self.found: dict[str, float] = {}
        self.steps = 0
        self.seconds = 0.0
        self._losses: list[float] = []
        self._since = 0.0

    def begin(self) -> None:
        """Measure before the first step, and let the time run."""
        if 0 in self.points:
            self._measure()
        self._since = time.perf_counter()

    def step(self, loss: float) -> None:
        """A step was made. The time that measuring takes does not count."""
        self.seconds += time.perf_counter() - self._since
        self.steps += 1
        self._losses.append(loss)
        if self.steps in self.points:
            self._measure()
        self._since = time.perf_counter()

    def _measure(self) -> None:
        model, rule, loss = self.parts
        k = list(self.points).index(self.steps)
        value, accuracy = evaluated(rule, model, loss, self.validation)
        self.found |= {
            f"curve|{k}|seconds": self.seconds,
            f"curve|{k}|validation_loss": value,
            f"curve|{k}|validation_accuracy": accuracy,
        }
        if self._losses:
            self.found[f"curve|{k}|train_loss"] = float(np.mean(self._losses))
            self._losses = []
        for name, number in self._quality().items():
            self.found[f"quality|{k}|{name}"] = number

    def _quality(self) -> dict[str, float]:
        """How good the rule's estimate is now, of the loss's gradient on the probe batch."""
        model, rule, loss = self.parts
        x, y = self.probe.x, self.probe.y
        try:
            found = diagnostics.quality(
                rule, model, loss, x, y, replicates=self.plan.replicates, seed=self.seed
            )
        except (TypeError, ValueError, FloatingPointError):  # what this rule cannot be asked
            return {}
        numbers = _measures("total", found.total)
        for layer, of in found.layers.items():
            numbers |= _measures(f"layer|{layer}", of)
        return numbers


# Without "error": it is bias² and variance together.
MEASURES = tuple(name for name in SHOWN if name != "error")


def _measures(where: str, of: Any) -> dict[str, float]:
    return {f"{where}|{name}": float(getattr(of, name)) for name in MEASURES}


def evaluated(rule: Rule, model: Layer, loss: Loss, dataset: Dataset) -> tuple[float, float]:
    """(loss, accuracy) on the set, of what the rule takes for the network's outputs."""
    with np.errstate(over="ignore", invalid="ignore"):  # a network that has diverged
        return evaluate(model, loss, dataset, rule=rule)


def work_of_a_step(model: Layer, rule: Rule, loss: Loss, x: Array, y: Array) -> dict[str, float]:
    """Peak bytes of the arrays that one estimate makes, and its launches. On copies.

    Bytes: of arrays on the host, which Python sees. Launches: where they can be counted.
    """
    try:
        model, rule, loss = copy.deepcopy((model, rule, loss))
    except Exception:  # a class of the user's that cannot be copied
        return {}
    found: dict[str, float] = {}
    rule.estimate(model, loss, x, y)  # what is made once is made here
    counted = getattr(backend.array_module(x), "counted", None)
    if counted is not None:
        with counted() as counts:
            rule.estimate(model, loss, x, y)
        found["launches"] = counts.launches
    if not tracemalloc.is_tracing():
        tracemalloc.start()
        try:
            rule.estimate(model, loss, x, y)
            found["peak_bytes"] = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    return found


def _first(train: Dataset, n: int) -> tuple[Array, Array]:
    return train.x[:n], train.y[:n]


def _finite(numbers: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in numbers.items() if math.isfinite(value)}
