"""The training loop with steps that are repeated by a CUDA graph."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from minigrad.arguments import diverged
from minigrad.capture.step import LOOK, Captured
from minigrad.loop import Loop


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
        self.captured.look_again()
        with self.captured.running():
            super()._steps()
            if self.history.stopped is None:
                self._fetch()

    def _estimate(self, x: Any, y: Any) -> bool:
        self.ctrl_c.updating = self.captured.moves is not None  # the graph moves them, too
        value = self.captured.estimate(x, y)
        return value is None or (self._fetch() and self._add(value, x))  # a value: no graph has run

    def _move(self) -> None:
        if not self.captured.moved:
            super()._move()

    def _call_back(self) -> bool:
        told = self.step_callback is not None
        if (told or self.captured.pending == LOOK) and not self._fetch():
            return False
        super()._call_back()
        if told:
            self.captured.look_again()
        return True

    def _fetch(self) -> bool:
        """Bring the losses to the host. False: one is not finite, and `history.stopped` says so."""
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
                return False
        return True

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
