"""What a page may choose from: the message "hello"; and the orders of all files together."""

from __future__ import annotations

import importlib
from importlib.util import find_spec
from typing import Any

from minigrad.live import rules, sets
from minigrad.live.about import about
from minigrad.live.orders import ORDERS, Order
from minigrad.live.settings import LIMITS, OPTIMIZERS
from minigrad.models import ACTIVATIONS
from minigrad.version import __version__

OFFERS = ("drawing", "inside", "code", "saving")  # files with an ORDERS of their own


def joined(names: tuple[str, ...] = OFFERS) -> dict[str, Order]:
    """The orders of all files by their names."""
    orders = dict(ORDERS)
    for name in names:
        if find_spec(f"minigrad.live.{name}") is None:
            continue
        for order, what in importlib.import_module(f"minigrad.live.{name}").ORDERS.items():
            if order in orders:
                raise RuntimeError(f"two files have an order {order!r}; {name} is the second")
            orders[order] = what
    return orders


def hello() -> dict[str, Any]:
    """The message: rules, presets, tours, data sets, and limits. Once for each tab."""
    return {
        "kind": "hello",
        "version": __version__,
        "rules": [_rule(name) for name in rules.NAMES],
        "presets": [],
        "tours": [],
        "data": [
            {
                "name": name,
                "title": found.title,
                "plane": found.plane,
                "available": sets.available(name),
            }
            for name, found in sets.SETS.items()
        ],
        "activations": list(ACTIVATIONS),
        "optimizers": list(OPTIMIZERS),
        "limits": LIMITS,
    }


def _rule(name: str) -> dict[str, Any]:
    found = {"name": name, "title": rules.title(name), "options": list(rules.options(name))}
    return found | about(name)
