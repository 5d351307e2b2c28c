"""The training loop: steps, evaluations, and what happens if one of them fails."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from minigrad.arguments import diverged, in_words, why_not_finite
from minigrad.backend import Array
from minigrad.checkpoint.run import RunFile
from minigrad.data import Dataset
from minigrad.early_stopping import EarlyStopping
from minigrad.evaluation import measure
from minigrad.feeding import Feeding
from minigrad.history import History, extend
from minigrad.interrupts import CtrlC
from minigrad.layers import Layer
from minigrad.losses import Loss
from minigrad.metrics.named import Metric
from minigrad.optim import Optimizer, ReduceLROnPlateau, Schedule
from minigrad.progress import Bar
from minigrad.rules import Rule
from minigrad.rules.rates import move, rescale

# The phases of an epoch
STEPS = 0  # its steps are being made
ENDED = 1  # all steps are made
EVALUATED = 2  # and it is evaluated, if it is one of those that are


@dataclass
class Position:
    """Where a run is. A checkpoint contains it.

    first     how many epochs the model had been trained before the run
    epoch     the epoch in which the run is, counted on from `first`
    batch     how many of its batches are done
    phase     STEPS, ENDED or EVALUATED
    trained   seconds of training since the last evaluation
    finished  the callback has ended the run
    data      the random numbers at the start of the epoch: of the training set, and the common ones
    """

    first: int
    epoch: int
    batch: int = 0
    phase: int = STEPS
    trained: float = 0.0
    finished: bool = False
    data: dict[str, Any] = field(default_factory=dict)


@dataclass
class Loop:
    """One run of `fit`. Its arguments are those of `fit`.

    metrics  {name: function}
    last     the last epoch's number
    """

    model: Layer
    loss: Loss
    rule: Rule
    optimizer: Optimizer
    schedule: Schedule | None
    feeding: Feeding
    test: Dataset | None
    validation: Dataset | None
    evaluate_every: int
    metrics: Mapping[str, Metric]
    early_stopping: EarlyStopping | None
    callback: Callable[[History], bool | None] | None
    step_callback: Callable[[int, float], None] | None
    history: History
    position: Position
    last: int
    bar: Bar
    file: RunFile | None

    def __post_init__(self) -> None:
        self.whole = True  # False: in the middle of a step. Such a state is never saved
        self.step = len(self.history.step_loss)  # steps that are done
        self._started: float | None = None  # when the clock was started; None: it stands

    def run(self) -> History:
        """Train to the last epoch, or until something stops the run. Returns the history.

        Ctrl-C and a loss that is not finite return it. Any other error is raised, and has the
        history in its attribute `history`.
        """
        history = self.history
        with CtrlC() as self.ctrl_c:
            error = self._attempt()  # from here on Ctrl-C waits
            self._stop_clock()
            # The checkpoint is written before `stopped` is set: a run that goes on has not stopped.
            if self.whole and history.stopped is None:
                error = self._also(error, self._save)
            if isinstance(error, KeyboardInterrupt):
                history.stopped = f"interrupted {self._where()}"
            elif error is not None:
                history.stopped = f"failed {self._where()}: {in_words(error)}"
            elif self.ctrl_c.waiting and history.stopped is None:
                history.stopped = f"interrupted {self._where()}"
            if history.stopped is None and self.early_stopping is not None:
                history.ended = self.early_stopping.end(self.model)  # no checkpoint is after this
            error = self._also(error, self._close)
        if error is not None and not isinstance(error, KeyboardInterrupt):
            history.stopped = history.stopped or f"failed {self._where()}: {in_words(error)}"
            with suppress(Exception):  # around a __setattr__ of the error's own class
                object.__setattr__(error, "history", history)
            raise error
        return history

    def _also(self, error: BaseException | None, act: Callable[[], object]) -> BaseException | None:
        """Do what is left to do at the end. Returns the first error, which says most."""
        try:
            act()
        except BaseException as later:
            if error is None or isinstance(error, KeyboardInterrupt):
                return later
        return error

    def _close(self) -> None:
        said = self.history.stopped
        if said and said.startswith("interrupted") and self.file and not self.file.resume:
            said = f"{said}; resume=True goes on with {self.file.path}"
        self.bar.close(said or (None if self.bar.hidden else self.history.ended))
        self.model.drop_cache()
        self.loss.cache = None

    def _attempt(self) -> BaseException | None:
        """Train. Returns the error that ended the training, if there was one."""
        try:
            try:
                # A diverging run overflows. The loss shows this, so NumPy need not warn.
                with np.errstate(over="ignore", invalid="ignore"):
                    self._epochs()
            finally:
                self.ctrl_c.ending = True
        except BaseException as error:
            return error
        return None

    def _epochs(self) -> None:
        """All epochs, from the position on."""
        at = self.position
        while at.epoch <= self.last and not at.finished:
            if at.phase == STEPS:
                self._started = time.perf_counter()
                self._steps()
                if self.history.stopped is not None:
                    return
                self._stop_clock()
                self._end_epoch()
            due = (at.epoch - at.first) % self.evaluate_every == 0 or at.epoch == self.last
            if at.phase == ENDED:
                if due:
                    self._evaluate()
                    if self.history.stopped is not None:
                        return
                at.phase = EVALUATED
            stop = due and self.callback is not None and self.callback(self.history)
            stop = stop or (self.early_stopping is not None and self.early_stopping.over)
            self.ctrl_c.holding = True
            at.finished = bool(stop)
            at.epoch += 1
            at.batch = 0
            at.phase = STEPS
            self.ctrl_c.release()
            if self.file is not None and self.file.every.after_epoch(at.epoch - 1):
                self._save()

    def _steps(self) -> None:
        """The steps of one epoch. `history.stopped` is set if the loss is not finite."""
        at = self.position
        if at.batch == 0:
            at.data = {} if self.file is None else self.feeding.drawn()
        for x, y in self.feeding.epoch(at.epoch, at.batch, at.data):
            if not self._step(x, y):
                return

    def _step(self, x: Array, y: Array) -> bool:
        """One step. False: the loss is not finite, and `history.stopped` says so."""
        ctrl_c = self.ctrl_c
        ctrl_c.ending = False
        ctrl_c.holding = True
        self.whole = False
        if not self._estimate(x, y):
            return False
        ctrl_c.updating = True  # the parameters move all, or none
        self._move()
        if self.schedule is not None and self.schedule.per == "step":
            move(self.schedule, self.rule)
        self.step += 1
        self.position.batch += 1
        self.whole = True
        ctrl_c.updating = False
        if not self._call_back():  # it belongs to the step: Ctrl-C waits for it, too
            return False
        ctrl_c.release()
        if self.history.step_loss:
            self.bar.update(self.history.step_loss[-1])
        if self.file is not None and self.file.every.after_step(self.step):
            self._save()
        return True

    def _estimate(self, x: Array, y: Array) -> bool:
        """The gradients, and the loss for the history. False: the loss is not finite."""
        return self._add(self.rule.estimate(self.model, self.loss, x, y), x)

    def _add(self, value: float, x: Array) -> bool:
        """Add the loss of this step to the history. False: it is not finite."""
        self.history.step_loss.append(value)
        if math.isfinite(value):
            return True
        at = self.position
        first = at.batch == 0 and at.epoch == at.first + 1
        why = why_not_finite(self.model, x, first)
        self.history.stopped = diverged(value, self.step + 1, at.epoch, why)
        return False

    def _move(self) -> None:
        """Move the parameters."""
        self.optimizer.step()

    def _call_back(self) -> bool:
        """Tell the `step_callback` of a step. False: a loss is not finite after all."""
        if self.step_callback is not None:
            self.step_callback(self.step, self.history.step_loss[-1])
        return True

    def _end_epoch(self) -> None:
        """After the last step of an epoch: rules that keep statistics, and the schedule."""
        self.whole = False
        self.ctrl_c.holding = True
        self.ctrl_c.updating = True
        self.rule.end_epoch()
        if self.schedule is not None and self.schedule.per == "epoch":
            move(self.schedule, self.rule)
        self.position.phase = ENDED
        self.whole = True
        self.ctrl_c.release()

    def _evaluate(self) -> None:
        """Extend the history by one entry. `history.stopped` is set if the loss is not finite."""
        history = self.history
        at = self.position
        sets = self.feeding.train, self.test, self.validation
        row = measure(self.model, self.loss, *sets, self.metrics, rule=self.rule)
        self.ctrl_c.holding = True  # all lists grow, or none
        self.ctrl_c.updating = True
        if isinstance(self.schedule, ReduceLROnPlateau):
            self.schedule.measured(row)
            rescale(self.schedule, self.rule)
        extend(history, at.epoch, at.trained, row, self.metrics)
        if self.early_stopping is not None:
            self.early_stopping.look(history, self.model)
        at.trained = 0.0
        at.phase = EVALUATED
        self.ctrl_c.release()
        self.bar.evaluated(history)
        if not math.isfinite(history.train_loss[-1]):
            history.stopped = diverged(history.train_loss[-1], len(history.step_loss), at.epoch)

    def _save(self) -> None:
        """Write the checkpoint, if there is one to write. Its time is not training time."""
        if self.file is None:
            return
        training = self._started is not None
        self._stop_clock()
        self.ctrl_c.holding = True
        self.file.save(self.history, asdict(self.position))
        self.ctrl_c.release()
        if training:
            self._started = time.perf_counter()

    def save_first(self) -> None:
        """Write a checkpoint before the first step. What cannot be saved is an error now."""
        if self.file is not None:
            self.file.write(self.history, asdict(self.position))

    def _stop_clock(self) -> None:
        """Add the seconds since the clock was started to those of training."""
        if self._started is not None:
            self.position.trained += time.perf_counter() - self._started
            self._started = None

    def _where(self) -> str:
        """ "in epoch 3, after step 12", for `history.stopped`."""
        at = self.position
        if at.finished or at.epoch > self.last:
            return f"after the last step, {self.step}"
        place = f"in epoch {at.epoch}, after step {self.step}"
        return place if self.whole else f"{place}, within a step"
