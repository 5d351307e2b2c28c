"""How often a run is saved: the argument `every` of `fit`, such as "100 steps"."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

from minigrad.checks import positive_int

SECONDS = {"second": 1, "minute": 60, "hour": 3600}
EXAMPLES = '5 (epochs), "100 steps", "2 epochs", "30 seconds" or "5 minutes"'


class Every:
    """When a checkpoint is due.

    epochs   after so many epochs; None: not because of epochs
    steps    after so many steps, or None
    seconds  after so many seconds, or None
    """

    def __init__(
        self,
        every: Any = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ):
        """every: None (each epoch, and each minute), a number of epochs, or text, "100 steps"."""
        self.epochs: int | None = None
        self.steps: int | None = None
        self.seconds: float | None = None
        self._clock = clock
        if every is None:
            self.epochs = 1
            self.seconds = 60.0
        elif isinstance(every, str):
            self._read(every)
        else:
            self.epochs = positive_int('every (a number of epochs; or text, "100 steps")', every)
        self.last = clock()

    def _read(self, text: str) -> None:
        """Read text such as "100 steps". Epochs and steps are whole numbers."""
        match = re.fullmatch(r"\s*(\d{1,15}(?:\.\d+)?)\s*([a-z]+?)s?\s*", text)
        number = float(match[1]) if match else 0.0
        unit = match[2] if match else ""
        whole = number == int(number)
        if number > 0 and unit in SECONDS:
            self.seconds = number * SECONDS[unit]
        elif number > 0 and whole and unit == "epoch":
            self.epochs = int(number)
        elif number > 0 and whole and unit == "step":
            self.steps = int(number)
        else:
            raise ValueError(f"every says how often to save: {EXAMPLES}; got {text!r:.60}")

    def after_step(self, step: int) -> bool:
        """Whether a checkpoint is due after this step, counted from 1."""
        if self.steps is not None and step % self.steps == 0:
            return True
        return self.seconds is not None and self._clock() - self.last >= self.seconds

    def after_epoch(self, epoch: int) -> bool:
        """Whether a checkpoint is due after this epoch, counted from 1."""
        return self.epochs is not None and epoch % self.epochs == 0

    def saved(self) -> None:
        """A checkpoint has been written: seconds count from now."""
        self.last = self._clock()
