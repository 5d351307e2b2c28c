"""How a network and the fixed weights of feedback alignment come to agree."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from minigrad.backend import to_device
from minigrad.data import Dataset
from minigrad.diagnostics.quality import quality
from minigrad.diagnostics.vectors import angle
from minigrad.layers import Layer
from minigrad.losses import Loss
from minigrad.optim import Optimizer
from minigrad.rules import FeedbackAlignment

PROBE = 256  # examples on which the gradients are compared


def alignment(
    model: Layer,
    rule: FeedbackAlignment,
    loss: Loss,
    optimizer: Optimizer,
    data: Dataset,
    moments: Sequence[int],
    seed: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Train the model for max(moments) steps, batches of 64. At these steps measure, in degrees:

    gradients  (moments, layers): the angle between the rule's gradient and backprop's, for each
               layer with feedback above it, from the lowest
    weights    (moments, matrices): the angle between W and the B in its place
    """
    probe, labels = to_device(data.x[:PROBE]), to_device(data.y[:PROBE])
    gradients, weights = [], []
    for step in range(max(moments) + 1):
        chosen = np.random.default_rng((seed, step)).integers(len(data), size=64)
        rule.estimate(model, loss, to_device(data.x[chosen]), to_device(data.y[chosen]))
        if step in moments:
            layers = list(quality(rule, model, loss, probe, labels, replicates=1).layers.values())
            gradients.append([layer.angle for layer in layers[:-1]])
            weights.append([angle(model.params[name], B) for name, B in rule.feedback.items()])
        optimizer.step()
    return np.array(gradients), np.array(weights)
