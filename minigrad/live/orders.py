"""What a page may order, and what it must say with each order. Everything is checked here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from minigrad.live.protocol import flag, mapping, positive, whole
from minigrad.live.settings import Settings
from minigrad.live.worker import Worker

FASTEST = 1000.0  # rounds in a second that a page may ask for


class Order(NamedTuple):
    """An order of a page.

    act      act(worker, **fields): runs in the worker's thread, between two rounds. Its result is
             the reply, plain data for JSON
    fields   {name: check}: check(value) returns the value to use. ValueError for one that makes no
             sense, in a sentence for the page
    then     then(result of act) is the reply instead: it runs in a thread of its own, and the
             training goes on meanwhile
    changes  whether the message "race" is another one afterwards
    """

    act: Callable[..., Any]
    fields: Mapping[str, Callable[[Any], Any]] = {}
    then: Callable[[Any], Any] | None = None
    changes: bool = False


def speed(value: Any) -> float | None:
    """Rounds in a second; None: as many as possible."""
    if value is None:
        return None
    found = positive(value)
    if not 0.1 <= found <= FASTEST:
        raise ValueError(f"expected 0.1 to {FASTEST:g} rounds in a second, got {found:g}")
    return found


def lane_of(worker: Worker, lane: int) -> int:
    """The number of a lane that is there."""
    there = len(worker.race.lanes)
    if lane >= there:
        raise ValueError(f"there is no lane {lane}; the race has {there}, numbered from 0")
    return lane


def _play(worker: Worker, on: bool) -> None:
    worker.playing = on


def _speed(worker: Worker, rounds: float | None) -> None:
    worker.speed = rounds


def _rate(worker: Worker, lane: int, lr: float) -> None:
    worker.race.set_rate(lane_of(worker, lane), lr)


def _set(worker: Worker, settings: dict[str, Any]) -> None:
    worker.restart(Settings.from_dict(settings))


# The orders of the race itself. Other files have an ORDERS of their own; `server` joins them.
# "show" and "ready" are a tab's own: see `tabs`.
ORDERS: dict[str, Order] = {
    "play": Order(_play, {"on": flag}),
    "step": Order(lambda worker: worker.single()),
    "restart": Order(lambda worker: worker.restart(worker.race.settings)),
    "rate": Order(_rate, {"lane": whole, "lr": positive}, changes=True),
    "speed": Order(_speed, {"rounds": speed}),
    "set": Order(_set, {"settings": mapping}),
}
