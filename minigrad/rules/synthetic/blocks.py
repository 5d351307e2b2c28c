"""A network cut at interfaces into blocks, each of which can be updated without the others."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from minigrad import backend
from minigrad.backend import Array
from minigrad.layers import Layer, ReLU, Sigmoid, Tanh
from minigrad.layers import Sequential as Net

ACTIVATIONS = (ReLU, Sigmoid, Tanh)


class Block(Net):
    """Layers `start` ... `stop - 1` of a network, as a network of its own: the same layers.

    What a block's backward leaves in `grads`, the network has; one optimiser steps both.
    """

    def __init__(self, model: Net, start: int, stop: int):
        super().__init__(*model.layers[start:stop])
        self.start, self.stop = start, stop

    def drop_grads(self) -> None:
        """Leave this block out: an optimiser skips layers whose `grads` is empty."""
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
    """The network cut after the layers with these numbers, in order.

    Without `interfaces`: after each activation (ReLU, Sigmoid, Tanh) that has parameters before it,
    up to the one before, and after it. Raises TypeError unless the model is a Sequential,
    ValueError for a number that is none, and for a block without parameters.
    """
    if not isinstance(model, Net):
        raise TypeError(
            f"only a Sequential can be cut into blocks, got {type(model).__name__}; "
            "write Sequential(*layers)"
        )
    if not model.is_chain:
        raise TypeError(
            f"{type(model).__name__} has a forward of its own, or a derivative: it may be more "
            "than its layers one after another, and cannot be cut between them"
        )
    if interfaces is None:
        cuts = _after_activations(model)
        if not cuts:
            raise ValueError(
                "the model has no activation with parameters on both sides of it, where an "
                f"interface could be; say where: interfaces=[...], numbers of layers in\n{model!r}"
            )
    else:
        given = interfaces if hasattr(interfaces, "__iter__") else [None]
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


def _after_activations(model: Net) -> list[int]:
    cuts, start = [], 0
    for i, layer in enumerate(model.layers):
        *_, leaf = None, *(leaf for _, leaf in layer.leaves())  # a nested net's last layer
        has_parameters = any(inner.params for inner in model.layers[start : i + 1])
        goes_on = any(inner.params for inner in model.layers[i + 1 :])
        if isinstance(leaf, ACTIVATIONS) and has_parameters and goes_on:
            cuts.append(i + 1)
            start = i + 1
    return cuts


def input_shape_of(blocks: Sequence[Block], input_shape: tuple[int, ...] | None) -> tuple[int, ...]:
    """One example's shape: as given, else as the first parameters, a Linear layer's, take it."""
    if input_shape is not None:
        return tuple(input_shape)
    first = next(leaf for _, leaf in blocks[0].leaves() if leaf.params)
    if not hasattr(first, "in_features"):
        raise ValueError(
            "say what one example looks like, without the batch: input_shape=(1, 28, 28)"
        )
    return (first.in_features,)


def shapes(blocks: Sequence[Block], input_shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Each block's output shape for one example; by sending zeros through in evaluation mode."""
    like = next(iter(blocks[0].params.values()))
    h: Array = backend.to_device(np.zeros((1, *input_shape), like.dtype), like)
    found = []
    for block in blocks:
        h = block.forward(h, train=False)
        block.drop_cache()
        found.append(tuple(h.shape[1:]))
    return found
