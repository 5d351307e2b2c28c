"""Adagrad: the sum of a weight's squared gradients scales its step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from minigrad.backend import Array, array_module
from minigrad.checks import not_negative
from minigrad.layers import Layer
from minigrad.optim.base import Optimizer


class Adagrad(Optimizer):
    r"""θ ← θ - lr_t · dθ / (√s + ε),  s ← s + dθ²,  lr_t = lr / (1 + (t - 1) η).

    s only grows, so steps only become smaller. A weight that rarely has a gradient keeps large
    steps. t counts the steps of this parameter.
    Weight decay:  dθ + λ θ in place of dθ
    Source: Duchi, Hazan, Singer 2011, §1.3; η and ε as in PyTorch.
    """

    state_names = ("t", "s")
    array_names = ("s",)
    count_names = ("t",)
    not_negative_names = ("s",)
    group_options = ("weight_decay",)
    formula = "adagrad"
    columns = ("s",)

    def __init__(
        self,
        model: Layer,
        lr: float,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        *,
        groups: Mapping[Any, Mapping[str, float]] | None = None,
    ):
        """
        model                      its parameters are moved
        lr                         the learning rate, >= 0. PyTorch's default is 0.01
        lr_decay                   η >= 0: lr falls by itself
        weight_decay               λ >= 0. It also acts on biases
        initial_accumulator_value  where s starts, >= 0
        eps                        ε >= 0: it prevents a division by 0
        groups                     options of some parameters: {"*.b": {"weight_decay": 0}}, see
                                   Optimizer
        """
        super().__init__(model, lr, groups=groups)
        self.lr_decay = not_negative("lr_decay", lr_decay)
        self.weight_decay = not_negative("weight_decay", weight_decay)
        first = not_negative("initial_accumulator_value", initial_accumulator_value)
        self.initial_accumulator_value = first
        self.eps = not_negative("eps", eps)

    def _begin(self, param: Array) -> dict[str, Any]:
        first = self.initial_accumulator_value
        return {"t": 0, "s": array_module(param).full_like(param, first)}

    def _lr(self, t: int) -> float:
        """The learning rate of step t."""
        return self.lr / (1 + (t - 1) * self.lr_decay)

    def _numbers(self, t: int) -> tuple[int, tuple[float, ...]]:
        return 0, (self._lr(t), self.eps, self.weight_decay)

    def _update(self, param: Array, grad: Array, state: dict[str, Any]) -> None:
        xp = array_module(param)
        if not state:
            state.update(self._begin(param))
        if self.weight_decay:
            grad = grad + self.weight_decay * param
        state["t"] += 1
        lr = self._lr(state["t"])
        s = state["s"]
        # s ← s + dθ². `scratch` holds the products.
        scratch = xp.multiply(grad, grad, out=xp.empty_like(param))
        s += scratch
        # θ ← θ - lr_t dθ / (√s + ε)
        xp.sqrt(s, out=scratch)
        scratch += self.eps
        xp.divide(grad, scratch, out=scratch)
        scratch *= lr
        param -= scratch
