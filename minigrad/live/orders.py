"""What a page may order, and what it must say with each order. Everything is checked here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from minigrad.live.presets import preset
from minigrad.live.protocol import flag, mapping, number, positive, text, whole, word
from minigrad.live.settings import Settings
from minigrad.live.worker import Worker


class Order(NamedTuple):
    """An order of a page.

    act     act(worker, **fields): runs in the worker's thread, between two steps. Its result is
            the reply, plain data for JSON
    fields  {name: check}: check(value) returns the value to use. ValueError for one that makes no
            sense, in a sentence for the page
    then    then(result of act) is the reply instead: it runs in a thread of its own, and the
            training goes on meanwhile
    """

    act: Callable[..., Any]
    fields: Mapping[str, Callable[[Any], Any]] = {}
    then: Callable[[Any], Any] | None = None


def speed(value: Any) -> float | None:
    """Rounds in a second; None: as many as possible."""
    return None if value is None else positive(value)


def _set(worker: Worker, settings: dict[str, Any]) -> None:
    worker.load(Settings.from_dict(settings))


def _preset(worker: Worker, name: str) -> None:
    worker.load(preset(name))


def _address(worker: Worker, text: str) -> None:
    """A new race, unless it is the one that runs: a reloaded page says the same address."""
    settings = Settings.from_text(text)
    if settings != worker.race.settings:
        worker.load(settings)


# The orders of the race itself. Other files have an ORDERS of their own; `catalogue` joins them.
# "show" and "ready" are a tab's own: see `tabs`.
ORDERS: dict[str, Order] = {
    "play": Order(lambda worker, on: worker.play(on), {"on": flag}),
    "step": Order(lambda worker: worker.single()),
    "restart": Order(lambda worker: worker.restart()),
    "seed": Order(lambda worker: worker.restart_anew()),
    "speed": Order(lambda worker, rounds: worker.set_speed(rounds), {"rounds": speed}),
    "set": Order(_set, {"settings": mapping}),
    "preset": Order(_preset, {"name": word}),
    "address": Order(_address, {"text": text}),
    "rate": Order(
        lambda worker, lane, lr: worker.set_rate(lane, lr), {"lane": whole, "lr": positive}
    ),
    "option": Order(
        lambda worker, lane, name, value: worker.set_option(lane, name, value),
        {"lane": whole, "name": word, "value": number},
    ),
}
