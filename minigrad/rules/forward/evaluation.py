"""A network evaluated at one batch. Its layers' outputs can be moved afterwards."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from minigrad.backend import Array, array_module
from minigrad.layers import Layer
from minigrad.losses import Loss
from minigrad.rules.chain import chain


class Evaluation:
    """A network evaluated at one batch, layer by layer. Noise can move the outputs z.

    sites     the numbers of the layers that have parameters
    outputs   {site: z}
    """

    def __init__(self, model: Layer, loss: Loss, target: Array):
        self.model = model
        self.loss = loss
        self.target = target
        self.layers = [layer for _, layer in chain(model)]
        self.sites = [i for i, layer in enumerate(self.layers) if layer.params]
        self.outputs: dict[int, Array] = {}
        self.last: Any = None  # the network's output

    def forward(self, x: Array) -> float:
        """The loss. Every layer keeps what its derivatives need."""
        h = x
        for i, layer in enumerate(self.layers):
            h = layer.forward(h, train=True)
            if i in self.sites:
                self.outputs[i] = h
        self.last = h
        return self.loss.forward(h, self.target)

    @cached_property
    def values(self) -> Array:
        """L_n at z."""
        return self.loss.each(self.last, self.target)

    def active(self) -> dict[int, Array]:
        """Which units of z reach the next site: (J of the layers up to there)ᵀ 1 ≠ 0."""
        masks = {}
        for site, z in self.outputs.items():
            tail = []
            h_dot = array_module(z).ones_like(z)
            for layer in self.layers[site + 1 :]:
                if layer.params or not layer.monotone:
                    break
                tail.append(layer)
                h_dot = layer.jvp(h_dot, None)
            if tail:
                reach = array_module(z).ones_like(h_dot)
                for layer in reversed(tail):
                    reach = layer.backward(reach)
                masks[site] = reach != 0
        return masks

    def jvp(self, noise: dict[int, Array]) -> Array:
        """d_n, each example's slope when z moves along the noise."""
        h_dot: Any = None  # nothing has moved yet
        for i, layer in enumerate(self.layers):
            if h_dot is not None:
                h_dot = layer.jvp(h_dot, None)
            if i in noise:
                h_dot = noise[i] if h_dot is None else h_dot + noise[i]
        return self.loss.each_jvp(h_dot)

    def moved(self, noise: dict[int, Array], offset: float) -> Array:
        """L_n at z + offset · noise. The layers' caches stay those of z."""
        leaves = [leaf for _, leaf in self.model.leaves()]
        caches = [leaf.cache for leaf in leaves]
        first = min(noise)
        h = self.outputs[first] + offset * noise[first]
        for i in range(first + 1, len(self.layers)):
            h = self.layers[i].forward(h, train=True)
            if i in noise:
                h = h + offset * noise[i]
        values = self.loss.each(h, self.target)
        for leaf, cache in zip(leaves, caches, strict=True):
            leaf.cache = cache
        return values
