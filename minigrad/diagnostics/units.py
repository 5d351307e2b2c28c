"""Units that are dead, and classes that a network has lost."""

from __future__ import annotations

import numpy as np

from minigrad import metrics
from minigrad.backend import Array, array_module, to_host
from minigrad.diagnostics.activations import batches, each_output
from minigrad.diagnostics.copies import as_before, check_model, copied
from minigrad.layers import Layer


def dead_units(model: Layer, x: Array, batch_size: int = 1000) -> dict[str, np.ndarray]:
    """{flat name of an activation: whether each of its units is dead (units,)}.

    A unit is a feature, or a channel of images. It is dead if no example moves it: the derivative
    of its activation is 0 for all of x, so no gradient reaches the weights below it. A ReLU whose
    inputs are never above 0 is dead. `dead[name].mean()` is the share. In evaluation mode.
    """
    alive: dict[str, Array] = {}

    def use(name: str, leaf: Layer, y: Array) -> None:
        if leaf.is_activation:
            # the Jacobian of an activation is a diagonal: Jᵀ 1 has its numbers
            moves = leaf.backward(array_module(y).ones_like(y)) != 0
            unit = min(1, y.ndim - 1)
            own = moves.any(axis=tuple(i for i in range(y.ndim) if i != unit))
            alive[name] = alive[name] | own if name in alive else own

    each_output(model, x, batch_size, use)
    return {name: ~to_host(own) for name, own in alive.items()}


def class_recall(
    model: Layer, x: Array, y: Array, batch_size: int = 1000, ignore_index: int | None = None
) -> np.ndarray:
    """The share of each class that the network finds (C,); NaN for a class without examples.

    x, y  examples and their labels, as in `mg.metrics.confusion_matrix`
    A network that has lost a class has 0 there, which the accuracy hides. Nothing changes.
    """
    check_model(model)
    with as_before(model):
        (own,) = copied(model)
        parts = [own.forward(part, train=False) for part in batches(x, batch_size)]
    output = array_module(*parts).concatenate(parts)
    return metrics.recall(metrics.confusion_matrix(output, y, ignore_index=ignore_index))
