"""RMSprop: a running mean of a weight's squared gradients scales its step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from minigrad.backend import Array, array_module
from minigrad.checks import not_negative
from minigrad.layers import Layer
from minigrad.optim.base import Optimizer


class RMSprop(Optimizer):
    r"""θ ← θ - lr · dθ / (√v + ε),  v ← α v + (1 - α) dθ².

    Centered:      √(v - m²) in place of √v, m ← α m + (1 - α) dθ: the variance of the gradients
    Momentum:      b ← μ b + dθ / (√v + ε), θ ← θ - lr · b
    Weight decay:  dθ + λ θ in place of dθ
    v, m, b start at 0, and are not corrected for that. All as in PyTorch.
    Source: Tieleman, Hinton 2012, lecture 6.5; centered: Graves 2013, eq. 38-41.
    """

    state_names: tuple[str, ...] = ("v",)
    array_names = ("v", "m", "b")
    not_negative_names = ("v",)
    group_options = ("weight_decay",)
    formula = "rmsprop"
    columns = ("v", "m", "b")

    def __init__(
        self,
        model: Layer,
        lr: float,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        *,
        groups: Mapping[Any, Mapping[str, float]] | None = None,
    ):
        """
        model         its parameters are moved
        lr            the learning rate, >= 0. PyTorch's default is 0.01
        alpha         α in [0, 1]: the part of the running means that a step keeps
        eps           ε >= 0: it prevents a division by 0
        weight_decay  λ >= 0. It also acts on biases
        momentum      μ >= 0, usually below 1. 0: no momentum
        centered      True: divide by the standard deviation of the gradients
        groups        options of some parameters: {"*.b": {"weight_decay": 0}}, see Optimizer
        """
        super().__init__(model, lr, groups=groups)
        self.alpha = not_negative("alpha", alpha)
        if self.alpha > 1:
            raise ValueError(f"alpha must be a number in [0, 1], got {alpha!r}")
        self.eps = not_negative("eps", eps)
        self.weight_decay = not_negative("weight_decay", weight_decay)
        self.momentum = not_negative("momentum", momentum)
        self.centered = bool(centered)
        more = {"m": self.centered, "b": self.momentum > 0}
        self.state_names = ("v", *(name for name, used in more.items() if used))

    def _begin(self, param: Array) -> dict[str, Any]:
        return {name: array_module(param).zeros_like(param) for name in self.state_names}

    def _numbers(self, t: int) -> tuple[int, tuple[float, ...]]:
        names = self.state_names
        flags = (self.centered and "m" in names) + 2 * (self.momentum > 0 and "b" in names)
        alpha = self.alpha
        return flags, (self.lr, alpha, 1 - alpha, self.eps, self.weight_decay, self.momentum)

    def _update(self, param: Array, grad: Array, state: dict[str, Any]) -> None:
        xp = array_module(param)
        if not state:
            state.update(self._begin(param))
        if self.weight_decay:
            grad = grad + self.weight_decay * param
        v = state["v"]
        # v ← α v + (1 - α) dθ². `scratch` holds the products.
        v *= self.alpha
        scratch = xp.multiply(grad, grad, out=xp.empty_like(param))
        scratch *= 1 - self.alpha
        v += scratch
        if self.centered:
            # m ← α m + (1 - α) dθ, and v - m². Rounding must not make it negative.
            m = state["m"]
            m *= self.alpha
            m += (1 - self.alpha) * grad
            xp.multiply(m, m, out=scratch)
            xp.subtract(v, scratch, out=scratch)
            xp.maximum(scratch, 0, out=scratch)
            xp.sqrt(scratch, out=scratch)
        else:
            xp.sqrt(v, out=scratch)
        # θ ← θ - lr dθ / (√v + ε), or with momentum θ ← θ - lr b
        scratch += self.eps
        xp.divide(grad, scratch, out=scratch)
        if self.momentum:
            b = state["b"]
            b *= self.momentum
            b += scratch
            scratch[...] = b
        scratch *= self.lr
        param -= scratch
