"""Losses for labels. The label of an example is one of C classes."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.backend import Array, array_module
from minigrad.kernels.elementwise import row_max
from minigrad.losses.base import Loss, total


class CrossEntropyLoss(Loss):
    r"""L = -1/N Σ_n ln p[n, t_n], p = softmax(z): cross-entropy from logits.

    Shapes: logits z (N, C), target t (N,) integer labels in [0, C).
    Forward:   ln p = z - ln Σ_k e^(z_k). Each row's largest logit is subtracted first: stable
    Backward:  dz = (p - onehot(t)) / N
    Jvp:       L_dot = 1/N Σ_n (Σ_c p[n, c] z_dot[n, c] - z_dot[n, t_n])
    It takes logits. After a Softmax layer it is a double softmax, and L >= 1.4612 for C = 10.
    Source: Bridle 1990; Goodfellow, Bengio, Courville 2016, §6.2.2.3.  Taught in: 03_first_network.
    """

    def forward(self, logits: Array, target: Array) -> float:
        return _mean(self.each(logits, target), target, logits.shape[1])

    def each(self, logits: Array, target: Array) -> Array:
        xp, target = _checked_classes(self, logits, target)
        z = logits - row_max(logits)
        e = xp.exp(z)
        total = e.sum(axis=1)
        values = xp.log(total) - _pick(z, target)
        e /= total[:, None]
        self.cache = e, target
        return values

    def backward(self) -> Array:
        p, target = self.recall()
        N = len(p)
        dlogits = p / N
        dlogits[array_module(p).arange(N), target] -= 1 / N
        return dlogits

    def jvp(self, output_dot: Array | None) -> float:
        p, _ = self.recall()
        return 0.0 if output_dot is None else total(self.each_jvp(output_dot)) / len(p)

    def each_jvp(self, output_dot: Array) -> Array:
        p, target = self.recall()
        right = output_dot[array_module(p).arange(len(p)), target]
        return (p * output_dot).sum(axis=1) - right


class NLLLoss(Loss):
    r"""L = -1/N Σ_n x[n, t_n], x = ln p: the negative log-likelihood.

    Shapes: log-probabilities x (N, C), target t (N,) integer labels in [0, C).
    Backward:  dx = -onehot(t) / N
    Jvp:       L_dot = -1/N Σ_n x_dot[n, t_n]
    LogSoftmax, then NLLLoss, is the same loss as CrossEntropyLoss of the logits.
    Source: WTB notebook, `F.nll_loss`.
    """

    def forward(self, log_p: Array, target: Array) -> float:
        return _mean(self.each(log_p, target), target, log_p.shape[1])

    def each(self, log_p: Array, target: Array) -> Array:
        _, target = _checked_classes(self, log_p, target)
        self.cache = log_p, target
        return -_pick(log_p, target)

    def backward(self) -> Array:
        log_p, target = self.recall()
        xp = array_module(log_p)
        N = len(log_p)
        dx = xp.zeros_like(log_p)
        dx[xp.arange(N), target] = -1 / N
        return dx

    def jvp(self, output_dot: Array | None) -> float:
        log_p, _ = self.recall()
        return 0.0 if output_dot is None else total(self.each_jvp(output_dot)) / len(log_p)

    def each_jvp(self, output_dot: Array) -> Array:
        log_p, target = self.recall()
        return -output_dot[array_module(log_p).arange(len(log_p)), target]


def _pick(rows: Array, target: Array) -> Array:
    """rows[n, target_n] (N,). It is NaN where target_n is not a class.

    A wrong label thus makes the loss NaN. The loss is copied to the host anyway. To check the
    labels themselves would need another copy. (CuPy accepts indices that are out of range.)
    """
    xp = array_module(rows)
    N, C = rows.shape
    inside = target % C
    return xp.where(inside == target, rows[xp.arange(N), inside], np.nan)


def _mean(per_example: Array, target: Array, C: int) -> float:
    """The mean in float64, on the host. ValueError if a wrong label has made it NaN."""
    value = total(per_example) / len(per_example)
    if value != value:
        low = int(target.min())
        high = int(target.max())
        if low < 0 or high >= C:
            raise ValueError(f"labels must be in [0, {C}), got {low} to {high}")
    return value


def _checked_classes(loss: Loss, output: Array, target: Array) -> tuple[Any, Array]:
    """(the array module, the labels). Raises unless output is (N, C) and target (N,) integers."""
    name = type(loss).__name__
    if not hasattr(target, "dtype"):
        raise TypeError(
            f"{name} takes an array of integer labels, got {type(target).__name__}; convert it "
            "with numpy.asarray(target, dtype='int64')"
        )
    xp = array_module(output, target)
    if output.ndim != 2 or len(output) == 0:
        raise ValueError(f"{name} expected outputs of shape (N, C), got {tuple(output.shape)}")
    if target.shape != output.shape[:1]:
        raise ValueError(
            f"{name} expected labels of shape ({len(output)},), one for each row of "
            f"{tuple(output.shape)}, got {tuple(target.shape)}"
        )
    if target.dtype.kind not in "iu":
        raise TypeError(
            f"{name} takes integer labels, got {target.dtype}; cast with target.astype('int64')"
        )
    if target.dtype.itemsize < 4:  # C may be too large for int8
        target = target.astype(np.int64)
    return xp, target
