"""Ctrl-C that waits until a step of the training is whole."""

from __future__ import annotations

import signal
import threading
from contextlib import suppress
from typing import Any, TypeVar

Self = TypeVar("Self", bound="Handler")


class Handler:
    """A block in which `_pressed` is what Ctrl-C calls. `_before` is what it called before.

    Python passes Ctrl-C to the main thread. In any other thread this block does nothing.
    """

    def __init__(self) -> None:
        self._before: Any = None

    def __enter__(self: Self) -> Self:
        before = signal.getsignal(signal.SIGINT)
        if callable(before) and threading.current_thread() is threading.main_thread():
            self._before = before
            signal.signal(signal.SIGINT, self._pressed)
        return self

    def __exit__(self, *error: object) -> None:
        """Put the old handler back. One more Ctrl-C in this moment must not lose the results."""
        back = self._before is None
        while not back:
            with suppress(KeyboardInterrupt):  # from the old handler, which is in its place then
                signal.signal(signal.SIGINT, self._before)
                back = True
            with suppress(KeyboardInterrupt):
                back = back or signal.getsignal(signal.SIGINT) is self._before

    def _pressed(self, number: int, frame: Any) -> None:
        raise NotImplementedError(f"{type(self).__name__} has no _pressed(number, frame) yet")


class CtrlC(Handler):
    """Within this block, Ctrl-C waits while `holding` is True.

        with CtrlC() as ctrl_c:
            ctrl_c.holding = True
            ...  # Ctrl-C waits
            ctrl_c.release()  # KeyboardInterrupt, if Ctrl-C has waited

    A second Ctrl-C does not wait, so that a step that hangs can be ended. While `updating` is True,
    parameters are being changed: then the third one does not wait. While `ending` is True, results
    are being put in their places: then all of them wait.
    """

    def __init__(self) -> None:
        super().__init__()
        self.holding = False
        self.updating = False
        self.ending = False
        self.waiting = 0  # how many of them wait

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        if self.waiting:  # the handler learns of it, but its exception must not lose the results
            with suppress(KeyboardInterrupt):
                self._before(signal.SIGINT, None)

    def _pressed(self, number: int, frame: Any) -> None:
        """The handler of Ctrl-C within the block."""
        if self.holding or self.ending:
            self.waiting += 1
            if self.ending or self.waiting < (3 if self.updating else 2):
                return
        self.waiting = 0
        self._before(number, frame)

    def release(self) -> None:
        """Hold no longer. A Ctrl-C that has waited is handled now."""
        self.holding = False
        self.updating = False
        if self.waiting and not self.ending:
            self.waiting = 0
            self._before(signal.SIGINT, None)
