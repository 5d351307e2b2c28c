"""What a page may choose from: the message "hello"."""

from __future__ import annotations

import importlib
from importlib.util import find_spec
from typing import Any

from minigrad.live.orders import ORDERS, Order
from minigrad.version import __version__

LANES = 6
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
    return {"kind": "hello", "version": __version__, "limits": {"lanes": LANES}}
