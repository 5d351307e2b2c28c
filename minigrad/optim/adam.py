"""Adam: the size of a weight's own gradients scales its step."""

from __future__ import annotations

from collections.abc import Mapping
from math import sqrt
from typing import Any

from minigrad.backend import Array, array_module
from minigrad.checks import not_negative
from minigrad.layers import Layer
from minigrad.optim.base import Optimizer


class Adam(Optimizer):
    r"""θ ← θ - lr · m̂ / (√v̂ + ε): the size of a weight's own gradients scales its step.

    m ← β1 m + (1 - β1) dθ,   m̂ = m / (1 - β1^t)     running mean, corrected for its start at 0
    v ← β2 v + (1 - β2) dθ²,  v̂ = v / (1 - β2^t)     running mean square
    t counts the steps of this parameter. It does not count steps without a gradient.
    Weight decay: dθ + λ θ in place of dθ, as in SGD. The step is then scaled as a whole. AdamW
    takes the decay apart from it.
    Source: Kingma, Ba 2015, Algorithm 1.  Taught in: 03_gradient_descent.
    """

    state_names = ("t", "m", "v")
    array_names = ("m", "v")
    count_names = ("t",)
    not_negative_names = ("v",)
    group_options = ("weight_decay",)
    formula = "adam"
    columns = ("m", "v")
    _decay_flag = 2  # of the formula: 2 decays the gradient, 4 the parameter

    def __init__(
        self,
        model: Layer,
        lr: float,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        eps_inside: bool = False,
        *,
        weight_decay: float = 0,
        groups: Mapping[Any, Mapping[str, float]] | None = None,
    ):
        """
        model         its parameters are moved
        lr            the learning rate, >= 0: a weight moves about this far in one step
        betas         (β1, β2), each in [0, 1): the part of the running means that a step keeps
        eps           ε >= 0: it prevents a division by 0
        eps_inside    √(v̂ + ε) in place of √v̂ + ε, as in the forward-gradient seed. ε = 1e-8
                      inside then acts like 1e-4 outside
        weight_decay  λ >= 0. It also acts on biases
        groups        options of some parameters: {"*.b": {"weight_decay": 0}}, see Optimizer
        """
        super().__init__(model, lr, groups=groups)
        self.betas = _two_in_0_1("betas", betas)
        self.eps = not_negative("eps", eps)
        self.eps_inside = bool(eps_inside)
        self.weight_decay = not_negative("weight_decay", weight_decay)

    def _begin(self, param: Array) -> dict[str, Any]:
        xp = array_module(param)
        return {"t": 0, "m": xp.zeros_like(param), "v": xp.zeros_like(param)}

    def _numbers(self, t: int) -> tuple[int, tuple[float, ...]]:
        beta1, beta2 = self.betas
        k = sqrt(1 - beta2**t)
        eps = self.eps * k * k if self.eps_inside else self.eps * k
        rate = self.lr * k / (1 - beta1**t)
        decay = self.weight_decay
        flags = int(self.eps_inside) + (self._decay_flag if decay else 0)
        return flags, (beta1, 1 - beta1, beta2, 1 - beta2, eps, rate, decay, 1 - self.lr * decay)

    def _update(self, param: Array, grad: Array, state: dict[str, Any]) -> None:
        xp = array_module(param)
        if self.weight_decay:
            grad = self._decayed(param, grad)
        if not state:
            state.update(self._begin(param))
        state["t"] += 1
        t = state["t"]
        m = state["m"]
        v = state["v"]
        beta1, beta2 = self.betas
        # m ← β1 m + (1 - β1) dθ and v ← β2 v + (1 - β2) dθ². `scratch` holds the products.
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

    def _decayed(self, param: Array, grad: Array) -> Array:
        """The gradient to step by: dθ + λ θ."""
        return grad + self.weight_decay * param


class AdamW(Adam):
    r"""θ ← θ - lr λ θ, then Adam's step: weight decay apart from the gradient.

    Every weight shrinks by the same part, lr λ. In Adam with an L2 penalty a weight with large
    gradients shrinks less, because √v̂ divides the penalty, too.
    Source: Loshchilov, Hutter 2019, Algorithm 2.
    """

    formula = "adam"
    _decay_flag = 4

    def __init__(
        self,
        model: Layer,
        lr: float,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
        *,
        groups: Mapping[Any, Mapping[str, float]] | None = None,
    ):
        """
        model         its parameters are moved
        lr            the learning rate, >= 0: a weight moves about this far in one step
        betas         (β1, β2), each in [0, 1): the part of the running means that a step keeps
        eps           ε >= 0: it prevents a division by 0
        weight_decay  λ >= 0. It also acts on biases
        groups        options of some parameters: {"*.b": {"weight_decay": 0}}, see Optimizer
        """
        super().__init__(model, lr, betas, eps, weight_decay=weight_decay, groups=groups)

    def _decayed(self, param: Array, grad: Array) -> Array:
        """The gradient to step by, dθ. θ shrinks here."""
        param *= 1 - self.lr * self.weight_decay
        return grad


def _two_in_0_1(name: str, values: tuple[float, float]) -> tuple[float, float]:
    """The two numbers. Raises unless both are in [0, 1)."""
    if not isinstance(values, tuple | list) or len(values) != 2:
        raise ValueError(f"{name} must be two numbers in [0, 1), got {values!r}")
    first = not_negative(name, values[0])
    second = not_negative(name, values[1])
    if first >= 1 or second >= 1:
        raise ValueError(f"{name} must be two numbers in [0, 1), got {values!r}")
    return first, second
