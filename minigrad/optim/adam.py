"""Adam: a step for each weight that its own gradient's size has scaled."""

from __future__ import annotations

from math import sqrt
from typing import Any

from minigrad.backend import Array, array_module
from minigrad.checks import not_negative
from minigrad.layers import Layer
from minigrad.optim.base import Optimizer


class Adam(Optimizer):
    r"""θ ← θ - lr · m̂ / (√v̂ + ε): each weight's step scaled by its own gradient's size.

    m ← β1 m + (1 - β1) dθ,   m̂ = m / (1 - β1^t)     running mean, corrected for its start at 0
    v ← β2 v + (1 - β2) dθ²,  v̂ = v / (1 - β2^t)     running mean square
    t counts the steps of this parameter alone: it stays when a rule leaves the parameter out.
    Source: Kingma, Ba 2015, Algorithm 1.  Taught in: 02_gradient_descent.
    """

    state_names = ("t", "m", "v")

    def __init__(
        self,
        model: Layer,
        lr: float,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        eps_inside: bool = False,
    ):
        """
        model       whose parameters it steps
        lr          the learning rate, >= 0: about how far a weight moves in one step
        betas       (β1, β2), each in [0, 1): how much of the means a step keeps
        eps         ε >= 0, so that nothing is divided by 0
        eps_inside  √(v̂ + ε) in place of √v̂ + ε, as the forward-gradient seed has it; its ε = 1e-8
                    is then as large as one of 1e-4 outside
        """
        super().__init__(model, lr)
        self.betas = _two_in_0_1("betas", betas)
        self.eps = not_negative("eps", eps)
        self.eps_inside = bool(eps_inside)

    def _update(self, param: Array, grad: Array, state: dict[str, Any]) -> None:
        xp = array_module(param)
        if not state:
            state.update(t=0, m=xp.zeros_like(param), v=xp.zeros_like(param))
        state["t"] += 1
        t = state["t"]
        m = state["m"]
        v = state["v"]
        beta1, beta2 = self.betas
        # m ← β1 m + (1 - β1) dθ and v ← β2 v + (1 - β2) dθ², through one scratch array
        m *= beta1
        scratch = xp.multiply(grad, 1 - beta1, out=xp.empty_like(param))
        m += scratch
        v *= beta2
        xp.multiply(grad, grad, out=scratch)
        scratch *= 1 - beta2
        v += scratch
        # θ ← θ - lr m̂ / (√v̂ + ε) = θ - lr k/(1 - β1^t) · m / (√v + ε k), with k = √(1 - β2^t)
        k = sqrt(1 - beta2**t)
        if self.eps_inside:
            xp.add(v, self.eps * k * k, out=scratch)
            xp.sqrt(scratch, out=scratch)
        else:
            xp.sqrt(v, out=scratch)
            scratch += self.eps * k
        xp.divide(m, scratch, out=scratch)
        scratch *= self.lr * k / (1 - beta1**t)
        param -= scratch


def _two_in_0_1(name: str, values: tuple[float, float]) -> tuple[float, float]:
    """Two numbers in [0, 1), or an error that names the argument."""
    if not isinstance(values, tuple | list) or len(values) != 2:
        raise ValueError(f"{name} must be two numbers in [0, 1), got {values!r}")
    first = not_negative(name, values[0])
    second = not_negative(name, values[1])
    if first >= 1 or second >= 1:
        raise ValueError(f"{name} must be two numbers in [0, 1), got {values!r}")
    return first, second
