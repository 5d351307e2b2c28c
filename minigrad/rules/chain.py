"""A network as one row of layers, and what must not change while it is evaluated repeatedly."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from minigrad.backend import Array
from minigrad.layers import Layer
from minigrad.layers.sequential import chain as chain


@contextmanager
def replaced(layer: Layer, prefix: str, params: Mapping[str, Array]) -> Iterator[None]:
    """Other parameters in the layer's place for a while; its own are not touched."""
    leaves = list(layer.leaves(prefix))
    own = [leaf.params for _, leaf in leaves]
    try:
        for start, leaf in leaves:
            leaf.params = {name: params[start + name] for name in leaf.params}
        yield
    finally:
        for (_, leaf), before in zip(leaves, own, strict=True):
            leaf.params = before
