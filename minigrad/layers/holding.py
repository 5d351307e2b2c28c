"""`holding`: several forwards with the same random numbers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from minigrad.layers.base import Layer


@contextmanager
def holding(model: Layer) -> Iterator[None]:
    """Within this block all forwards of the model compute the same function.

    Each layer draws its random numbers in the first forward only. Its running statistics move in
    the first forward only. (See `Layer.once`.) A `holding` inside another one has no effect.
    """
    layers = [layer for layer in model.modules() if layer._kept is None]
    for layer in layers:
        layer._kept = {}
    try:
        yield
    finally:
        for layer in layers:
            layer._kept = None
