"""Losses for labels. The label of an example is one of C classes."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.backend import Array, array_module
from minigrad.checks import not_negative, number
from minigrad.kernels.elementwise import row_max
from minigrad.kernels.losses import (
    cross_entropy,
    cross_entropy_gradient,
    cross_entropy_tangent,
)
from minigrad.losses.labels import LabelLoss, by_example, checked_labels, pick, times


class CrossEntropyLoss(LabelLoss):
    r"""L = -1/N Σ_n ln p[n, t_n], p = softmax(z): cross-entropy from logits.

    Shapes: logits z (N, C), target t (N,) integer labels in [0, C), or probabilities q (N, C).
            Also z (N, C, ...) with t (N, ...): a label for each place.
    Forward:   ln p = z - ln Σ_k e^(z_k). Each row's largest logit is subtracted first: stable
    Backward:  dz = (p - onehot(t)) / N
    Jvp:       L_dot = 1/N Σ_n (Σ_c p[n, c] z_dot[n, c] - z_dot[n, t_n])
    In general L = -1/D Σ v ln p, v = w_c ((1 - ε) q + ε/C), with class `weight` w, ε =
    `label_smoothing`, q = onehot(t); D = Σ_n w_(t_n) for labels, N for probabilities; v = 0 for the
    label `ignore_index` (None here, -100 in PyTorch).
    It takes logits. After a Softmax layer it is a double softmax, and L >= 1.4612 for C = 10.
    Source: Bridle 1990; Goodfellow, Bengio, Courville 2016, §6.2.2.3.  Taught in: 04_training_loop.
    """

    takes_probabilities = True

    def __init__(
        self,
        weight: Any = None,
        *,
        ignore_index: int | None = None,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(weight, ignore_index, reduction)
        self.label_smoothing = not_negative("label_smoothing", label_smoothing)
        if self.label_smoothing > 1:
            raise ValueError(f"label_smoothing must be in [0, 1], got {label_smoothing!r}")

    def each(self, logits: Array, target: Array) -> Array:
        xp, target = checked_labels(self, logits, target)
        if self.is_plain(logits, target):
            # L_n = -ln p[n, t_n],  ln p = z - ln Σ_k e^(z_k)
            values, p = cross_entropy(logits, target)
            self.cache = p, target, None
            return values
        z = logits - (row_max(logits) if logits.ndim == 2 else logits.max(axis=1, keepdims=True))
        e = xp.exp(z)
        sums = e.sum(axis=1)
        # L_n = -N/D Σ_c v ln p
        z -= xp.log(sums)[:, None]
        e /= sums[:, None]
        v, D = self.shares(logits, target)
        self.cache = e, v, D
        return by_example(-times(v, z), D)

    def backward(self) -> Array:
        p, v, D = self.recall()
        if D is not None:
            # dz = (p Σ_k v_k - v) / D
            return (p * v.sum(axis=1, keepdims=True) - v) / D
        # dz = (p - onehot(t)) / N
        return cross_entropy_gradient(p, v)

    def each_jvp(self, output_dot: Array) -> Array:
        p, v, D = self.recall()
        if D is not None:
            # (ln p)_dot = z_dot - Σ_k p_k z_dot_k
            log_p_dot = output_dot - (p * output_dot).sum(axis=1, keepdims=True)
            return by_example(-v * log_p_dot, D)
        # L_n_dot = Σ_c p[n, c] z_dot[n, c] - z_dot[n, t_n]
        return cross_entropy_tangent(p, v, output_dot)


class NLLLoss(LabelLoss):
    r"""L = -1/N Σ_n x[n, t_n], x = ln p: the negative log-likelihood.

    Shapes: log-probabilities x (N, C), target t (N,) integer labels in [0, C).
            Also x (N, C, ...) with t (N, ...): a label for each place.
    Backward:  dx = -onehot(t) / N
    Jvp:       L_dot = -1/N Σ_n x_dot[n, t_n]
    With class `weight` w: L = -Σ_n w_(t_n) x[n, t_n] / Σ_n w_(t_n). Labels `ignore_index` are left
    out of both sums.
    LogSoftmax, then NLLLoss, is the same loss as CrossEntropyLoss of the logits.
    Source: WTB notebook, `F.nll_loss`.
    """

    def __init__(
        self, weight: Any = None, *, ignore_index: int | None = None, reduction: str = "mean"
    ) -> None:
        super().__init__(weight, ignore_index, reduction)

    def each(self, log_p: Array, target: Array) -> Array:
        _, target = checked_labels(self, log_p, target)
        if self.is_plain(log_p, target):
            self.cache = log_p, target, None
            # L_n = -x[n, t_n]
            return -pick(log_p, target)
        v, D = self.shares(log_p, target)
        self.cache = log_p, v, D
        # L_n = -N/D Σ_c v x
        return by_example(-times(v, log_p), D)

    def backward(self) -> Array:
        log_p, v, D = self.recall()
        if D is not None:
            # dx = -v / D
            return -v / D
        xp = array_module(log_p)
        N = len(log_p)
        # dx = -onehot(t) / N
        dx = xp.zeros_like(log_p)
        dx[xp.arange(N), v] = -1 / N
        return dx

    def each_jvp(self, output_dot: Array) -> Array:
        log_p, v, D = self.recall()
        if D is not None:
            return by_example(-v * output_dot, D)
        # L_n_dot = -x_dot[n, t_n]
        return -output_dot[array_module(log_p).arange(len(log_p)), v]


class MultiMarginLoss(LabelLoss):
    r"""L = 1/(N C) Σ_n Σ_{c≠t} m^p, m = max(0, margin - x[n, t] + x[n, c]): the SVM's hinge loss.

    Shapes: scores x (N, C), target t (N,) integer labels in [0, C), called t for t_n here.
    Backward:  dx[n, c] = p m^(p-1) [m > 0] / (N C), dx[n, t] = -Σ_{c≠t} dx[n, c]
    Jvp:       L_dot = Σ dx x_dot
    It divides by C, as PyTorch does. The multi-class SVM loss of CS231n has no 1/C: it is C times
    this one. p is 1 or 2 (squared hinge). With class `weight` w, L_n is multiplied by w_(t_n), and
    L is still divided by N.
    Source: Weston, Watkins 1999; Crammer, Singer 2001; CS231n, "Linear classification".
    """

    def __init__(
        self, p: int = 1, margin: float = 1.0, weight: Any = None, *, reduction: str = "mean"
    ) -> None:
        super().__init__(weight, None, reduction)
        if p not in (1, 2) or isinstance(p, bool):
            raise ValueError(f"p must be 1 or 2, got {p!r:.60}")
        self.p = p
        self.margin = float(number("margin", margin))
        if not np.isfinite(self.margin):
            raise ValueError(f"margin must be a finite number, got {margin!r}")

    def _counts_all(self) -> bool:
        return True  # the mean is over N, with weights too

    def each(self, x: Array, target: Array) -> Array:
        xp, target = checked_labels(self, x, target)
        if x.ndim != 2:
            raise ValueError(f"MultiMarginLoss expected outputs (N, C), got {tuple(x.shape)}")
        N, C = x.shape
        rows = xp.arange(N)
        t = target % C
        # m = max(0, margin - x_t + x_c), 0 for c = t
        m = xp.maximum(x + (self.margin - pick(x, target))[:, None], 0)
        wrong = target != t
        m[rows, t] = xp.where(wrong, np.nan, 0)
        w = xp.full(N, 1 / C, x.dtype) if self.weight is None else self.class_weights(x)[t] / C
        slopes = (m > 0) * w[:, None] if self.p == 1 else 2 * m * w[:, None]
        # dx_t = -Σ_c dx_c
        slopes[rows, t] = -slopes.sum(axis=1)
        self.cache = slopes
        values = w * (m if self.p == 1 else m * m).sum(axis=1)
        return values if self.reduction == "mean" else values * N

    def backward(self) -> Array:
        slopes = self.recall()
        return slopes / (len(slopes) if self.reduction == "mean" else 1)

    def each_jvp(self, output_dot: Array) -> Array:
        slopes = self.recall()
        values = (slopes * output_dot).sum(axis=1)
        return values if self.reduction == "mean" else values * len(slopes)
