"""A network as one row of layers, and a layer that has other parameters for a while."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from minigrad.backend import Array
from minigrad.layers import Layer
from minigrad.layers.sequential import chain as chain


@contextmanager
def replaced(layer: Layer, prefix: str, params: Mapping[str, Array]) -> Iterator[None]:
    """The layer has other parameters inside this block. Its own arrays are not changed.

    A parameter that `params` leaves out stays. This also works where two layers share an array:
    each layer has its own dict of parameters.
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


def parts(model: Layer) -> tuple[list[Layer], list[list[Layer]]]:
    """(the layers before all parameters, the parts): a network as layers that learn.

    A part is a layer with parameters, and those without up to the next one with parameters.
    """
    first: list[Layer] = []
    found: list[list[Layer]] = []
    for _, layer in chain(model):
        if layer.params:
            found.append([layer])
        else:
            (found[-1] if found else first).append(layer)
    return first, found
