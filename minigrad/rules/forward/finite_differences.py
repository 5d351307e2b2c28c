"""Slopes along random directions by finite differences: nothing but forward passes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from math import sqrt
from typing import Any

import numpy as np

from minigrad.backend import Array
from minigrad.layers import Layer, holding
from minigrad.losses import Loss
from minigrad.rules.chain import chain, replaced
from minigrad.rules.forward.directions import StepDirections, squared_norm


def by_differences(
    rule: Any,
    directions: StepDirections,
    model: Layer,
    loss: Loss,
    x: Array,
    target: Array,
) -> tuple[float, dict[str, Array]]:
    r"""(L, 1/K Σ_k d_k v_k), one-sided d = (L(θ + εv) - L(θ)) / ε, central d = (L(θ + εv) -
    L(θ - εv)) / 2ε; L of central ones is the mean of all values.

    θ itself is not touched: θ + εv is made for one layer, used, and forgotten, and no cache is
    kept. With regenerate=True so is v: the seed, not the vector (Malladi et al. 2023, "MeZO",
    which moves θ itself there and back, and keeps the rounding).
    """
    params = directions.params
    epsilon = rule.step or step_size(list(params.values()), rule.scheme)
    values: list[float] = []

    def at(sign: float, share: Callable[[list[str]], Mapping[str, Array]]) -> float:
        """L(θ + sign ε v)."""
        h = x
        for prefix, layer in chain(model):
            names = [prefix + name for name in layer.params]
            v = share(names) if sign else {}
            moved = {name: params[name] + (sign * epsilon) * v[name] for name in v}
            del v
            with replaced(layer, prefix, moved or {name: params[name] for name in names}):
                h = layer.forward(h, train=True)
            del moved  # before the next layer's is made
            layer.drop_cache()
        values.append(loss.forward(h, target))
        return values[-1]

    def slope(share: Callable[[list[str]], Mapping[str, Array]]) -> float:
        if rule.scheme == "central":
            return rule.clipped((at(1, share) - at(-1, share)) / (2 * epsilon))
        return rule.clipped((at(1, share) - here) / epsilon)

    with holding(model):
        here = at(0, lambda names: {}) if rule.scheme == "one-sided" else 0.0
        if rule.regenerate:
            slopes = [slope(partial(directions.part, k)) for k in range(rule.directions)]
            grads = directions.mean(slopes)
        else:
            grads = directions.mean_along(
                lambda v: slope(lambda names: {name: v[name] for name in names})
            )
    value = here if rule.scheme == "one-sided" else sum(values) / len(values)
    return value, grads


def step_size(arrays: list[Array], scheme: str) -> float:
    r"""ε = √u |θ|/|v|, or u^(1/3) |θ|/|v| for central differences in float64, with |v| = √n.

    u = 2^-24 in float32 (2^-53 in float64) is the rounding of 1. The error has a part that grows
    with ε (one-sided: ε/2 vᵀHv; central: ε²/6 D³L) and one that falls, u |L|/ε; these ε balance the
    two. In float32 the kinks of ReLU take central differences' advantage away.
    """
    n, dtype = sum(a.size for a in arrays), arrays[0].dtype
    length = sqrt(sum(squared_norm(a) for a in arrays)) or 1.0
    third = scheme == "central" and dtype == np.float64
    return float(np.finfo(dtype).eps / 2) ** (1 / 3 if third else 1 / 2) * length / sqrt(n)
