"""What the process of one block does."""

from __future__ import annotations

import math
import multiprocessing
import pickle
import signal
import time
import traceback
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from minigrad import threads
from minigrad.asynchronous.channel import Channel, view
from minigrad.asynchronous.timeline import KINDS
from minigrad.data import Dataset
from minigrad.layers import Dropout
from minigrad.rules.synthetic.blocks import Block
from minigrad.rules.synthetic.sweeps import draw


class Stopped(Exception):
    """The run is over before its end; nobody waits for this block any more."""


@dataclass
class Place:
    """Where one block's process stands: what it is connected to, and what is shared by all.

    number, of   this block's number, from 0, and how many there are
    from_below   activations from the block below (None for the first)
    to_above     activations for the block above (None for the top)
    from_above   gradients at what went to_above, the answers (None for the top)
    to_below     gradients at what came from_below (None for the first)
    labels, x    shared data; x for the first block only
    stop         shared, not 0: end the run
    progress     shared, for each block its steps so far; -1: not there yet
    last_loss    shared, the last batch's loss
    started      shared, when the first block began
    """

    number: int
    of: int
    from_below: Channel | None
    to_above: Channel | None
    from_above: Channel | None
    to_below: Channel | None
    labels: Any
    x: Any
    stop: Any
    progress: Any
    last_loss: Any
    started: Any


@dataclass
class Plan:
    """What is to be done; the same for all blocks.

    locked   wait for the gradient from above: backprop
    lag      how many batches a block may be ahead of the answers to its predictions; None: any
    lrs      (lr, its share of the start's) of the optimiser, for each epoch, or for each step, as
             `per` says; empty without a schedule
    """

    epochs: range
    batch_size: int
    shuffle: bool
    seed: int
    locked: bool
    lag: int | None
    lrs: list[tuple[float, float]]
    per: str | None
    snapshots: frozenset[int]
    threads: int


def main(place: Place, plan: Plan, payload: bytes, pipe: Any) -> None:
    """A process's life: work, and say how it ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    try:
        threads.set_threads(plan.threads)
        worker = Worker(place, plan, payload, pipe)
        with np.errstate(over="ignore", invalid="ignore"):
            worker.run()
        pipe.send(("done", worker.result()))
    except Stopped:
        pass
    except BrokenPipeError:  # the parent is gone
        pass
    except BaseException as error:
        pipe.send(("error", f"{type(error).__name__}: {error}", traceback.format_exc()))
    finally:
        pipe.close()


def streams(block: Block) -> dict[str, Any]:
    """The random streams of a block's layers that draw, by their place."""
    return {
        prefix: layer.generators for prefix, layer in block.leaves() if isinstance(layer, Dropout)
    }


class Worker:
    """One block, its optimiser, the module on its output, and who is updated when."""

    def __init__(self, place: Place, plan: Plan, payload: bytes, pipe: Any):
        self.place, self.plan, self.pipe = place, plan, pipe
        kit = pickle.loads(payload)
        self.block, self.optimizer, self.module = kit["block"], kit["optimizer"], kit["module"]
        self.loss, self.probability, self.rng = kit["loss"], kit["probability"], kit["rng"]
        self.pending: deque[tuple[int, np.ndarray, np.ndarray]] = deque()  # not yet answered
        self.predicted = 0  # the step whose activation the module has seen last
        self.step = self.updates = self.last_update = 0
        self.losses: list[float] = []
        self.told = 0  # how many of them the parent knows
        self.events: list[tuple[float, ...]] = []

    def run(self) -> None:
        labels = view(self.place.labels)
        x = view(self.place.x) if self.place.x else np.zeros((len(labels), 1), "float32")
        self._begin()
        data, plan = Dataset(x, labels, classes=int(labels.max()) + 1), self.plan
        for e, epoch in enumerate(plan.epochs):
            if plan.per == "epoch":
                self._set_lr(e)
            rng = np.random.default_rng((plan.seed, epoch)) if plan.shuffle else None
            for batch_x, target in data.batches(plan.batch_size, rng):
                if plan.per == "step":
                    self._set_lr(self.step)
                self.step += 1
                self._check()
                h_in = self.place.from_below.get(self._check) if self.place.from_below else batch_x
                if plan.locked:
                    self._locked_step(h_in, target)
                else:
                    self._decoupled_step(h_in, target)
                self.place.progress[self.place.number] = self.step
            if epoch in plan.snapshots:
                news = self.losses[self.told :]
                self.told = len(self.losses)
                state = self.block.state_dict(), news, time.perf_counter()
                self.pipe.send(("epoch", epoch, state))
        self._settle(-1)

    def _begin(self) -> None:
        """Say that this block is ready; the first waits for all: the clock starts then."""
        place = self.place
        place.progress[place.number] = 0
        while place.number == 0 and min(place.progress) < 0:
            self._check()
            time.sleep(0.005)
        if place.number == 0:
            place.started.value = time.perf_counter()

    def _check(self) -> None:
        """Raise Stopped when the run is over, or the parent is gone."""
        if self.place.stop.value or not multiprocessing.parent_process().is_alive():
            raise Stopped

    def _set_lr(self, t: int) -> None:
        self._settle(
            None if self.plan.lag is None else self.plan.lag - 1
        )  # what is owed to the steps before, at their rate
        self.optimizer.lr, factor = self.plan.lrs[t]
        if self.module is not None:
            self.module.rescale(factor)

    def _decoupled_step(self, h_in: np.ndarray, target: np.ndarray) -> None:
        """Forward; hand on the activation; update by the module's word, waiting for nobody."""
        i, drawn = self.place.number, draw(self.rng, self.probability, self.place.of)
        if self.place.to_above is None:
            self._top_step(h_in, target, drawn[i])
            return
        self._settle(self.plan.lag)
        with self._at("forward"):
            h = self.block.forward(h_in)
        self.place.to_above.put(h, self._check)
        if drawn[i] or drawn[i + 1]:
            with self._at("module"):
                dh_hat = self.module.predict(h, target)
                self.predicted = self.step
        if drawn[i + 1]:
            self.pending.append((self.step, h, target))
        if drawn[i]:
            self._update(dh_hat)

    def _settle(self, lag: int | None) -> None:
        """Let the module learn from the answers that have come.

        It waits for answers that are more than `lag` steps late; -1: for all.
        """
        while self.pending:
            step, h, target = self.pending[0]
            if lag is not None and step < self.step - lag:
                dh = self.place.from_above.get(self._check)
            else:
                dh = self.place.from_above.poll()
            if dh is None:
                return
            self.pending.popleft()
            with self._at("module", step):
                if self.predicted != step:
                    self.module.predict(h, target)
                    self.predicted = step
                self.module.learn(dh)

    def _top_step(self, h_in: np.ndarray, target: np.ndarray, drawn: bool) -> None:
        with self._at("forward"):
            value = self.loss.forward(self.block.forward(h_in), target)
        self._note(value)
        if drawn:
            self._update(self.loss.backward())

    def _locked_step(self, h_in: np.ndarray, target: np.ndarray) -> None:
        """Backprop: forward, hand on, wait for the gradient, backward, hand down."""
        with self._at("forward"):
            h = self.block.forward(h_in)
            if self.place.to_above is None:
                self._note(self.loss.forward(h, target))
        if self.place.to_above is None:
            dh = self.loss.backward()
        else:
            self.place.to_above.put(h, self._check)
            dh = self.place.from_above.get(self._check)
        self._update(dh)

    def _update(self, dh: np.ndarray) -> None:
        """This block's gradients from dh at its output; what they mean below goes down."""
        with self._at("backward"):
            if self.place.to_below is None:
                self.block.backward_params(dh)
                back = None
            else:
                back = self.block.backward(dh)
        if back is not None:
            self.place.to_below.put(back, self._check)
        with self._at("backward"):
            self.optimizer.step()
        self.updates += 1
        self.last_update = self.step

    def _note(self, value: float) -> None:
        self.losses.append(value)
        self.place.last_loss.value = value
        if not math.isfinite(value):
            self.pipe.send(("diverged", self.step, value))
            raise Stopped

    @contextmanager
    def _at(self, kind: str, step: int | None = None) -> Iterator[None]:
        start, cpu = time.perf_counter(), time.thread_time()
        yield
        row = KINDS.index(kind), step or self.step, start, time.perf_counter()
        self.events.append((*row, time.thread_time() - cpu))

    def result(self) -> dict[str, Any]:
        """All that the parent takes back."""
        return {
            "block": self.block.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "module": self.module.state_dict() if self.module is not None else None,
            "updates": self.updates,
            "last_update": self.last_update,
            "losses": self.losses,
            "events": np.array(self.events, float).reshape(-1, 5),
            "rng": self.rng,
            "streams": streams(self.block),
        }
