"""What a page may choose from: the message "hello"; and the orders of all files together."""

from __future__ import annotations

from typing import Any

from minigrad.live import code, drawing, inside, presets, rules, saving, sets
from minigrad.live.about import about
from minigrad.live.orders import ORDERS, Order
from minigrad.live.settings import LIMITS, OPTIMIZERS
from minigrad.live.tours import TOURS
from minigrad.models import ACTIVATIONS
from minigrad.version import __version__


def joined() -> dict[str, Order]:
    """The orders of all files by their names."""
    orders: dict[str, Order] = {}
    for offered in (ORDERS, drawing.ORDERS, inside.ORDERS, code.ORDERS, saving.ORDERS):
        if twice := orders.keys() & offered.keys():
            raise RuntimeError(f"two files have an order {twice.pop()!r}")
        orders |= offered
    return orders


def hello() -> dict[str, Any]:
    """The message: rules, presets, tours, data sets, and limits. Once for each tab."""
    return {
        "kind": "hello",
        "version": __version__,
        "rules": [_rule(name) for name in rules.NAMES],
        "presets": presets.described(),
        "tours": TOURS,
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
    return found | {"rates": rules.rates(name)} | about(name)
