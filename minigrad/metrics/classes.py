"""Metrics of classes: accuracy, top-k, and the confusion matrix."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad.backend import Array, array_module, to_host
from minigrad.checks import finite, positive_int
from minigrad.metrics.pairs import check_pair, check_same_shape


def accuracy(output: Array, y: Array, *, threshold: float | None = None) -> float:
    """The share of right answers: 1/N Σ_n [argmax_c output_nc = y_n].

    output     (N, C, ...)
    y          labels (N, ...), integers; or one-hot labels or probabilities like output,
               (N, C, ...): their argmax is the label
    threshold  for answers of yes or no: y like output, (N,) or (N, k), has only 0 and 1. An output
               above the threshold says 1. Give 0.5 for probabilities, 0 for logits. Each of the k
               answers of an example counts
    Ties: the first of the largest outputs is the answer. ValueError for other shapes.
    """
    right = correct(output, y, threshold)
    return int(right.sum()) / right.size


def correct(output: Array, y: Array, threshold: float | None = None) -> Array:
    """Whether each answer is right: an array of True and False like y, or like y's labels."""
    check_pair("accuracy", output, y)
    if threshold is not None:
        limit = finite("threshold", threshold)
        check_same_shape("accuracy with a threshold", output, y)
        if y.dtype.kind != "b" and not is_binary(y):
            raise ValueError(
                "accuracy with a threshold takes targets that are 0 or 1, got "
                f"{float(y.min()):.4g} to {float(y.max()):.4g}"
            )
        return (output > limit) == (y > 0)
    labels = _labels("accuracy", output, y)
    return output.argmax(axis=1) == labels


def is_binary(y: Array) -> bool:
    """Whether all of y are 0 or 1."""
    return bool(((y == 0) | (y == 1)).all())


def top_k(k: int) -> Callable[[Array, Array], float]:
    """The metric "top_k": the share of examples whose label is among the k largest outputs.

        1/N Σ_n [rank of output_n,y_n among output_n < k],  rank 0 is the largest

    mg.metrics.top_k(5)(output, y); in `fit`, metrics=["top_5"].
    k  an integer >= 1
    Shapes: as in `accuracy` without a threshold. top_k(1) is the accuracy: of equal outputs the
    first one has the lower rank. An output that is NaN is never right.
    ValueError if k is larger than C, the number of classes.
    """
    k = positive_int("k", k)

    def metric(output: Array, y: Array) -> float:
        name = f"top_{k}"
        labels = _labels(name, output, y)
        xp = array_module(output, y)
        C = output.shape[1]
        if k > C:
            raise ValueError(f"{name} needs at least {k} classes, and the output has {C}")
        _check_range(name, labels, C)
        own = xp.take_along_axis(output, labels[:, None], axis=1)
        classes = xp.arange(C).reshape((1, C) + (1,) * (output.ndim - 2))
        # rank = how many are larger, and how many before it are equal. NaN counts as larger
        before = ~(output <= own) | ((output == own) & (classes < labels[:, None]))
        right = before.sum(axis=1) < k
        return int(right.sum()) / right.size

    metric.__name__ = f"top_{k}"
    return metric


def confusion_matrix(output: Array, y: Array, classes: int | None = None) -> np.ndarray:
    """M (C, C) on the host: M[i, j] is how many examples with label i were answered by j.

    Rows are true labels, columns are answers; the accuracy is the diagonal's share of all.
    output   (N, C, ...), or the answers themselves, integers like y. Of yes or no: output > 0
    y        labels (N, ...), or one-hot labels or probabilities like output
    classes  C, if answers are given: else the largest label there is, plus 1
    `plots.confusion(M, names)` draws it. ValueError for labels outside [0, C).
    """
    xp = check_pair("confusion_matrix", output, y)
    if output.dtype.kind in "iub":
        if y.dtype.kind not in "iub":
            raise TypeError(
                f"answers are compared with integer labels, got y of {y.dtype}; for yes and no "
                "write y > 0.5"
            )
        check_same_shape("confusion_matrix of answers", output, y)
        answers = output
        labels = y
        C = classes
    else:
        labels = _labels("confusion_matrix", output, y)
        answers = output.argmax(axis=1)
        C = output.shape[1]
        if classes not in (None, C):
            raise ValueError(f"the output has {C} classes, not classes={classes}: leave it out")
    if C is None:
        C = int(xp.maximum(answers, labels).max()) + 1
    positive_int("classes", C)
    for name, found in (("labels", labels), ("answers", answers)):
        _check_range(f"confusion_matrix: {name}", found, C)
    C = max(C, 2) if output.dtype.kind == "b" else C
    pairs = to_host(labels).ravel().astype(np.int64) * C + to_host(answers).ravel().astype(np.int64)
    return np.bincount(pairs, minlength=C * C).reshape(C, C)


def recall(matrix: Any) -> np.ndarray:
    """M_ii / Σ_j M_ij (C,): the share of each class that was found. NaN for one without examples.

    matrix  from `confusion_matrix`
    """
    return _shares(matrix, axis=1)


def precision(matrix: Any) -> np.ndarray:
    """M_jj / Σ_i M_ij (C,): the share of each answer that is right. NaN for one never given.

    matrix  from `confusion_matrix`
    """
    return _shares(matrix, axis=0)


def _labels(name: str, output: Array, y: Array) -> Array:
    """The labels (N, ...) of y, which are integers, or shares of the classes like the output."""
    check_pair(name, output, y)
    if output.ndim < 2 or output.shape[1] == 1:
        advice = {
            "accuracy": "For answers of yes or no write accuracy(output, y, threshold=0.5) for "
            "probabilities, threshold=0 for logits",
            "confusion_matrix": "For answers of yes or no write confusion_matrix(output > 0.5, "
            "y > 0.5) for probabilities, output > 0 for logits",
        }.get(name, "For answers of yes or no there is accuracy with a threshold")
        raise ValueError(
            f"{name} compares C >= 2 outputs for each example, (N, C), got "
            f"{tuple(output.shape)}. {advice}"
        )
    if y.shape == output.shape:
        return y.argmax(axis=1)
    if y.shape != output.shape[:1] + output.shape[2:] or y.dtype.kind not in "iu":
        raise ValueError(
            f"{name} takes integer labels of shape {(*output.shape[:1], *output.shape[2:])}, or "
            f"shares of the classes like the output, {tuple(output.shape)}; got {y.dtype} of "
            f"shape {tuple(y.shape)}"
        )
    return y


def _check_range(name: str, labels: Array, C: int) -> None:
    """ValueError for a label that is no class: CuPy would take it for another one."""
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= C:
        raise ValueError(f"{name} must be in [0, {C}), got {low} to {high}")


def _shares(matrix: Any, axis: int) -> np.ndarray:
    matrix = np.asarray(to_host(matrix), float)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"a confusion matrix is of shape (C, C), got {matrix.shape}")
    sums = matrix.sum(axis=axis)
    sums[sums == 0] = np.nan
    return np.diag(matrix) / sums
