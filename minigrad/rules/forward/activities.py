"""Forward gradients by noise on activities: one number for each example says how its noise did."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from minigrad.backend import Array, array_module
from minigrad.layers import Layer, holding
from minigrad.losses import Loss
from minigrad.rules.chain import chain
from minigrad.rules.forward.finite_differences import step_size


def perturb_activities(rule: Any, model: Layer, loss: Loss, x: Array, target: Array) -> float:
    r"""Fill the grads from dz_n = d_n ε_n, d_n = <∂L_n/∂z_n, ε_n>; returns the loss.

    z: the output of each layer that has parameters. ε moves all of them at once, or (layerwise)
    one layer's after the other's. E[dz_n] = ∂L_n/∂z_n; then dW = J_Wᵀ dz, as in backprop. No
    gradient passes from layer to layer.
    Where no output depends on a unit (its ReLU is off, another pixel won the pool), its dz is known
    to be 0: `active` puts no noise there, which adds no bias and takes variance away.
    """
    for _, leaf in model.leaves():
        if leaf.mixes_examples:
            raise ValueError(
                f"{type(leaf).__name__} makes each example's loss depend on the whole batch: noise "
                "on one example's activities would be credited with what it does to the others. "
                'Use perturb="weights", or a net without it'
            )
    net = Net(model, loss, target)
    with holding(model):
        value = net.forward(x)
        masks, step = net.active() if rule.active else {}, None
        if rule.mode == "finite-difference":
            step = rule.step or step_size(list(net.outputs.values()), rule.scheme)
        groups = [[site] for site in net.sites] if rule.layerwise else [net.sites]
        directions, dz = rule.directions_for(net.outputs), {}
        for k in range(rule.directions):
            noise = directions.part(k, net.sites)
            for site, mask in masks.items():
                noise[site] *= mask
            for group in groups:
                moving = {site: noise[site] for site in group}
                slopes = rule.clipped(_slopes(rule, net, moving, step)) / (rule.directions * len(x))
                for site, epsilon in moving.items():
                    epsilon *= slopes.reshape(-1, *[1] * (epsilon.ndim - 1))
                    dz[site] = dz[site] + epsilon if site in dz else epsilon
    for site, upstream in dz.items():
        net.layers[site].backward_params(upstream)
    model.drop_cache()
    return value


def _slopes(rule: Any, net: Net, noise: dict[int, Array], step: float | None) -> Array:
    """d_n (N,) along this noise: by jvp, or by finite differences of this step."""
    if step is None:
        return net.jvp(noise)
    plus = net.moved(noise, step)
    if rule.scheme == "central":
        return (plus - net.moved(noise, -step)) / (2 * step)
    return (plus - net.values) / step


class Net:
    """A network taken apart into layers, evaluated at one batch."""

    def __init__(self, model: Layer, loss: Loss, target: Array):
        self.model, self.loss, self.target = model, loss, target
        self.layers = [layer for _, layer in chain(model)]
        self.sites = [i for i, layer in enumerate(self.layers) if layer.params]
        self.outputs: dict[int, Array] = {}  # z, by the number of its layer
        self.last: Any = None  # the net's output

    def forward(self, x: Array) -> float:
        """The loss; every layer keeps its linearisation."""
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
        """Which units of z any output depends on: (J of the layers up to the next site)ᵀ 1 ≠ 0."""
        masks = {}
        for site, z in self.outputs.items():
            tail, h_dot = [], array_module(z).ones_like(z)
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
        """Each example's slope when z moves along the noise."""
        h_dot = None
        for i, layer in enumerate(self.layers):
            if h_dot is not None:
                h_dot = layer.jvp(h_dot, None)
            if i in noise:
                h_dot = noise[i] if h_dot is None else h_dot + noise[i]
        return self.loss.each_jvp(h_dot)

    def moved(self, noise: dict[int, Array], step: float) -> Array:
        """Each example's loss when z is z + step · noise; the layers stay linearised at z."""
        leaves = [leaf for _, leaf in self.model.leaves()]
        caches = [leaf.cache for leaf in leaves]
        first = min(noise)
        h = self.outputs[first] + step * noise[first]
        for i in range(first + 1, len(self.layers)):
            h = self.layers[i].forward(h, train=True)
            if i in noise:
                h = h + step * noise[i]
        values = self.loss.each(h, self.target)
        for leaf, cache in zip(leaves, caches, strict=True):
            leaf.cache = cache
        return values
