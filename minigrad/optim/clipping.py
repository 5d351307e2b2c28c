"""Gradients that are cut off: by the length of all of them together, or each number by itself."""

from __future__ import annotations

from math import inf, sqrt

from minigrad.backend import Array, array_module
from minigrad.checks import not_negative
from minigrad.kernels.device import update
from minigrad.kernels.updates import times
from minigrad.layers import Layer

Place = tuple[Layer, str]  # a layer, and the name of one of its parameters


def clip_grad_norm(model: Layer, max_norm: float, norm_type: float = 2.0) -> float:
    r"""dW ← dW · min(1, c / (|d| + 1e-6)), c = max_norm. Returns |d|, the norm before.

    |d| is the norm of all gradients as one long vector: norm_type 2, √Σd²; 1, Σ|d|; inf, max |d|.
    Layers that are frozen, and layers without gradients, are left out.
    `grads` gets new arrays. A rule may still need the old ones.
    Source: Pascanu, Mikolov, Bengio 2013, Algorithm 1; 1e-6 as in PyTorch's clip_grad_norm_.
    """
    max_norm = not_negative("max_norm", max_norm)
    p = checked_norm_type(norm_type)
    places = _moving(model)
    norm = _norm([_sum(group) for group in places], p)
    factor = min(1.0, max_norm / (norm + 1e-6))
    if factor < 1 or norm != norm:
        moving = [place for group in places for place in group]
        scaled = times([layer.grads[name] for layer, name in moving], factor)
        for (layer, name), grad in zip(moving, scaled, strict=True):
            layer.grads[name] = grad
    return norm


def _norm(arrays: list[Array], p: float) -> float:
    """|d|. On a GPU one launch and one number to the host, for p = 2."""
    square = update.squared_norm(arrays) if p == 2 else None
    if square is not None:
        return sqrt(square)
    sizes = []
    for array in arrays:
        g = abs(array)
        powers = g.max() if p == inf else (g**p).sum(dtype="float64")
        sizes.append(float(powers))
    return max(sizes, default=0.0) if p == inf else sum(sizes) ** (1 / p)


def clip_grad_value(model: Layer, clip_value: float) -> None:
    r"""dW ← min(max(dW, -c), c), c = clip_value: each number by itself. It turns the gradient.

    Layers that are frozen, and layers without gradients, are left out.
    Source: PyTorch's clip_grad_value_.
    """
    c = not_negative("clip_value", clip_value)
    for group in _moving(model):
        total = _sum(group)
        clipped = array_module(total).clip(total, -c, c)
        for i, (layer, name) in enumerate(group):
            # Layers that share an array: the optimiser adds up what they have.
            layer.grads[name] = clipped if i == 0 else 0 * clipped


def checked_norm_type(norm_type: float) -> float:
    """The norm's p as a float: a number > 0, or infinity."""
    p = inf if norm_type == inf else not_negative("norm_type", norm_type)
    if p == 0:
        raise ValueError("norm_type must be a number > 0, or infinity, got 0")
    return p


def _moving(model: Layer) -> list[list[Place]]:
    """The places of all gradients by which an optimiser moves the model, by parameter array."""
    groups: dict[int, list[Place]] = {}
    for _, layer in model.leaves():
        if layer.frozen:
            continue
        for name in layer.grads:
            param = layer.params[name]
            groups.setdefault(id(param), []).append((layer, name))
    return list(groups.values())


def _sum(group: list[Place]) -> Array:
    grads = [layer.grads[name] for layer, name in group]
    return grads[0] if len(grads) == 1 else sum(grads[1:], grads[0])
