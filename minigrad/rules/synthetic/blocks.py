"""A network cut at interfaces into blocks, each of which can be updated without the others."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from minigrad import backend
from minigrad.backend import Array
from minigrad.layers import Layer, Sequential


class Block(Sequential):
    """Layers `start` ... `stop - 1` of a network, as a network of its own.

    The block has the same layer objects as the network. Its backward writes into the network's
    `grads`. One optimiser moves both.
    """

    def __init__(self, model: Sequential, start: int, stop: int):
        super().__init__(*model.layers[start:stop])
        self.start = start
        self.stop = stop

    def drop_grads(self) -> None:
        """Leave this block out of a step: an optimiser skips layers whose `grads` is empty."""
        for _, layer in self.leaves():
            layer.grads = {}

    def keys(self) -> dict[str, str]:
        """{name of a parameter in the block: its name in the network}."""
        names = {}
        for name in self.params:
            number, _, rest = name.partition(".")
            names[name] = f"{self.start + int(number)}.{rest}"
        return names


def split(model: Layer, interfaces: Sequence[int] | None = None) -> list[Block]:
    """The network, cut after the layers with these numbers, in order.

    Without `interfaces` the cuts are after activations. An activation counts if there are
    parameters above it, and between it and the cut before. `is_activation` marks such a layer.
    TypeError: the model is no plain Sequential. ValueError: a number names no layer of it, or a
    block would have no parameters.
    """
    if not isinstance(model, Sequential):
        raise TypeError(
            f"only a Sequential can be cut into blocks, got {type(model).__name__}; "
            "write Sequential(*layers)"
        )
    if not model.is_chain:
        raise TypeError(
            f"{type(model).__name__} has a forward, backward or jvp of its own: it may be more "
            "than its layers one after another, and cannot be cut between them; put it as one "
            "layer into a Sequential"
        )
    if interfaces is None:
        cuts = _after_activations(model)
        if not cuts:
            raise ValueError(
                "the model has no activation with parameters on both sides of it, where an "
                f"interface could be; say where: interfaces=[...], numbers of layers in\n{model!r}"
            )
    else:
        given: list[Any] = list(interfaces) if hasattr(interfaces, "__iter__") else [None]
        whole = all(isinstance(i, int | np.integer) for i in given)
        cuts = [int(i) + 1 for i in given] if whole else []
        last = len(model.layers) - 1
        rising = whole and bool(cuts) and cuts == sorted(set(cuts))
        if not rising or not 0 < cuts[0] <= cuts[-1] <= last:
            raise ValueError(
                "interfaces must be numbers of layers, rising, each after a layer and before "
                f"another: from 0 to {last - 1}, got {interfaces!r}"
            )
    blocks = [Block(model, a, b) for a, b in pairwise([0, *cuts, len(model.layers)])]
    for block in blocks:
        if not block.params:
            raise ValueError(
                f"the block of layers {block.start} to {block.stop - 1} has no parameters: there "
                "would be nothing to update in it; leave out one of the interfaces around it"
            )
    return blocks


def split_or_whole(model: Layer, interfaces: Sequence[int] | None = None) -> list[Block]:
    """Like `split`. Without `interfaces`, a model without a place for a cut is one block."""
    if interfaces is not None:
        return split(model, interfaces)
    if isinstance(model, Sequential) and model.is_chain:
        return split(model) if _after_activations(model) else [Block(model, 0, len(model.layers))]
    return [Block(Sequential(model), 0, 1)]


def _after_activations(model: Sequential) -> list[int]:
    cuts = []
    start = 0
    for i, layer in enumerate(model.layers):
        inside = [leaf for _, leaf in layer.leaves()]
        last = inside[-1] if inside else None  # of a nested net: its last layer
        has_parameters = any(inner.params for inner in model.layers[start : i + 1])
        goes_on = any(inner.params for inner in model.layers[i + 1 :])
        if getattr(last, "is_activation", False) and has_parameters and goes_on:
            cuts.append(i + 1)
            start = i + 1
    return cuts


def input_shape_of(blocks: Sequence[Block], input_shape: tuple[int, ...] | None) -> tuple[int, ...]:
    """One example's shape: as given, or in_features of the first layer that has parameters."""
    if input_shape is not None:
        given: list[Any] = list(input_shape) if hasattr(input_shape, "__iter__") else [None]
        if not all(isinstance(n, int | np.integer) and n > 0 for n in given):
            raise ValueError(
                "input_shape must be the shape of one example, without the batch, as (1, 28, 28) "
                f"or (784,), got {input_shape!r}"
            )
        return tuple(given)
    first = next(leaf for _, leaf in blocks[0].leaves() if leaf.params)
    if not hasattr(first, "in_features"):
        raise ValueError(
            "give the shape of one example, without the batch: input_shape=(1, 28, 28)"
        )
    return (first.in_features,)


def shapes(blocks: Sequence[Block], input_shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Each block's output shape for one example, found by a forward pass of zeros."""
    like = next(iter(blocks[0].params.values()))
    h: Array = backend.to_device(np.zeros((1, *input_shape), like.dtype), like)
    found = []
    for block in blocks:
        h = block.forward(h, train=False)
        block.drop_cache()
        found.append(tuple(h.shape[1:]))
    return found
