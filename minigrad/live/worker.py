"""The thread that trains. The page cannot block it: it takes orders between two rounds."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from minigrad.live.race import Race
from minigrad.live.settings import Settings

FRAMES = 30  # measurements in a second, at most


class Worker(threading.Thread):
    """Trains `race` while `playing` and while somebody watches.

    call(f)   f(worker) runs in this thread, between two rounds. Returns a Future of its result
    changed   called in this thread after each new measurement or order
    """

    def __init__(self, settings: Settings, changed: Callable[[], None] = lambda: None):
        super().__init__(name="minigrad live", daemon=True)
        self.race = Race(settings)
        self.playing = False
        self.watched = True
        self.speed: float | None = None  # rounds in a second; None: as many as possible
        self.show: frozenset[str] = frozenset()
        self.changed = changed
        self._orders: queue.SimpleQueue[tuple[Callable[[Worker], Any], Future]] = (
            queue.SimpleQueue()
        )
        self._ended = False

    def call(self, order: Callable[[Worker], Any]) -> Future:
        future: Future = Future()
        self._orders.put((order, future))
        return future

    def end(self) -> None:
        def order(worker: Worker) -> None:
            worker._ended = True

        self.call(order)

    def run(self) -> None:
        measured = 0.0
        while not self._ended:
            training = self.playing and self.watched
            if self._obey(wait=not training) or self._ended:
                self.changed()
                continue
            if not training:
                continue
            self.race.round()
            if time.perf_counter() - measured > 1 / FRAMES:
                self.race.measure(self.show)
                self.changed()
                measured = time.perf_counter()
            if self.speed is not None:
                time.sleep(1 / self.speed)

    def _obey(self, wait: bool) -> bool:
        """Carry out one order, if there is one. Whether there was."""
        try:
            order, future = self._orders.get(block=wait, timeout=0.5 if wait else None)
        except queue.Empty:
            return False
        try:
            future.set_result(order(self))
        except BaseException as error:
            future.set_exception(error)
        return True

    def restart(self, settings: Settings) -> None:
        """A new race. An order: it runs in this thread."""
        self.race = Race(settings, self.race.number + 1)

    def single(self) -> None:
        """One round. An order."""
        self.playing = False
        self.race.round()
        self.race.measure(self.show)
