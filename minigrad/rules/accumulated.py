"""Gradients of several batches, for one step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from minigrad import backend
from minigrad.backend import Array
from minigrad.checks import count, positive_int
from minigrad.layers import Layer
from minigrad.losses import Loss
from minigrad.rules.base import Rule
from minigrad.rules.loading import check_finite, check_names, fitting_array
from minigrad.rules.wrapper import Wrapper


class AccumulatedGradients(Wrapper):
    r"""dW_hat = Σ_i n_i dW_hat_i / Σ_i n_i over k batches of n_i examples.

    This is the gradient of one batch that is k times as large, in the memory of a small one.
    After each k-th batch the layers have this mean, and the optimiser moves them. After the others
    they have no gradients, and nothing moves. (Batch norm still sees each batch by itself.)
    The sums go on over the end of an epoch. A schedule per="step" counts batches.
    To clip the mean: ClippedGradients(AccumulatedGradients(rule, k), max_norm=1.0).
    Cost: that of the wrapped rule, in each batch.
    """

    def __init__(self, rule: Rule, batches: int):
        """
        rule     the rule whose estimates are added up
        batches  k, an integer >= 1: how many batches make one step
        """
        super().__init__(rule)
        self.batches = positive_int("batches", batches)
        self._restart()

    def _restart(self) -> None:
        self._count = 0  # batches since the last step
        self._sums: dict[str, Array] = {}  # Σ_i n_i dW_hat_i by parameter
        self._examples: dict[str, int] = {}  # Σ_i n_i by layer: a rule may leave a layer out

    def estimate(self, model: Layer, loss: Loss, x: Array, target: Array) -> float:
        value = super().estimate(model, loss, x, target)
        self._count += 1
        for prefix, layer in model.leaves():
            for name, grad in layer.grads.items():
                weighted = len(x) * grad
                key = prefix + name
                self._sums[key] = self._sums[key] + weighted if key in self._sums else weighted
            if layer.grads:
                self._examples[prefix] = self._examples.get(prefix, 0) + len(x)
            layer.grads = {}
        if self._count == self.batches:
            for prefix, layer in model.leaves():
                if prefix in self._examples:
                    n = self._examples[prefix]
                    layer.grads = {name: self._sums[prefix + name] / n for name in layer.params}
            self._restart()
        return value

    def state_dict(self) -> dict[str, Any]:
        """The sums so far, and the wrapped rule's state."""
        state: dict[str, Any] = {"count": self._count}
        state |= {f"examples/{prefix}": n for prefix, n in self._examples.items()}
        state |= {f"total/{k}": backend.to_host(v).copy() for k, v in self._sums.items()}
        return state | super().state_dict()

    def load_state_dict(self, model: Layer, state: Mapping[str, Any]) -> None:
        who = type(self).__name__
        leaves = dict(model.leaves())
        given = state if isinstance(state, Mapping) else {}
        inner = {key: value for key, value in given.items() if str(key).startswith(self.prefix)}
        counted = [prefix for prefix in leaves if f"examples/{prefix}" in given]
        params = {prefix + k: p for prefix in counted for k, p in leaves[prefix].params.items()}
        needed = ["count", *(f"examples/{prefix}" for prefix in counted)]
        needed += [f"total/{key}" for key in params]
        check_names(who, state, needed, inner)
        done = count("count", state["count"])
        examples = {prefix: count("examples", state[f"examples/{prefix}"]) for prefix in counted}
        if done >= self.batches or (counted and not done) or 0 in examples.values():
            raise ValueError(
                f"{who}(batches={self.batches}) has sums of 1 to {self.batches - 1} batches, the "
                f"state has a count of {done} and examples {examples}"
            )
        sums = {}
        for key, param in params.items():
            array = fitting_array(key, state[f"total/{key}"], param.shape, param.dtype)
            check_finite(key, array)
            sums[key] = backend.to_device(array.copy(), like=param)
        super().load_state_dict(model, inner)
        self._count = done
        self._examples = examples
        self._sums = sums
