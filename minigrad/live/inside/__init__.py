"""Look inside one step: one example goes through a small network, number by number."""

from minigrad.live.inside.orders import ORDERS

__all__ = ["ORDERS"]
