"""Frozen layers: those whose backward leaves no gradient for their parameters."""

from __future__ import annotations

from functools import lru_cache

from minigrad.backend import Array, array_module
from minigrad.layers import Layer, Sequential, holding


def may_be_frozen(model: Layer) -> bool:
    """Whether a layer has parameters and a `backward` that is not the library's.

    Such a `backward` may empty `grads`, which freezes the layer. Rules that never call backward
    cannot see that, and must ask `frozen`.
    """
    if isinstance(model, Sequential) and any(may_be_frozen(layer) for layer in model.layers):
        return True
    if not model.params:
        return False
    if callable(vars(model).get("backward")):  # set on this object alone
        return True
    kind: type = type(model)
    return _has_its_own_backward(kind)


@lru_cache(maxsize=256)
def _has_its_own_backward(kind: type) -> bool:
    """Whether the class that writes `backward` is from outside this package."""
    writer = next(base for base in kind.__mro__ if "backward" in vars(base))
    return not writer.__module__.startswith("minigrad.")


def frozen(model: Layer, x: Array) -> set[str]:
    """The prefixes of the layers whose parameters have no gradient after a backward pass.

    The pass has dy = 0. It runs within `holding`, so the next forward computes the same function.
    """
    for _, leaf in model.leaves():
        leaf.grads = {}
    with holding(model):
        y = model.forward(x, train=True)
        try:
            model.backward(array_module(y).zeros_like(y))
        except NotImplementedError:  # a layer for forward gradients alone
            return set()
    return {prefix for prefix, leaf in model.leaves() if leaf.params and not leaf.grads}
