"""Losses: one number for a batch, with the same forward / backward / jvp as a layer.

One convention for all: the mean over the batch's examples (for element-wise losses over all
elements), as PyTorch's default. The sum is taken in float64, and the number is brought to the
host once.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.backend import Array, array_module
from minigrad.kernels.elementwise import row_max


class Loss:
    """L = 1/N Σ_n L_n, a mean; `backward` and `jvp` are its derivative where forward was called.

    forward(output, target)  L, a float
    backward()               dL/doutput, an array of output's shape
    jvp(output_dot)          L_dot = <dL/doutput, output_dot>, a float; None moves nothing
    For rules that treat each example by itself:
    each(output, target)     L_n, (N,), where the output lives; it counts as a forward
    each_jvp(output_dot)     L_n's tangents, (N,); their mean is L_dot
    """

    def __init__(self) -> None:
        self.cache: Any = None

    def forward(self, output: Array, target: Array) -> float:
        raise NotImplementedError(f"{type(self).__name__} has no forward(output, target) yet")

    def backward(self) -> Array:
        raise NotImplementedError(f"{type(self).__name__} has no backward() yet")

    def jvp(self, output_dot: Array | None) -> float:
        raise NotImplementedError(f"{type(self).__name__} has no jvp(output_dot) yet")

    def each(self, output: Array, target: Array) -> Array:
        raise NotImplementedError(f"{type(self).__name__} has no each(output, target) yet")

    def each_jvp(self, output_dot: Array) -> Array:
        raise NotImplementedError(f"{type(self).__name__} has no each_jvp(output_dot) yet")

    def recall(self) -> Any:
        """What `forward` kept; RuntimeError when there is nothing yet."""
        if self.cache is None:
            raise RuntimeError(
                f"{type(self).__name__}: call forward(output, target) before backward or jvp"
            )
        return self.cache

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class CrossEntropyLoss(Loss):
    r"""L = -1/N Σ_n ln p[n, t_n], p = softmax(z): cross-entropy from logits.

    Shapes: logits z (N, C), target t (N,) integer labels in [0, C).
    Forward:   ln p = z - ln Σ_k e^(z_k), the row's largest logit taken off first (stable)
    Backward:  dz = (p - onehot(t)) / N
    Jvp:       L_dot = 1/N Σ_n (Σ_c p[n, c] z_dot[n, c] - z_dot[n, t_n])
    It takes logits: after a Softmax layer it is a double softmax, L >= 1.4612 for C = 10.
    Source: Bridle 1990; Goodfellow, Bengio, Courville 2016, §6.2.2.3.  Taught in: 03_first_network.
    """

    def forward(self, logits: Array, target: Array) -> float:
        return _mean(self.each(logits, target), target, logits.shape[1])

    def each(self, logits: Array, target: Array) -> Array:
        xp = _check_classes(self, logits, target)
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
    After a LogSoftmax layer it is the same loss as CrossEntropyLoss on the logits.
    Source: WTB notebook, `F.nll_loss`.
    """

    def forward(self, log_p: Array, target: Array) -> float:
        return _mean(self.each(log_p, target), target, log_p.shape[1])

    def each(self, log_p: Array, target: Array) -> Array:
        _check_classes(self, log_p, target)
        self.cache = log_p, target
        return -_pick(log_p, target)

    def backward(self) -> Array:
        log_p, target = self.recall()
        xp, N = array_module(log_p), len(log_p)
        dx = xp.zeros_like(log_p)
        dx[xp.arange(N), target] = -1 / N
        return dx

    def jvp(self, output_dot: Array | None) -> float:
        log_p, _ = self.recall()
        return 0.0 if output_dot is None else total(self.each_jvp(output_dot)) / len(log_p)

    def each_jvp(self, output_dot: Array) -> Array:
        log_p, target = self.recall()
        return -output_dot[array_module(log_p).arange(len(log_p)), target]


class BCELoss(Loss):
    r"""L = -1/n Σ t ln p + (1 - t) ln(1 - p), over all n elements: binary cross-entropy.

    Shapes: probabilities p and target t alike; t in [0, 1], which is not checked.
    Forward:   logarithms are cut off at -100, so that p = 0 or 1 gives a finite loss
    Backward:  dp = (p - t) / (p (1 - p)) / n, the denominator at least 1e-12
    Jvp:       L_dot = 1/n Σ (p - t) / (p (1 - p)) p_dot
    Both cuts as in PyTorch. Where a sigmoid has saturated, y(1 - y) = 0 stops the gradient;
    two logits and CrossEntropyLoss do not have that fault.
    Source: DS 4420, "Backprop".  Taught in: 01_gradients_by_hand.
    """

    def forward(self, p: Array, target: Array) -> float:
        value = total(self._terms(p, target)) / p.size
        if value != value and bool(((p < 0) | (p > 1)).any()):
            raise ValueError(
                f"BCELoss takes probabilities in [0, 1], got {float(p.min()):.4g} to "
                f"{float(p.max()):.4g}; put Sigmoid() before it"
            )
        return value

    def each(self, p: Array, target: Array) -> Array:
        return _by_example(self._terms(p, target))

    def _terms(self, p: Array, target: Array) -> Array:
        """Each element's share of the loss; keeps what the derivatives need."""
        xp = _check_same_shape(self, p, target)
        with np.errstate(divide="ignore", invalid="ignore"):  # ln 0 = -inf is cut off, ln -1 = NaN
            q = 1 - p
            log_p, log_q = xp.log(p), xp.log(q)
        xp.maximum(log_p, -100, out=log_p)
        xp.maximum(log_q, -100, out=log_q)
        self.cache = p, q, target
        return -(target * log_p + (1 - target) * log_q)

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

    Shapes: x and target t alike.
    Backward:  dx = 2 (x - t) / n
    Jvp:       L_dot = 2/n Σ (x - t) x_dot
    Source: Gauss 1809; the mean, not the sum, so that the step size does not depend on n.
    """

    def forward(self, x: Array, target: Array) -> float:
        return total(self._terms(x, target)) / x.size

    def each(self, x: Array, target: Array) -> Array:
        return _by_example(self._terms(x, target))

    def _terms(self, x: Array, target: Array) -> Array:
        """Each element's share of the loss; keeps what the derivatives need."""
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


def total(terms: Array) -> float:
    """Σ terms, added up in float64, on the host: the one number that a loss brings there."""
    return float(terms.sum(dtype=np.float64))


def _by_example(terms: Array) -> Array:
    """The mean over each example's elements, (N,)."""
    return terms.reshape(len(terms), -1).mean(axis=1)


def _pick(rows: Array, target: Array) -> Array:
    """rows[n, target_n] (N,), and NaN where target_n is no class.

    NaN, so that a bad label shows in the one number that is brought to the host anyway: CuPy
    wraps an index that is out of range, and looking at the labels first would be one more trip.
    """
    xp, (N, C) = array_module(rows), rows.shape
    inside = target % C
    return xp.where(inside == target, rows[xp.arange(N), inside], np.nan)


def _mean(per_example: Array, target: Array, C: int) -> float:
    """The mean in float64, on the host; ValueError when it is NaN because of a label."""
    value = total(per_example) / len(per_example)
    if value != value:
        low, high = int(target.min()), int(target.max())
        if low < 0 or high >= C:
            raise ValueError(f"labels must be in [0, {C}), got {low} to {high}")
    return value


def _check_classes(loss: Loss, output: Array, target: Array) -> Any:
    """The array module; an error unless output is (N, C) and target (N,) integer labels."""
    xp = array_module(output, target)
    name = type(loss).__name__
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
    return xp


def _check_same_shape(loss: Loss, output: Array, target: Array) -> Any:
    """The array module; an error unless output and target have one shape and dtype."""
    xp = array_module(output, target)
    name = type(loss).__name__
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
