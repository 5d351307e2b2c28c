"""A network as one row of layers, and what must not change while it is evaluated repeatedly."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from minigrad.backend import Array
from minigrad.layers import Layer, Sequential


def chain(model: Layer, prefix: str = "") -> Iterator[tuple[str, Layer]]:
    """(prefix, layer) for each layer that x goes through, one after the other.

    A Sequential inside another is taken apart, unless it has a forward of its own.
    """
    if isinstance(model, Sequential) and type(model).forward is Sequential.forward:
        for i, layer in enumerate(model.layers):
            yield from chain(layer, f"{prefix}{i}.")
    else:
        yield prefix, model


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
