"""Ctrl-C, counted: it ends a run with processes only where nothing is lost by it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minigrad.interrupts import Handler


class Presses(Handler):
    """Within this block, Ctrl-C is counted. It raises KeyboardInterrupt only in `allow`.

        with Presses() as presses:
            ...  # Ctrl-C does not come through here; presses.count says how often it was pressed
            presses.allow(work)  # it comes through here

    A handler of the caller's own is asked first: a press that it takes for itself is not counted.
    """

    def __init__(self) -> None:
        super().__init__()
        self.count = 0
        self._allowed = False

    def _pressed(self, number: int, frame: Any) -> None:
        try:
            self._before(number, frame)
        except KeyboardInterrupt:
            self.count += 1
            if self._allowed:
                self._allowed = False  # only once: what follows must not be interrupted
                raise

    def allow(self, work: Callable[[], None]) -> bool:
        """Do the work. False if Ctrl-C has ended it early."""
        try:
            self._allowed = True
            work()
            self._allowed = False
        except KeyboardInterrupt:
            self._allowed = False
            return False
        except BaseException:
            self._allowed = False
            raise
        return True
