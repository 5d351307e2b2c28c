"""Ctrl-C that waits until a step of the training is whole."""

from __future__ import annotations

import signal
import threading
from contextlib import suppress
from typing import Any


class CtrlC:
    """Within this block, Ctrl-C waits while `holding` is True.

        with CtrlC() as ctrl_c:
            ctrl_c.holding = True
            ...  # Ctrl-C does not come through here
            ctrl_c.release()  # it comes through here: KeyboardInterrupt

    Ctrl-C pressed a second time comes through at once, so that a step that hangs can be ended. If
    `updating` is True, it takes a third time: parameters are being changed. If `ending` is True,
    Ctrl-C does not come through at all: the results are being put in their places.
    Python passes Ctrl-C to the main thread. In any other thread this block does nothing.
    """

    def __init__(self) -> None:
        self.holding = False
        self.updating = False
        self.ending = False
        self.waiting = 0  # how often it was pressed and has not come through
        self._before: Any = None

    def __enter__(self) -> CtrlC:
        before = signal.getsignal(signal.SIGINT)
        if callable(before) and threading.current_thread() is threading.main_thread():
            self._before = before
            signal.signal(signal.SIGINT, self._pressed)
        return self

    def __exit__(self, *error: object) -> None:
        if self._before is None:
            return
        signal.signal(signal.SIGINT, self._before)
        if self.waiting:  # whoever counts interrupts must learn of it; the results must not go
            with suppress(KeyboardInterrupt):
                self._before(signal.SIGINT, None)

    def _pressed(self, number: int, frame: Any) -> None:
        if self.holding or self.ending:
            self.waiting += 1
            if self.ending or self.waiting < (3 if self.updating else 2):
                return
        self.waiting = 0
        self._before(number, frame)

    def release(self) -> None:
        """Hold no longer. A Ctrl-C that has waited comes through now."""
        self.holding = False
        self.updating = False
        if self.waiting and not self.ending:
            self.waiting = 0
            self._before(signal.SIGINT, None)
