"""What one step along an estimate gains, beside one step along the gradient."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from minigrad.backend import Array
from minigrad.checks import positive
from minigrad.diagnostics.replicates import ByLayer, replicated
from minigrad.diagnostics.surroundings import surroundings
from minigrad.layers import Layer
from minigrad.losses import Loss
from minigrad.rules import Rule


@dataclass(frozen=True)
class OneStep:
    """The change of the loss by one step of plain descent.

    efficiency  the mean change along estimates, divided by that along the gradient: 1 is as good
                as backprop, below 0 goes uphill. NaN if the gradient's step changes nothing
    gradient    L(θ - a g) - L(θ)
    each        (R,): L(θ - a ĝ_r) - L(θ)
    """

    efficiency: float
    gradient: float
    each: np.ndarray = field(repr=False, compare=False)


def one_step(
    rule: Rule,
    model: Layer,
    loss: Loss,
    x: Array,
    target: Array,
    lr: float,
    replicates: int = 8,
    seed: int = 0,
) -> OneStep:
    r"""One-step efficiency: [L(θ - a ĝ) - L(θ)] / [L(θ - a g) - L(θ)] on this batch, a = `lr`.

    The estimates ĝ are those of `quality`, and the mean is taken above the line. The losses are
    computed in float64, with the same masks. For a → 0 it is <ĝ, g>/|g|², the `efficiency` of
    `Measures`. With a longer step the noise of ĝ costs: the loss is curved. Nothing changes.
    """
    lr = positive("lr", lr)
    with (
        replicated(rule, model, loss, x, target, replicates, seed) as found,
        surroundings(model, loss, x, target, like=found.held) as around,
    ):
        start = around.value()

        def change(grads: ByLayer) -> float:
            v = {prefix + name: g for prefix, own in grads.items() for name, g in own.items()}
            return around.value(-lr, v) - start

        gradient = change(found.true)
        each = np.array([change(estimate) for estimate in found.estimates])
    return OneStep(float(each.mean()) / gradient if gradient else math.nan, gradient, each)
