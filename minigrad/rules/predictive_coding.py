"""Predictive coding: activities settle until errors agree, then each layer learns by itself."""

from __future__ import annotations

from minigrad.backend import Array, array_module
from minigrad.checks import positive_int
from minigrad.layers import Layer, holding
from minigrad.losses import Loss
from minigrad.rules.base import Rule
from minigrad.rules.chain import parts
from minigrad.rules.forward.base import positive
from minigrad.rules.needs import no_backward


class PredictiveCoding(Rule):
    r"""E = Σ_{l<M} ½ |μ_l - f_l(μ_{l-1})|² + L(f_M(μ_{M-1})), small in μ; then dW_hat = ∂E/∂W.

    f_1 ... f_M are the layers with parameters, each with the layers without up to the next one;
    μ_0 = x, L an example's loss. With δ_l = f_l(μ_{l-1}) - μ_l, and δ_M = ∂L/∂f_M:

        inference  μ_l ← μ_l + step (δ_l - J_{l+1}ᵀ δ_{l+1}), `iterations` times, from μ_l = f_l
        learning   dW_hat_l = 1/N Σ_n (∂f_l/∂W_l)ᵀ δ_l,  as in backprop

    Each needs the layers next to it only. At equilibrium δ_l = J_{l+1}ᵀ δ_{l+1}, the chain rule, at
    the μ found. Fixed predictions: f_l and J_l stay those of the forward pass; then it is backprop.
    Cost: forward, iterations of 3 forward passes (fixed: 2) and dW.
    Source: Whittington, Bogacz 2017; Millidge et al. 2022, "Predictive coding approximates backprop
    along arbitrary computation graphs".
    """

    def __init__(self, iterations: int = 50, step: float = 0.1, fixed_predictions: bool = False):
        """
        iterations         steps of the inference. With fixed predictions and step=1, M - 1 are
                           enough
        step               of the inference, at most 1
        fixed_predictions  True: the assumption under which the result is backprop's
        """
        self.iterations = positive_int("iterations", iterations)
        self.step = positive("step", step)
        if self.step > 1:
            raise ValueError(f"step must be at most 1, or the activities move too far, got {step}")
        self.fixed_predictions = bool(fixed_predictions)
        self.cost = 2.0 + (2.0 if self.fixed_predictions else 3.0) * self.iterations

    def estimate(self, model: Layer, loss: Loss, x: Array, target: Array) -> float:
        first, blocks = parts(model)
        with holding(model):
            mu = [_forward(first, x)]
            for block in blocks:
                mu.append(_forward(block, mu[-1]))
            value = loss.forward(mu.pop(), target)
            if blocks:
                self._infer_and_learn(blocks, mu, loss, target)
        return value

    def _infer_and_learn(
        self, blocks: list[list[Layer]], mu: list[Array], loss: Loss, target: Array
    ) -> None:
        """mu: μ_0 ... μ_{M-1} of the forward pass. The layers' caches are of there, too."""
        size = float(getattr(loss, "size", len)(target))  # L is the mean of so many examples' loss
        lowest = mu[1:2]  # f_1(x) is the same in each iteration
        delta = [array_module(m).zeros_like(m) for m in mu[1:]] + [size * loss.backward()]
        for _ in range(self.iterations if len(blocks) > 1 else 0):
            # pull_l = J_{l+1}ᵀ δ_{l+1},  step_l = step (δ_l - pull_l)
            pulls = [_backward(block, d) for block, d in zip(blocks[1:], delta[1:], strict=True)]
            steps = [self.step * (d - pull) for d, pull in zip(delta[:-1], pulls, strict=True)]
            if self.fixed_predictions:
                # f_l stays, so δ_l ← δ_l - step_l
                delta[:-1] = [d - step for d, step in zip(delta[:-1], steps, strict=True)]
                continue
            # μ_l ← μ_l + step_l,  δ_l = f_l(μ_{l-1}) - μ_l,  δ_M = ∂L/∂f_M
            mu[1:] = [m + step for m, step in zip(mu[1:], steps, strict=True)]
            f = [_forward(block, m) for block, m in zip(blocks[1:], mu[1:], strict=True)]
            loss.forward(f[-1], target)
            delta = [p - m for p, m in zip(lowest + f[:-1], mu[1:], strict=True)]
            delta.append(size * loss.backward())
        for block, d in zip(blocks, delta, strict=True):
            # dW_hat_l = 1/N Σ_n (∂f_l/∂W_l)ᵀ δ_l
            block[0].backward_params(_backward(block[1:], d) / size)

    def why_not(self, model: Layer, loss: Loss | None = None) -> str | None:
        return no_backward(self, model, loss)


def _forward(block: list[Layer], h: Array) -> Array:
    for layer in block:
        h = layer.forward(h, train=True)
    return h


def _backward(block: list[Layer], d: Array) -> Array:
    for layer in reversed(block):
        d = layer.backward(d)
    return d
