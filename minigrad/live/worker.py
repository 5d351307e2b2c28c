"""The thread that trains. The page cannot block it: it takes orders between two steps."""

from __future__ import annotations

import queue
import secrets
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

from minigrad.live.budget import LOOKS, POINTS, Budget
from minigrad.live.measuring import VIEWS, hidden
from minigrad.live.race import NOTHING, Known, Race
from minigrad.live.settings import Settings, whole, within

LONG = 0.1  # seconds between two rounds in which everything is measured
ENDED = "the race has ended: start `minigrad live` again"


class Worker(threading.Thread):
    """Trains `race` while `playing` and while somebody watches.

    call(f)   f(worker) runs in this thread, between two steps of lanes. Returns a Future of its
              result. What it raises, the Future raises
    changed   called in this thread after each new measurement or order
    speed     rounds in a second; None: as many as possible
    show      names of the views that somebody looks at
    The race is made in this thread, too: arrays on a GPU belong to the thread that makes them. So
    `race` is there after `start()`. All other methods are orders: give them to `call`.
    """

    race: Race

    def __init__(self, settings: Settings, changed: Callable[[], None] = lambda: None):
        super().__init__(name="minigrad live", daemon=True)
        self._first = settings
        self._made: Future = Future()
        self.playing = False
        self.watched = True
        self.speed: float | None = None
        self.show: frozenset[str] = frozenset()
        self.changed = changed
        self.budget = Budget()
        self._orders: queue.SimpleQueue[tuple[Callable[[Worker], Any], Future]] = (
            queue.SimpleQueue()
        )
        self._lock = threading.Lock()
        self._ended = False
        self._due = 0.0  # when the next round may begin
        self._places: dict[str, int] = {}  # of each view: whose lane is next
        self._unseen: list[str] = []  # what is left to measure before the next round

    # From any thread

    def start(self) -> None:
        """Begin, and return when the first race is made. ValueError if it cannot be made."""
        super().start()
        self._made.result()

    def call(self, order: Callable[[Worker], Any]) -> Future:
        future: Future = Future()
        with self._lock:
            if not self._ended:
                self._orders.put((order, future))
                return future
        future.set_exception(RuntimeError(ENDED))
        return future

    def end(self) -> None:
        """No more steps. The thread ends after the one that is being made."""
        with self._lock:
            self._ended = True
            self._orders.put((lambda worker: None, Future()))  # wakes it up

    def frame(self, known: Known = NOTHING) -> tuple[dict[str, Any], Known]:
        """The message "frame" for a page that knows this much; and what it knows then."""
        message, now = self.race.frame(known)
        return message | {"playing": self.playing, "speed": self.speed}, now

    # The thread itself

    def run(self) -> None:
        try:
            self.race = Race(self._first)
        except BaseException as error:
            self._ended = True
            self._made.set_exception(error)
            return
        self._made.set_result(None)
        try:
            while not self._ended:
                wait = self._wait()
                if wait != 0 or not self._orders.empty():
                    self._obey(wait)
                elif self.race.turn or not self._measure():
                    self._advance()
        finally:
            self._ended = True
            self._refuse()

    def _wait(self) -> float | None:
        """Seconds until there is something to do. None: until somebody orders it."""
        if self.race.turn:  # a round that has begun is ended
            return 0
        if not (self.playing and self.watched):
            return None
        if self._unseen:
            return 0
        if self.speed is None:
            return 0
        return max(0.0, self._due - time.perf_counter())

    def _advance(self) -> None:
        race = self.race
        if race.turn == 0 and self.speed is not None:
            # The pace is kept on average; what was missed is not made up for.
            self._due = max(self._due + 1 / self.speed, time.perf_counter())
        race.advance()
        if race.turn == 0 and self._due - time.perf_counter() > LONG:
            # There is time before the next round: all of this one is shown.
            self._unseen = [POINTS, *sorted(self.show) * len(race.lanes)]
        if race.turn == 0 and not race.running:
            self.playing = False
            race.measure(self.show)
            self.changed()

    def _obey(self, wait: float | None) -> None:
        """Carry out the next order, if there is one before the time is over."""
        try:
            if wait == 0:
                order, future = self._orders.get_nowait()
            else:
                order, future = self._orders.get(timeout=wait)
        except queue.Empty:
            return
        if not future.set_running_or_notify_cancel():
            return
        try:
            found = order(self)
        except BaseException as error:
            future.set_exception(error)
        else:
            future.set_result(found)
        self.changed()

    def _refuse(self) -> None:
        """Answer the orders that came too late."""
        while True:
            try:
                _, future = self._orders.get_nowait()
            except queue.Empty:
                return
            if future.set_running_or_notify_cancel():
                future.set_exception(RuntimeError(ENDED))

    def _measure(self) -> bool:
        """Measure one thing that is due: the points of all lanes, or a view of one. Whether it was.

        At a slow pace, all that is shown is due after each round.
        """
        shown = [POINTS, *sorted(self.show)]
        if self._unseen:
            name = self._unseen.pop(0)
            if name in shown:
                self._look(name)
            return True
        if self.race.done == 0:
            return False
        for name in self.budget.due(shown):
            self._look(name)
            return True
        return False

    def _look(self, name: str) -> None:
        race = self.race
        since = self.budget.clock()
        if name == POINTS:
            race.add_points()
            self.budget.spent(name, since)
            self.changed()
            return
        place = self._places.get(name, 0) % len(race.lanes)
        self._places[name] = place + 1
        race.look(name, place)
        self.budget.spent(name, since, len(self.show), LOOKS * len(race.lanes))
        if not self._unseen and self.speed is not None:
            self.changed()  # no point comes soon that would tell it

    # Orders

    def play(self, on: bool) -> None:
        """Train, or pause after the round that has begun."""
        self.playing = on and self.race.running
        self._due = time.perf_counter()
        if not on:
            self._still()

    def watch(self, on: bool) -> None:
        """Whether a page is open. Without one nothing is trained."""
        self.watched = on
        self._due = time.perf_counter()

    def single(self) -> None:
        """Pause, and make one round."""
        self.playing = False
        self.race.round()
        self._still()

    def _still(self) -> None:
        """Show how the race stands."""
        self.race.end_round()
        self.race.measure(self.show)

    def load(self, settings: Settings) -> None:
        """A new race with these settings. It plays if the old one does."""
        race = Race(settings, self.race.number + 1)
        race.looking = race.looking._replace(layer=self.one_of([self.race.looking.layer], race))
        self.race = race
        self._unseen = []
        self.playing = self.playing and race.running
        self._due = time.perf_counter()
        race.measure(self.show)

    def one_of(self, layers: Iterable[str | None], race: Race | None = None) -> str | None:
        """The first of these layers that the network has: its units can be shown."""
        there = hidden((race or self.race).lanes[0])
        return next((layer for layer in layers if layer in there), None)

    def restart(self, seed: int | None = None) -> None:
        """From step 0 with the settings as they are now. None: the same seed."""
        settings = self.race.settings
        if seed is not None:
            settings = replace(settings, seed=whole("seed", seed))
        self.load(settings)

    def restart_anew(self) -> int:
        """From step 0 with a seed that nobody has chosen. Returns it."""
        seed = secrets.randbelow(10_000)
        self.restart(seed)
        return seed

    def set_rate(self, lane: int, lr: float) -> None:
        """A lane's learning rate, from its next step on."""
        self.race.change(lane, lr=lr)

    def set_option(self, lane: int, name: str, value: Any) -> None:
        """A lane's "directions" or "update_probability", from its next step on."""
        if name not in ("directions", "update_probability"):
            raise ValueError(
                f"a lane's options are directions and update_probability, got {name!r:.40}"
            )
        self.race.change(lane, **{name: value})

    def set_speed(self, rounds: float | None) -> None:
        """Rounds in a second. None: as many as possible."""
        self.speed = None if rounds is None else within("speed", rounds)
        self._due = time.perf_counter()

    def set_show(self, views: Iterable[str], layer: str | None = None) -> None:
        """What is measured beside the curves. What is new is measured at once."""
        show = frozenset(views)
        if unknown := sorted(show - set(VIEWS)):
            raise ValueError(f"views are {', '.join(VIEWS)}, got {unknown[0]!r:.40}")
        fresh = show - self.show
        if layer != self.race.looking.layer:
            self.race.show_units(layer)
            fresh |= show & {"units"}
        self.show = show
        for name in sorted(fresh):
            for k in range(len(self.race.lanes)):
                self.race.look(name, k)
