"""What a linear module can reach: the best one of all, by least squares."""

from __future__ import annotations

import copy

import numpy as np

from minigrad.backend import Array, to_host
from minigrad.layers import Layer
from minigrad.losses import Loss
from minigrad.rules.synthetic.blocks import split
from minigrad.rules.synthetic.interfaces import r_squared


def best_linear(
    model: Layer, loss: Loss, x: Array, target: Array, classes: int | None = None
) -> float:
    """R² of the best linear module for the true dh = ∂L/∂h at the first interface, on these data.

    It predicts dh by h A + c, or by h A + onehot B + c if it is told the label.
    classes  the number of labels; None: the module is not told
    No module with as many numbers can do better on these data. On others it may do worse.
    Measured on copies: the model stays as it is.
    """
    lowest, *above = copy.deepcopy(split(model))
    loss = copy.deepcopy(loss)
    h = out = lowest.forward(x)
    for block in above:
        out = block.forward(out)
    loss.forward(out, target)
    dh = loss.backward()
    for block in reversed(above):
        dh = block.backward(dh)
    seen, true = (to_host(v).reshape(len(v), -1).astype("float64") for v in (h, dh))
    parts = [seen, np.ones((len(seen), 1))]
    if classes is not None:
        parts.append(np.eye(classes)[to_host(target)])
    features = np.hstack(parts)
    best = np.linalg.lstsq(features, true, rcond=None)[0]
    return r_squared(features @ best, true)
