"""`holding`: several forwards with the same random numbers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from minigrad.layers.base import Layer


@contextmanager
def holding(model: Layer, like: Layer | None = None) -> Iterator[None]:
    """Within this block all forwards of the model compute the same function.

    Each layer draws its random numbers in the first forward only. Its running statistics move in
    the first forward only. (See `Layer.once`.) A `holding` inside another one has no effect.
    like: a model that this one is a copy of, within a `holding` of its own. What it has drawn there
    so far is used here, too.
    """
    drawn = [layer._kept or {} for layer in (like or model).modules()]
    pairs = zip(model.modules(), drawn, strict=True)
    layers = {layer: dict(kept) for layer, kept in pairs if layer._kept is None}
    for layer, kept in layers.items():
        layer._kept = kept
    try:
        yield
    finally:
        for layer in layers:
            layer._kept = None
