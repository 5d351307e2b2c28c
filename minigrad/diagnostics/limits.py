"""How the largest learning rate changes while a network learns."""

from __future__ import annotations

import math

import numpy as np

from minigrad.backend import Array
from minigrad.checks import positive, positive_int
from minigrad.diagnostics.curvature import stability
from minigrad.diagnostics.vectors import norm
from minigrad.layers import Layer
from minigrad.losses import Loss
from minigrad.optim import SGD
from minigrad.rules import Rule

LOST = 20.0  # a run whose loss passes this is given up


def limits_on_the_way(
    model: Layer,
    rule: Rule,
    loss: Loss,
    x: Array,
    target: Array,
    share: float,
    steps: int = 200,
    every: int = 20,
    directions: int | None = None,
    seed: int = 0,
) -> np.ndarray:
    """Rows (step, loss, limit/η, |θ|) of plain descent on one batch, one row every so many steps.

    η is `share` of the largest learning rate at the start. That limit is computed anew for each
    row, with the Gauss-Newton matrix: see `Stability.largest_lr`. The model is trained.

    directions  K of a forward gradient; None: the limit is backprop's
    The last row is that of the last step, or of the step at which the loss passes 20.
    Taught in: 11_forward_gradients.
    """
    share = positive("share", share)
    steps = positive_int("steps", steps)
    every = positive_int("every", every)
    rows: list[tuple[float, ...]] = []
    eta = math.nan
    for t in range(steps + 1):
        value = rule.estimate(model, loss, x, target)
        lost = not value < LOST
        if t % every == 0 or t == steps or lost:
            found = stability(model, loss, x, target, 10, 15, "gauss-newton", seed)
            limit = found.largest_lr(directions)
            if t == 0:
                eta = share * limit
                if not math.isfinite(eta):
                    raise ValueError(
                        f"the largest learning rate at the start is {limit:g}: no limit of which "
                        "η could be a share. The loss is flat there; start elsewhere"
                    )
            rows.append((t, value, limit / eta, norm(model.params)))
        if lost:
            break
        SGD(model, eta).step()
    return np.array(rows)
