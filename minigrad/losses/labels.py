"""What losses for labels share: weights of classes, labels that do not count, and all checks."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.backend import Array, array_module, to_device, to_host
from minigrad.kernels.rows import pick as pick
from minigrad.losses.base import Loss, as_weight, total
from minigrad.losses.elements import range_of

TOLERANCE = 1e-3  # how far from 1 the sum of a target's probabilities may be


class LabelLoss(Loss):
    """L for outputs (N, C) and labels (N,), or for (N, C, ...) and (N, ...).

    weight         (C,), a factor for each class
    ignore_index   a label that does not count
    L is the mean over all labels, weighted by the weights of their classes.
    """

    takes_probabilities = False
    label_smoothing = 0.0

    def __init__(
        self, weight: Any = None, ignore_index: int | None = None, reduction: str = "mean"
    ) -> None:
        super().__init__(reduction)
        self.weight = as_weight("weight", weight)
        if self.weight is not None and self.weight.ndim != 1:
            raise ValueError(
                f"weight must be one number for each class, (C,), got shape {self.weight.shape}"
            )
        if isinstance(ignore_index, bool) or not isinstance(ignore_index, int | np.integer | None):
            raise TypeError(f"ignore_index must be a label or None, got {ignore_index!r:.60}")
        self.ignore_index = None if ignore_index is None else int(ignore_index)

    def forward(self, output: Array, target: Array) -> float:
        values = self.each(output, target)
        value = total(values) / len(values)
        if value != value:  # NaN: only then look at the labels, which copies to the host
            self._explain(output, target)
        return value

    def jvp(self, output_dot: Array | None) -> float:
        self.recall()
        # L_dot = 1/N Σ_n L_n_dot
        return 0.0 if output_dot is None else total(self.each_jvp(output_dot)) / len(output_dot)

    @property
    def mixes_examples(self) -> bool:
        return self.reduction == "sum" or not self._counts_all()

    def size(self, target: Array) -> float:
        """Σ_n w_(t_n): how much a batch counts in the mean over several."""
        if self.reduction == "sum" or self._counts_all() or target.dtype.kind == "f":
            return super().size(target)
        return total(self._weights_of(target, np.dtype("float64")))

    def is_plain(self, output: Array, target: Array) -> bool:
        """Whether L is the mean over rows (N, C) with one label each, all with the same weight."""
        plain = self._counts_all() and self.reduction == "mean" and self.label_smoothing == 0
        return plain and output.ndim == 2 and target.ndim == 1

    def shares(self, output: Array, target: Array) -> tuple[Array, Any]:
        """v (N, C, ...) and D of L = -1/D Σ v ln p.

        v = w_c q[n, c]; q is onehot(t_n), or the target's probabilities, smoothed. It is NaN for a
        wrong label. D is what L is a mean over: Σ_n w_(t_n) for labels, N for probabilities.
        """
        xp = array_module(output, target)
        C = output.shape[1]
        classes = (1, C) + (1,) * (output.ndim - 2)
        D: Any = output.size // C
        if target.ndim == output.ndim:
            q = target
            right = (abs(q.sum(axis=1) - 1) <= TOLERANCE) & (q >= 0).all(axis=1)
        else:
            q = (target[:, None] == xp.arange(C).reshape(classes)).astype(output.dtype)
            right = (target >= 0) & (target < C)
            if not self._counts_all():
                D = self._weights_of(target, output.dtype).sum()
                D = xp.where(D == 0, np.nan, D).astype(output.dtype)
        # q = (1 - ε) q + ε / C
        v = (1 - self.label_smoothing) * q + self.label_smoothing / C
        if self.weight is not None:
            v *= self.class_weights(output).reshape(classes)
        v = xp.where(right[:, None], v, np.nan)
        if self.ignore_index is not None and target.ndim < output.ndim:
            v = xp.where((target == self.ignore_index)[:, None], 0, v)
        return v, 1 if self.reduction == "sum" else D

    def class_weights(self, output: Array) -> Array:
        """`weight` (C,), beside the output."""
        if len(self.weight) != output.shape[1]:
            raise ValueError(
                f"{type(self).__name__}: weight must be one number for each class: "
                f"{output.shape[1]} for an output of shape {tuple(output.shape)}, got "
                f"{len(self.weight)}"
            )
        return to_device(self.weight.astype(output.dtype), like=output)

    def _weights_of(self, target: Array, dtype: np.dtype[Any]) -> Array:
        """w_(t_n) for each label, 0 if it does not count."""
        xp = array_module(target)
        w = xp.ones(target.shape, dtype)
        if self.weight is not None:
            w = to_device(self.weight.astype(dtype), like=target)[target % len(self.weight)]
        return w if self.ignore_index is None else xp.where(target == self.ignore_index, 0, w)

    def _counts_all(self) -> bool:
        """Whether all labels count, and count the same."""
        return self.weight is None and self.ignore_index is None

    def _explain(self, output: Array, target: Array) -> None:
        """ValueError if the target is the reason for a loss that is NaN. It copies to the host."""
        name = type(self).__name__
        if target.dtype.kind == "f":
            sums = target.sum(axis=1)
            if not bool((target >= 0).all()) or not bool((abs(sums - 1) <= TOLERANCE).all()):
                raise ValueError(
                    f"{name} takes probabilities as target: none below 0, and their sum over the "
                    f"classes is 1; got {range_of(target)} with sums {range_of(sums)}. Or give "
                    f"integer labels of shape {tuple(sums.shape)}"
                )
            return
        labels = to_host(target)
        if self.ignore_index is not None:
            labels = labels[labels != self.ignore_index]
        C = output.shape[1]
        if labels.size and (labels.min() < 0 or labels.max() >= C):
            hint = "; give ignore_index for labels that do not count" if labels.min() < 0 else ""
            if C == 1:
                hint += "; the network needs an output for each class (for one output of yes or no "
                hint += "there is BCEWithLogitsLoss)"
            raise ValueError(
                f"labels must be in [0, {C}), got {labels.min()} to {labels.max()}{hint}"
            )
        if self.reduction != "sum" and self.size(target) == 0:
            raise ValueError(
                f"{name}: no label of this batch counts (ignore_index={self.ignore_index}, or the "
                "weights of their classes add up to 0), so there is no mean; with reduction='sum' "
                "the loss is 0"
            )


def by_example(terms: Array, D: Any) -> Array:
    """L_n (N,) from the terms of L = 1/D Σ terms: N/D times the example's sum. Their mean is L."""
    N = len(terms)
    return terms.reshape(N, -1).sum(axis=1) * (N / D)


def times(v: Array, log_p: Array) -> Array:
    """v ln p, and 0 where v is 0, even where p is 0."""
    return v * array_module(v, log_p).where(v == 0, 0, log_p)


def checked_labels(loss: LabelLoss, output: Array, target: Array) -> tuple[Any, Array]:
    """(the array module, the target). Raises unless output is (N, C, ...) and target fits it."""
    name = type(loss).__name__
    if not hasattr(target, "dtype"):
        raise TypeError(
            f"{name} takes an array of integer labels, got {type(target).__name__}; convert it "
            "with numpy.asarray(target, dtype='int64')"
        )
    xp = array_module(output, target)
    if output.ndim < 2 or output.size == 0:
        raise ValueError(
            f"{name} expected outputs of shape (N, C), or (N, C, ...), got {tuple(output.shape)}"
        )
    if loss.takes_probabilities and target.dtype.kind == "f" and target.shape == output.shape:
        if target.dtype != output.dtype:
            raise TypeError(
                f"{name} expected output and target of one dtype, got {output.dtype} and "
                f"{target.dtype}; cast with target.astype('{output.dtype}')"
            )
        if loss.ignore_index is not None:
            raise ValueError(
                f"{name}: ignore_index={loss.ignore_index} is a label, but this target has "
                "probabilities; leave ignore_index out"
            )
        return xp, target
    places = output.shape[:1] + output.shape[2:]
    if target.shape != places:
        hint = ""
        if target.shape == output.shape:
            hint = "; for one-hot labels write target.argmax(axis=1)"
            if loss.takes_probabilities:
                hint += f", or make them probabilities: target.astype('{output.dtype}')"
        raise ValueError(
            f"{name} expected labels of shape {tuple(places)}, one for each row of "
            f"{tuple(output.shape)}, got {tuple(target.shape)}{hint}"
        )
    if target.dtype.kind not in "iu":
        raise TypeError(
            f"{name} takes integer labels, got {target.dtype}; cast with target.astype('int64')"
        )
    if target.dtype.itemsize < 4:  # C may be too large for int8
        target = target.astype(np.int64)
    return xp, target
