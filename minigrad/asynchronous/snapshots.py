"""The states that the blocks have sent: they are evaluated, saved, and put back into the model."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from minigrad.arguments import diverged
from minigrad.asynchronous.place import Plan
from minigrad.asynchronous.presses import Presses
from minigrad.data import Dataset
from minigrad.evaluation import measure
from minigrad.history import History, extend
from minigrad.layers import Layer
from minigrad.loop import Position
from minigrad.losses import Loss
from minigrad.metrics.named import Metric
from minigrad.optim import Optimizer, Schedule
from minigrad.rules import Rule, SyntheticGradients
from minigrad.rules.synthetic.blocks import Block


class Snapshots:
    """The states of all blocks after some steps, and the history that is made of them.

    parts     {step: {block: its state after this step}}
    last      the last step of the run
    recorded  the history goes up to this step
    complete  False: Ctrl-C has ended the evaluation of an epoch
    started   shared; the time at which block 0 began
    """

    started: Any = None

    def __init__(
        self,
        model: Layer,
        blocks: list[Block],
        loss: Loss,
        rule: Rule,
        optimizer: Optimizer,
        schedule: Schedule | None,
        plan: Plan,
        history: History,
        sets: tuple[Dataset, Dataset | None, Dataset | None],
        trained: float = 0.0,
        metrics: Mapping[str, Metric] | None = None,
    ):
        """
        sets     to train on, to test on, to validate on
        trained  seconds of training since the last evaluation, before this run
        metrics  {name: function}
        """
        self.model = model
        self.blocks = blocks
        self.loss = loss
        self.rule = rule
        self.optimizer = optimizer
        self.schedule = schedule
        self.plan = plan
        self.history = history
        self.sets = sets
        self.trained = trained
        self.metrics = metrics or {}
        self.parts: dict[int, dict[int, dict[str, Any]]] = {}
        self.recorded = plan.before
        self.steps = -(-len(sets[0]) // plan.batch_size)  # in an epoch
        self.last = plan.epochs[-1] * self.steps
        self.complete = True
        self.clock: float | None = None  # the time at which the last evaluated epoch ended
        self._t = schedule.t if schedule is not None else 0
        net = getattr(rule, "decoupled", None)
        self._counts = (net.steps, list(net.updates), list(net.last_update)) if net else None

    def add(self, step: int, i: int, state: dict[str, Any]) -> None:
        """Keep what block i has sent of its state after a step."""
        self.parts.setdefault(step, {}).setdefault(i, {}).update(state)

    def whole(self) -> list[int]:
        """The steps after which all blocks have sent their state, in order."""
        L = len(self.blocks)
        return sorted(step for step, states in self.parts.items() if len(states) == L)

    def news(self) -> list[int]:
        """Those of them that are not in the history yet."""
        return [step for step in self.whole() if step > self.recorded]

    def epoch(self, step: int) -> int:
        """The epoch that the step belongs to."""
        return 1 + (step - 1) // self.steps

    def evaluated(self, step: int) -> bool:
        """Whether the state after this step is to be evaluated."""
        return step % self.steps == 0 and self.epoch(step) in self.plan.evaluated

    def record(self, step: int, presses: Presses) -> bool:
        """Extend the history up to this step. False, and nothing changes, if Ctrl-C is pressed."""
        history = self.history
        if self.evaluated(step):
            row: dict[str, float] = {}
            if not presses.allow(lambda: self._measure(step, row)):
                return False
            extend(history, self.epoch(step), self.seconds(step), row, self.metrics)
            self.clock = self._ended(step)
            if not math.isfinite(row["train_loss"]) and history.stopped is None:
                history.stopped = diverged(row["train_loss"], step, self.epoch(step))
        self._note(step)
        return True

    def _measure(self, step: int, row: dict[str, float]) -> None:
        """Evaluate the state after this step."""
        self._load(step)
        with np.errstate(over="ignore", invalid="ignore"):
            row |= measure(self.model, self.loss, *self.sets, self.metrics, rule=self.rule)

    def _ended(self, step: int) -> float:
        """The time at which the last block had made this step."""
        return max(state["clock"] for state in self.parts[step].values())

    def seconds(self, step: int) -> float:
        """From the last evaluated epoch, or from the start, to this step."""
        before = self.clock if self.clock is not None else self.started.value - self.trained
        return max(0.0, self._ended(step) - before)

    def _note(self, step: int) -> None:
        """The losses up to this step have their place in the history."""
        self.history.step_loss += self.parts[step][len(self.blocks) - 1]["losses"]
        self.recorded = step

    def record_all(self, presses: Presses) -> None:
        """Extend the history by all that is whole. After Ctrl-C it is not evaluated any more."""
        evaluate = True
        for step in self.news():
            if evaluate and not self.record(step, presses):
                evaluate = self.complete = False
                text = f"interrupted while evaluating epoch {self.epoch(step)}"
                self.history.stopped = self.history.stopped or text
            if not evaluate:
                self._note(step)

    def forget(self) -> None:
        """Drop the states before the last one that is whole and in the history."""
        done = [step for step in self.whole() if step <= self.recorded]
        for step in done[:-1]:
            del self.parts[step]

    def position(self, step: int) -> dict[str, Any]:
        """Where the run is after this step, as `mg.fit` says it in its checkpoints."""
        trained = self.seconds(step) if step in self.parts else self.trained
        epoch = 1 + step // self.steps
        return asdict(Position(0, epoch, batch=step % self.steps, trained=trained))

    def put_back(self, step: int) -> None:
        """Set the model to the state after a step; with a whole state, all that trains it, too."""
        states = self.parts[step]
        self._load(step)
        if not all("optimizer" in states[i] for i in range(len(self.blocks))):
            return
        flat: dict[str, Any] = {"lr": self.optimizer.lr}
        for i, block in enumerate(self.blocks):
            for number, layer in enumerate(block.modules()):
                if number in states[i]["streams"]:
                    layer.set_rng_state(states[i]["streams"][number])
            for inner, outer in block.keys().items():
                flat |= {
                    f"{outer}.{kind}": states[i]["optimizer"][f"{inner}.{kind}"]
                    for kind in self.optimizer.state_names
                    if f"{inner}.{kind}" in states[i]["optimizer"]
                }
        self.optimizer.load_state_dict(flat, finite=False)  # a run may have diverged
        top = len(self.blocks) - 1
        _draw_on(self.loss, states[top]["random"].get("loss"))  # the top block alone has used it
        if self._counts is not None and isinstance(self.rule, SyntheticGradients):
            net = self.rule.decoupled
            before, updates, last_update = self._counts
            net.steps = before + step - self.plan.before
            net.rng = states[0]["rng"]
            for i, state in states.items():
                if i < net.top:
                    net.modules[i].load_state_dict(state["module"])
                    _draw_on(net.modules[i], state["random"].get("module"))
                net.updates[i] = updates[i] + state["updates"]
                net.last_update[i] = last_update[i]
                if state["updates"]:
                    net.last_update[i] = before + state["last_update"]
        if self.schedule is not None:
            moves = step - self.plan.before
            if self.schedule.per == "epoch":
                moves = step // self.steps - self.plan.before // self.steps
            self.schedule.t = self._t + moves
            self.optimizer.lr, factor = self.plan.lrs[moves]
            self.rule.rescale(factor)

    def _load(self, step: int) -> None:
        for i, block in enumerate(self.blocks):
            block.load_state_dict(self.parts[step][i]["block"])


def _draw_on(part: Any, state: dict[str, Any] | None) -> None:
    """Set the random streams of a part, if it has any."""
    if state:
        part.set_rng_state(state)
