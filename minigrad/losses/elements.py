"""Losses for single elements. Output and target have the same shape."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.backend import Array, array_module
from minigrad.losses.base import Loss, total


class BCELoss(Loss):
    r"""L = -1/n Σ t ln p + (1 - t) ln(1 - p), over all n elements: binary cross-entropy.

    Shapes: probabilities p and target t of the same shape, both in [0, 1].
    Forward:   a logarithm below -100 becomes -100, so that p = 0 or 1 gives a finite loss
    Backward:  dp = (p - t) / (p (1 - p)) / n, with p (1 - p) at least 1e-12
    Jvp:       L_dot = 1/n Σ (p - t) / (p (1 - p)) p_dot
    Both limits as in PyTorch. A saturated sigmoid has y (1 - y) = 0, and the gradient becomes 0.
    With two logits and CrossEntropyLoss it does not become 0.
    Source: DS 4420, "Backprop".  Taught in: 01_gradients_by_hand.
    """

    def forward(self, p: Array, target: Array) -> float:
        value = total(self._terms(p, target)) / p.size
        if value != value:  # NaN: only then look at the numbers, which copies to the host
            if bool(((p < 0) | (p > 1)).any()):
                raise ValueError(
                    f"BCELoss takes probabilities in [0, 1], got {_range(p)}; put Sigmoid() "
                    "before it"
                )
            if not bool(((target >= 0) & (target <= 1)).all()):
                raise ValueError(f"BCELoss takes targets in [0, 1], got {_range(target)}")
        return value

    def each(self, p: Array, target: Array) -> Array:
        return _by_example(self._terms(p, target))

    def _terms(self, p: Array, target: Array) -> Array:
        """The loss of each element. It fills the cache.

        It is NaN where the target is not in [0, 1]. The sum is then NaN, too.
        """
        xp = _check_same_shape(self, p, target)
        q = 1 - p
        self.cache = p, q, target
        with np.errstate(divide="ignore", invalid="ignore"):  # ln 0 = -inf, ln -1 = NaN
            log_p = xp.log(p)
            log_q = xp.log(q)
            xp.maximum(log_p, -100, out=log_p)
            xp.maximum(log_q, -100, out=log_q)
            rest = 1 - target
            inside = xp.sqrt(target * rest)  # NaN unless 0 <= target <= 1
            return 0 * inside - (target * log_p + rest * log_q)

    def backward(self) -> Array:
        p, q, target = self.recall()
        return (p - target) / (array_module(p).maximum(p * q, 1e-12) * p.size)

    def jvp(self, output_dot: Array | None) -> float:
        p, _, _ = self.recall()
        return 0.0 if output_dot is None else total(self._terms_dot(output_dot)) / p.size

    def each_jvp(self, output_dot: Array) -> Array:
        return _by_example(self._terms_dot(output_dot))

    def _terms_dot(self, output_dot: Array) -> Array:
        p, q, target = self.recall()
        return (p - target) / array_module(p).maximum(p * q, 1e-12) * output_dot


class MSELoss(Loss):
    r"""L = 1/n Σ (x - t)², over all n elements: mean squared error.

    Shapes: x and target t of the same shape.
    Backward:  dx = 2 (x - t) / n
    Jvp:       L_dot = 2/n Σ (x - t) x_dot
    It is a mean, not a sum, so that a good learning rate does not depend on n.
    Source: Gauss 1809.
    """

    def forward(self, x: Array, target: Array) -> float:
        return total(self._terms(x, target)) / x.size

    def each(self, x: Array, target: Array) -> Array:
        return _by_example(self._terms(x, target))

    def _terms(self, x: Array, target: Array) -> Array:
        """The loss of each element. It fills the cache."""
        _check_same_shape(self, x, target)
        self.cache = difference = x - target
        return difference * difference

    def backward(self) -> Array:
        difference = self.recall()
        return difference * (2 / difference.size)

    def jvp(self, output_dot: Array | None) -> float:
        difference = self.recall()
        if output_dot is None:
            return 0.0
        return 2 * total(difference * output_dot) / difference.size

    def each_jvp(self, output_dot: Array) -> Array:
        return 2 * _by_example(self.recall() * output_dot)


def _by_example(terms: Array) -> Array:
    """The mean over each example's elements, (N,)."""
    return terms.reshape(len(terms), -1).mean(axis=1)


def _range(array: Array) -> str:
    """The smallest and the largest value, as text."""
    return f"{float(array.min()):.4g} to {float(array.max()):.4g}"


def _check_same_shape(loss: Loss, output: Array, target: Array) -> Any:
    """The array module. Raises unless output and target have one shape and one dtype."""
    xp = array_module(output, target)
    name = type(loss).__name__
    if output.ndim == 0:
        raise ValueError(
            f"{name} expected an output of shape (N, ...), got (), a single number; for one "
            "example write output.reshape(1, 1)"
        )
    if output.shape != target.shape or output.size == 0:
        raise ValueError(
            f"{name} expected output and target of one shape, got {tuple(output.shape)} and "
            f"{tuple(target.shape)}; broadcasting them would average over the wrong pairs"
        )
    if output.dtype != target.dtype:
        raise TypeError(
            f"{name} expected output and target of one dtype, got {output.dtype} and "
            f"{target.dtype}; cast with target.astype('{output.dtype}')"
        )
    return xp
