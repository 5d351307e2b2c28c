"""How large signals and gradients are in each layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from minigrad.backend import Array, to_host
from minigrad.diagnostics.copies import as_before, check_parts, copied
from minigrad.layers import Layer
from minigrad.losses import Loss


class Spreads(NamedTuple):
    """The root of the mean square of all numbers, at each of L activations, from first to last.

    names      (L,): their flat names
    outputs    (L,): of what each puts out, h
    gradients  (L,): of the loss's gradient for that, dh
    """

    names: tuple[str, ...]
    outputs: np.ndarray
    gradients: np.ndarray


def spreads(model: Layer, loss: Loss, x: Array, target: Array) -> Spreads:
    """The spread of h and of dh at each activation, in training mode. Nothing changes.

    Outputs that shrink or grow from layer to layer show a start that does not fit the depth. So do
    gradients on the way back. ValueError for a model without an activation.
    Source: Glorot, Bengio 2010, §4.2.
    """
    check_parts(model, loss)
    outputs: dict[str, float] = {}
    gradients: dict[str, float] = {}
    with as_before(model, loss):
        own, own_loss = copied(model, loss)
        for prefix, leaf in own.leaves():
            if leaf.is_activation:
                name = prefix.removesuffix(".")
                leaf.forward = _noting(outputs, name, leaf.forward, of_result=True)
                leaf.backward = _noting(gradients, name, leaf.backward, of_result=False)
        own_loss.forward(own.forward(x), target)
        own.backward(own_loss.backward())
    if not outputs:
        raise ValueError("the model has no activation, such as ReLU(): there is nothing to measure")
    names = tuple(outputs)
    values = [np.array([found[name] for name in names]) for found in (outputs, gradients)]
    return Spreads(names, *values)


def _noting(
    found: dict[str, float], name: str, method: Callable[..., Any], of_result: bool
) -> Callable[..., Any]:
    """The method of a layer, which also notes the spread of its result or of what it is given."""

    def noting(given: Any, *options: Any) -> Any:
        if not of_result:
            found[name] = _spread(given)
        result = method(given, *options)
        if of_result:
            found[name] = _spread(result)
        return result

    return noting


def _spread(a: Array) -> float:
    """√(mean a²), in float64."""
    return float(np.sqrt((to_host(a).astype("float64") ** 2).mean()))
