"""Stochastic gradient descent, plain and with momentum."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from minigrad.backend import Array, array_module
from minigrad.checks import not_negative
from minigrad.kernels.updates import add_scaled
from minigrad.layers import Layer
from minigrad.optim.base import Optimizer


class SGD(Optimizer):
    r"""θ ← θ - lr · dθ. With momentum: v ← μ v + dθ, θ ← θ - lr · v.

    Nesterov:      θ ← θ - lr · (dθ + μ v), v as above. θ is then already moved on by the velocity.
                   The next gradient is taken there.
    Weight decay:  dθ + λ θ in place of dθ: an L2 penalty λ/2 |θ|²
    v starts at 0. dθ is not multiplied by (1 - μ). Both as in PyTorch.
    velocity="steps": v ← μ v - lr dθ, θ ← θ + v (Nesterov: θ ← θ + μ v - lr dθ). Results differ if
                   lr changes: v then contains steps made with the old lr.
    Source: Polyak 1964; Nesterov 1983; Sutskever et al. 2013, §2.  Taught in: 03_gradient_descent.
    """

    state_names = ("velocity",)
    array_names = ("velocity", "step")
    group_options = ("weight_decay",)
    formula = "sgd"
    columns = ("velocity", "step")

    def __init__(
        self,
        model: Layer,
        lr: float,
        momentum: float = 0,
        nesterov: bool = False,
        weight_decay: float = 0,
        velocity: str = "gradients",
        *,
        groups: Mapping[Any, Mapping[str, float]] | None = None,
    ):
        """
        model         its parameters are moved
        lr            the learning rate, >= 0: a step is lr times the gradient
        momentum      μ >= 0, usually below 1: the part of v that a step keeps. 0: no momentum
        nesterov      True: Nesterov's form, which needs momentum > 0
        weight_decay  λ >= 0. It also acts on biases
        velocity      v is a sum of "gradients", as in PyTorch, or of "steps", as in Sutskever 2013
        groups        options of some parameters: {"*.b": {"weight_decay": 0}}, see Optimizer
        """
        super().__init__(model, lr, groups=groups)
        if velocity not in ("gradients", "steps"):
            raise ValueError(
                f'velocity must be "gradients" (PyTorch) or "steps" (Sutskever), got {velocity!r}'
            )
        self.velocity = velocity
        self.state_names = ("step",) if velocity == "steps" else ("velocity",)
        self.momentum = not_negative("momentum", momentum)
        self.weight_decay = not_negative("weight_decay", weight_decay)
        if nesterov and momentum == 0:
            raise ValueError("nesterov=True needs momentum > 0: else there is no velocity")
        self.nesterov = bool(nesterov)

    def _begin(self, param: Array) -> dict[str, Any]:
        names = self.state_names if self.momentum else ()
        return {name: array_module(param).zeros_like(param) for name in names}

    def _numbers(self, t: int) -> tuple[int, tuple[float, ...]]:
        flags = bool(self.momentum) + 2 * self.nesterov + 4 * (self.velocity == "steps")
        return flags, (self.lr, self.weight_decay, self.momentum)

    def _update(self, param: Array, grad: Array, state: dict[str, Any]) -> None:
        if self.weight_decay:
            grad = grad + self.weight_decay * param
        if self.momentum:
            (kept,) = self.state_names
            if not state:
                state.update(self._begin(param))
            velocity = state[kept]
            velocity *= self.momentum
            if self.velocity == "steps":
                grad = self.lr * grad
                velocity -= grad
                param += self.momentum * velocity - grad if self.nesterov else velocity
                return
            velocity += grad
            grad = grad + self.momentum * velocity if self.nesterov else velocity
        add_scaled(param, -self.lr, grad)
