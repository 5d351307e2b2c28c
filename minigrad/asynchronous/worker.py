"""The work of one process: it trains one block of the network."""

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
from itertools import islice
from typing import Any

import numpy as np

from minigrad import threads
from minigrad.asynchronous.channel import view
from minigrad.asynchronous.place import Place, Plan
from minigrad.asynchronous.timeline import KINDS
from minigrad.data import Dataset
from minigrad.rules.synthetic.sweeps import draw


class Stopped(Exception):
    """The run has been ended before its last step."""


def main(place: Place, plan: Plan, kit: Any, pipe: Any) -> None:
    """What the new process runs: the work, and a message about its end.

    kit   a pipe: the objects that the process works with come through it
    pipe  the messages to the parent go through it
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C
    try:
        threads.set_threads(plan.threads)
        worker = Worker(place, plan, kit.recv_bytes(), pipe)
        with np.errstate(over="ignore", invalid="ignore"):
            worker.run()
        pipe.send(("done", worker.rest(), worker.timeline()))
    except Stopped:
        pass
    except (BrokenPipeError, EOFError):  # the parent has ended
        pass
    except BaseException as error:
        pipe.send(("error", f"{type(error).__name__}: {error}", traceback.format_exc()))
    finally:
        pipe.close()


class Worker:
    """One block with its optimiser and the module on its output, and when they are updated."""

    def __init__(self, place: Place, plan: Plan, payload: bytes, pipe: Any):
        self.place = place
        self.plan = plan
        self.pipe = pipe
        kit = pickle.loads(payload)
        self.block = kit["block"]
        self.optimizer = kit["optimizer"]
        self.module = kit["module"]
        self.loss = kit["loss"]
        self.probability = kit["probability"]
        self.rng = kit["rng"]
        # (step, h, target) of the predictions whose answer has not come yet
        self.pending: deque[tuple[int, np.ndarray, np.ndarray]] = deque()
        self.predicted = 0  # the step of the activation that the module was last given
        self.step = 0  # of this run, counted from 1
        self.updates = 0
        self.last_update = 0
        self.losses: list[float] = []  # since the last message to the parent
        self.events: list[tuple[float, ...]] = []

    def run(self) -> None:
        """All epochs."""
        plan = self.plan
        labels = view(self.place.labels)
        x = view(self.place.x) if self.place.x else np.zeros((len(labels), 1), "float32")
        steps = -(-len(labels) // plan.batch_size)
        made = plan.before % steps  # of the first epoch
        self._begin()
        classes = ignored = None
        if labels.dtype.kind in "iu":
            classes = max(1, int(labels.max()) + 1)
            ignored = min(0, int(labels.min())) or None  # below 0 are those that do not count
        data = Dataset(x, labels, classes=classes, ignore_index=ignored)
        for e, epoch in enumerate(plan.epochs):
            if plan.per == "epoch":
                self._set_lr(e)
            rng = np.random.default_rng((plan.seed, epoch)) if plan.shuffle else None
            batches = islice(data.batches(plan.batch_size, rng), made if e == 0 else 0, None)
            for batch_x, target in batches:
                if plan.per == "step":
                    self._set_lr(self.step)
                self.step += 1
                self._check()
                self._answer()
                below = self.place.below
                h_in = batch_x if below is None else below.receive.get(self._check)
                if plan.locked:
                    self._locked_step(h_in, target)
                else:
                    self._decoupled_step(h_in, target)
                whole = self.made % steps == 0
                if self._due() or (whole and epoch in plan.after):
                    self._send()
                self.place.progress[self.place.number] = self.step
        self._settle(-1)

    @property
    def made(self) -> int:
        """The step of the whole run: with those that were made before this process began."""
        return self.plan.before + self.step

    def _answer(self) -> None:
        """Block 0: if the parent wants a state of all blocks, it is to be that after this step.

        The others learn of it in time: they get the activation of this step after it was set. The
        parent asks again only when it has the state of every block.
        """
        place = self.place
        if place.number == 0 and place.asked.value:
            place.cut.value = self.made
            place.asked.value = 0

    def _due(self) -> bool:
        """Whether the state is to be sent after this step, which may be within an epoch."""
        every = self.plan.every
        return self.made == self.place.cut.value or (every > 0 and self.made % every == 0)

    def _send(self) -> None:
        """Send the state after this step to the parent.

        In a whole state no prediction waits for its answer. So the states of all blocks after one
        step fit together, however far the blocks are apart when they send them.
        """
        state = self.state()
        if self.plan.whole:
            self._settle(-1)
            state |= self.rest()
        self.pipe.send(("state", self.made, state))

    def _begin(self) -> None:
        """Tell the others that this block is ready. Block 0 waits for all, and starts the clock."""
        place = self.place
        place.progress[place.number] = 0
        while place.number == 0 and min(place.progress) < 0:
            self._check()
            time.sleep(0.005)
        if place.number == 0:
            place.started.value = time.perf_counter()

    def _check(self) -> None:
        """Raise Stopped if the run has been ended, or if the parent process has."""
        parent = multiprocessing.parent_process()
        if self.place.stop.value or parent is None or not parent.is_alive():
            raise Stopped

    def _set_lr(self, t: int) -> None:
        # Answers to earlier steps that are due: the module learns from them at the old rate.
        self._settle(None if self.plan.lag is None else self.plan.lag - 1)
        self.optimizer.lr, factor = self.plan.lrs[t]
        if self.module is not None:
            self.module.rescale(factor)

    def _decoupled_step(self, h_in: np.ndarray, target: np.ndarray) -> None:
        """Forward, send the activation, update by the gradient that the module predicts."""
        i = self.place.number
        above = self.place.above
        drawn = draw(self.rng, self.probability, self.place.of)
        if above is None:
            self._top_step(h_in, target, drawn[i])
            return
        self._settle(self.plan.lag)
        with self._at("forward"):
            h = self.block.forward(h_in)
        above.send.put(h, self._check)
        if drawn[i] or drawn[i + 1]:
            with self._at("module"):
                dh_hat = self.module.predict(h, target)
                self.predicted = self.step
        if drawn[i + 1]:
            self.pending.append((self.step, h, target))
        if drawn[i]:
            self._update(dh_hat)

    def _settle(self, lag: int | None) -> None:
        """Let the module learn from the answers of the block above, in their order.

        It waits for an answer that is more than `lag` steps late, with -1 for all answers. With
        None it does not wait.
        """
        above = self.place.above
        while self.pending and above is not None:
            step, h, target = self.pending[0]
            if lag is not None and step < self.step - lag:
                dh: np.ndarray | None = above.receive.get(self._check)
            else:
                dh = above.receive.poll()
            if dh is None:
                return
            self.pending.popleft()
            with self._at("module", step):
                if self.predicted != step:
                    self.module.predict(h, target)
                    self.predicted = step
                self.module.learn(dh)

    def _top_step(self, h_in: np.ndarray, target: np.ndarray, drawn: bool) -> None:
        """The top block knows the loss: it updates by the true gradient."""
        with self._at("forward"):
            value = self.loss.forward(self.block.forward(h_in), target)
        self._note(value)
        if drawn:
            self._update(self.loss.backward())

    def _locked_step(self, h_in: np.ndarray, target: np.ndarray) -> None:
        """Backprop: forward, send the activation, wait for its gradient, backward."""
        above = self.place.above
        with self._at("forward"):
            h = self.block.forward(h_in)
            if above is None:
                self._note(self.loss.forward(h, target))
        if above is None:
            dh = self.loss.backward()
        else:
            above.send.put(h, self._check)
            dh = above.receive.get(self._check)
        self._update(dh)

    def _update(self, dh: np.ndarray) -> None:
        """Gradients from dh at this block's output; dx to the block below; a step."""
        below = self.place.below
        with self._at("backward"):
            if below is None:
                self.block.backward_params(dh)
            else:
                dx = self.block.backward(dh)
        if below is not None:
            below.send.put(dx, self._check)
        with self._at("backward"):
            self.optimizer.step()
        self.updates += 1
        self.last_update = self.step

    def _note(self, value: float) -> None:
        """Keep the batch's loss. Ends the run if it is not finite."""
        self.losses.append(value)
        self.place.last_loss.value = value
        if not math.isfinite(value):
            self.pipe.send(("diverged", self.made, value))
            raise Stopped

    @contextmanager
    def _at(self, kind: str, step: int | None = None) -> Iterator[None]:
        """Note when this work began and ended."""
        start = time.perf_counter()
        cpu = time.thread_time()
        yield
        row = KINDS.index(kind), self.plan.before + (step or self.step), start, time.perf_counter()
        self.events.append((*row, time.thread_time() - cpu))

    def state(self) -> dict[str, Any]:
        """What the parent needs to evaluate the block, and the losses since the last message."""
        losses = self.losses
        self.losses = []
        block = self.block.state_dict()
        return {"block": block, "losses": losses, "clock": time.perf_counter()}

    def rest(self) -> dict[str, Any]:
        """What else the block needs to go on from here."""
        streams = {i: layer.rng_state() for i, layer in enumerate(self.block.modules())}
        return {
            "optimizer": self.optimizer.state_dict(),
            "module": self.module.state_dict() if self.module is not None else None,
            "updates": self.updates,
            "last_update": self.last_update,
            "rng": self.rng,
            "streams": {i: state for i, state in streams.items() if state},
            "random": {
                name: part.rng_state()
                for name, part in (("module", self.module), ("loss", self.loss))
                if hasattr(part, "rng_state")
            },
        }

    def timeline(self) -> np.ndarray:
        return np.array(self.events, float).reshape(-1, 5)
