"""The training loop with steps that are repeated by a CUDA graph."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any

from minigrad.arguments import why_not_finite
from minigrad.capture.step import LOOK, Captured
from minigrad.loop import Loop, diverged
from minigrad.rules.rates import move


@dataclass
class CapturedLoop(Loop):
    """A `Loop` whose losses stay on the GPU for up to LOOK steps.

    They are brought to the host at the end of an epoch, before a checkpoint, after each step if
    there is a `step_callback`, and at the end of the run. The history is then complete.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        examples = len(self.feeding.train)
        size = min(self.feeding.batch_size, examples)
        fixed = size == examples
        self.captured = Captured(
            self.model, self.loss, self.rule, size, self.optimizer, fixed, self._device()
        )

    def _device(self) -> Any:
        return None

    def _steps(self) -> None:
        """The steps of one epoch. `history.stopped` is set if a loss is not finite."""
        at = self.position
        self._started = time.perf_counter()
        self.captured.look_again()
        if at.batch == 0:
            at.data = {} if self.file is None else self.feeding.drawn()
        with self.captured.running():
            for x, y in self.feeding.epoch(at.epoch, at.batch, at.data):
                self._step(x, y)
                if self.history.stopped is not None:
                    return
            self._fetch()
        self._stop_clock()

    def _step(self, x: Any, y: Any) -> None:
        at = self.position
        ctrl_c = self.ctrl_c
        losses = self.history.step_loss
        ctrl_c.ending = False
        ctrl_c.holding = True
        self.whole = False
        ctrl_c.updating = self.captured.moves is not None
        value = self.captured.estimate(x, y)
        if value is not None:  # an ordinary step
            self._fetch()
            if self.history.stopped is not None:
                return
            losses.append(value)
            if not math.isfinite(value):
                first = at.batch == 0 and at.epoch == at.first + 1
                why = why_not_finite(self.model, x, first)
                self.history.stopped = diverged(value, self.step + 1, at.epoch, why)
                return
        ctrl_c.updating = True  # the parameters move all, or none; also within a graph
        if not self.captured.moved:
            self.optimizer.step()
        if self.schedule is not None and self.schedule.per == "step":
            move(self.schedule, self.rule)
        self.step += 1
        at.batch += 1
        self.whole = True
        ctrl_c.updating = False
        if self.step_callback is not None or self.captured.pending == LOOK:
            self._fetch()
            if self.history.stopped is not None:
                return
        if self.step_callback is not None:  # it belongs to the step: Ctrl-C waits for it, too
            self.step_callback(self.step, losses[-1])
            self.captured.look_again()
        ctrl_c.release()
        if losses:
            self.bar.update(losses[-1])
        if self.file is not None and self.file.every.after_step(self.step):
            self._save()

    def _fetch(self) -> None:
        """Bring the losses to the host. `history.stopped` is set if one is not finite."""
        values = self.captured.fetch()
        for i, value in enumerate(values):
            self.history.step_loss.append(value)
            if not math.isfinite(value):
                step = self.step - len(values) + 1 + i
                text = diverged(value, step, self.position.epoch)
                if step < self.step:
                    text += (
                        f". It was seen after step {self.step}, and the weights are those of then"
                    )
                self.history.stopped = text
                return

    def _attempt(self) -> BaseException | None:
        error = super()._attempt()
        error = self._also(error, self._fetch)  # after an error, too: the history is complete
        said = self.history.stopped is not None and isinstance(error, KeyboardInterrupt)
        return None if said else error

    def _save(self) -> None:
        if self.file is not None:
            self._fetch()
            if self.history.stopped is None:
                super()._save()

    def _close(self) -> None:
        super()._close()
        self.captured.forget()
