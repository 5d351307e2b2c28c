"""Several evaluations of a network as evaluations of one function."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from minigrad.layers.base import Layer


@contextmanager
def holding(model: Layer) -> Iterator[None]:
    """Within it all evaluations of the model are evaluations of one function.

    Each layer's `once` makes its random choices, and moves its running statistics, in the first
    one only. A `holding` within another changes nothing: the outer one counts.
    """
    layers = [layer for layer in model.modules() if layer._kept is None]
    for layer in layers:
        layer._kept = {}
    try:
        yield
    finally:
        for layer in layers:
            layer._kept = None
