"""A network as one row of layers; and a layer with other parameters for a while."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from minigrad.backend import Array
from minigrad.layers import Layer, Sequential


def chain(model: Layer, prefix: str = "") -> Iterator[tuple[str, Layer]]:
    """(prefix, layer) for each layer that x goes through, one after the other.

    A Sequential inside another is taken apart. One with methods of its own stays whole.
    """
    if isinstance(model, Sequential) and is_plain(model):
        for i, layer in enumerate(model.layers):
            yield from chain(layer, f"{prefix}{i}.")
    else:
        yield prefix, model


def is_plain(model: Sequential) -> bool:
    """Whether it is its layers one after another: forward, backward and jvp are Sequential's."""
    return all(
        getattr(type(model), name) is getattr(Sequential, name)
        for name in ("forward", "backward", "jvp")
    )


@contextmanager
def replaced(layer: Layer, prefix: str, params: Mapping[str, Array]) -> Iterator[None]:
    """The layer has other parameters inside this block. Its own arrays are not changed.

    A parameter that `params` leaves out stays. Each layer has its own dict of parameters, so this
    is right also where two layers share an array.
    """
    leaves = list(layer.leaves(prefix))
    own = [leaf.params for _, leaf in leaves]
    try:
        for start, leaf in leaves:
            leaf.params = {name: params.get(start + name, p) for name, p in leaf.params.items()}
        yield
    finally:
        for (_, leaf), before in zip(leaves, own, strict=True):
            leaf.params = before
