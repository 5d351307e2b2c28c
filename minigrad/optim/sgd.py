"""Stochastic gradient descent, plain and with momentum."""

from __future__ import annotations

from typing import Any

from minigrad.backend import Array, array_module
from minigrad.checks import not_negative
from minigrad.kernels.updates import add_scaled
from minigrad.layers import Layer
from minigrad.optim.base import Optimizer


class SGD(Optimizer):
    r"""θ ← θ - lr · dθ, with momentum: v ← μ v + dθ, θ ← θ - lr · v.

    Nesterov:      θ ← θ - lr · (dθ + μ v), v as above. θ is then the point one step ahead of
                   momentum's own place, θ + lr μ v: there the next gradient is taken.
    Weight decay:  dθ + λ θ takes the place of dθ (λ = weight_decay, an L2 penalty λ/2 |θ|²)
    v starts at 0 and is not damped by (1 - μ): PyTorch's convention.
    velocity="steps": v ← μ v - lr dθ, θ ← θ + v (Nesterov: θ ← θ + μ v - lr dθ). With an lr that
                   falls it differs: what the velocity gained before is kept.
    Source: Polyak 1964; Nesterov 1983; Sutskever et al. 2013, §2.  Taught in: 02_gradient_descent.
    """

    state_names = ("velocity",)

    def __init__(
        self,
        model: Layer,
        lr: float,
        momentum: float = 0,
        nesterov: bool = False,
        weight_decay: float = 0,
        velocity: str = "gradients",
    ):
        super().__init__(model, lr)
        if velocity not in ("gradients", "steps"):
            raise ValueError(
                f'velocity adds up "gradients" (PyTorch) or "steps" (Sutskever), got {velocity!r}'
            )
        self.velocity = velocity
        self.state_names = ("step",) if velocity == "steps" else ("velocity",)
        self.momentum = not_negative("momentum", momentum)
        self.weight_decay = not_negative("weight_decay", weight_decay)
        if nesterov and momentum == 0:
            raise ValueError("nesterov=True needs momentum > 0: there is no step to look ahead to")
        self.nesterov = nesterov

    def _update(self, param: Array, grad: Array, state: dict[str, Any]) -> None:
        if self.weight_decay:
            grad = grad + self.weight_decay * param
        if self.momentum:
            (kept,) = self.state_names
            if not state:
                state[kept] = array_module(param).zeros_like(param)
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

    def __repr__(self) -> str:
        steps = ", velocity='steps'" if self.velocity == "steps" else ""
        return (
            f"SGD(lr={self.lr:g}, momentum={self.momentum:g}, nesterov={self.nesterov}, "
            f"weight_decay={self.weight_decay:g}{steps})"
        )
