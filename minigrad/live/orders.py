"""What a page may order, and what it must say with each order. Everything is checked here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from minigrad.live.worker import Worker


class Order(NamedTuple):
    """An order of a page.

    act     act(worker, **fields): runs in the worker's thread, between two rounds. Its result is
            the reply, plain data for JSON
    fields  {name: check}: check(value) returns the value to use. ValueError for one that makes no
            sense, in a sentence for the page
    """

    act: Callable[..., Any]
    fields: Mapping[str, Callable[[Any], Any]] = {}


def flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"expected true or false, got {value!r:.40}")
    return value


def whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 10**9:
        raise ValueError(f"expected a whole number, 0 or more, got {value!r:.40}")
    return value


def positive(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= 1e9:
        raise ValueError(f"expected a number above 0, got {value!r:.40}")
    return float(value)


def _play(worker: Worker, on: bool) -> None:
    worker.play(on)


# The orders of the race itself. Other files have an ORDERS of their own; `server` joins them.
ORDERS: dict[str, Order] = {
    "play": Order(_play, {"on": flag}),
    "step": Order(lambda worker: worker.single()),
    "restart": Order(lambda worker: worker.restart()),
    "rate": Order(
        lambda worker, lane, lr: worker.set_rate(lane, lr), {"lane": whole, "lr": positive}
    ),
}
