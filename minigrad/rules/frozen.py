"""Frozen layers: those whose backward leaves no gradient for their parameters."""

from __future__ import annotations

from functools import lru_cache

from minigrad.backend import Array, array_module
from minigrad.layers import Layer, Sequential, holding


def may_be_frozen(model: Layer) -> bool:
    """Whether a layer has a `backward` of its own, but inherits forward and jvp.

    Such a `backward` may empty `grads`, which freezes the layer. Rules that never call backward
    cannot see that, and must ask `frozen`.
    """
    if isinstance(model, Sequential) and any(may_be_frozen(layer) for layer in model.layers):
        return True
    if callable(vars(model).get("backward")):  # set on this object alone
        return True
    kind: type = type(model)
    return _changes_backward_alone(kind)


@lru_cache(maxsize=256)
def _changes_backward_alone(kind: type) -> bool:
    """Whether a subclass changed `backward`, and left forward and jvp as they were."""
    forward, backward, jvp = (
        next(i for i, base in enumerate(kind.__mro__) if name in vars(base))
        for name in ("forward", "backward", "jvp")
    )
    return backward < min(forward, jvp)


def frozen(model: Layer, x: Array) -> set[str]:
    """The prefixes of the layers whose parameters have no gradient after a backward pass.

    The pass has dy = 0. It runs within `holding`, so the next forward computes the same function.
    """
    for _, leaf in model.leaves():
        leaf.grads = {}
    with holding(model):
        y = model.forward(x, train=True)
        model.backward(array_module(y).zeros_like(y))
    return {prefix for prefix, leaf in model.leaves() if leaf.params and not leaf.grads}
