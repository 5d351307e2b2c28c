"""Metrics of classes: accuracy, top-k, and the confusion matrix."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad.backend import Array, array_module, to_host
from minigrad.checks import finite, positive_int
from minigrad.metrics.pairs import check_pair, check_same_shape


def accuracy(
    output: Array, y: Array, *, threshold: float | None = None, ignore_index: int | None = None
) -> float:
    """The share of right answers: 1/N Σ_n [argmax_c output_nc = y_n].

    output        (N, C, ...)
    y             labels (N, ...), integers; or one-hot labels or probabilities like output,
                  (N, C, ...): their argmax is the label
    threshold     for answers of yes or no: y like output, (N,) or (N, k), has only 0 and 1. An
                  output above the threshold says 1. Give 0.5 for probabilities, 0 for logits. Each
                  of the k answers of an example counts
    ignore_index  a label that does not count, as in the losses. NaN if no label counts
    Ties: the first of the largest outputs is the answer. An output that is NaN is never right.
    ValueError for other shapes, and for labels outside [0, C).
    """
    if threshold is None:
        labels, counts = _labels("accuracy", output, y, ignore_index)
        return _share(answers_right(output, labels), counts)
    if ignore_index is not None:
        raise ValueError("ignore_index is for labels, and threshold for answers of yes or no")
    right = yes_or_no(output, y, threshold)
    return int(right.sum()) / right.size


def answers_right(output: Array, labels: Array) -> Array:
    """Whether argmax_c output is the label: an array of True and False like labels (N, ...)."""
    unknown = (output != output).any(axis=1)  # argmax would take NaN for the largest
    return (output.argmax(axis=1) == labels) & ~unknown


def yes_or_no(output: Array, y: Array, threshold: float) -> Array:
    """Whether each answer of yes or no is right: an array of True and False like y."""
    limit = finite("threshold", threshold)
    check_pair("accuracy", output, y)
    check_same_shape("accuracy with a threshold", output, y)
    if y.dtype.kind != "b" and not is_binary(y):
        raise ValueError(
            "accuracy with a threshold takes targets that are 0 or 1, got "
            f"{float(y.min()):.4g} to {float(y.max()):.4g}"
        )
    return ((output > limit) == (y > 0)) & (output == output)


def is_binary(y: Array) -> bool:
    """Whether all of y are 0 or 1."""
    return bool(((y == 0) | (y == 1)).all())


def top_k(k: int) -> Callable[[Array, Array], float]:
    """The metric "top_k": the share of examples whose label is among the k largest outputs.

        1/N Σ_n [rank of output_n,y_n among output_n < k],  rank 0 is the largest

    mg.metrics.top_k(5)(output, y); in `fit`, metrics=["top_5"].
    k  an integer >= 1
    Shapes, and `ignore_index`: as in `accuracy` without a threshold. top_k(1) is the accuracy: of
    equal outputs the first one has the lower rank. An output that is NaN is never right.
    ValueError if k is larger than C, the number of classes.
    """
    k = positive_int("k", k)

    def metric(output: Array, y: Array, *, ignore_index: int | None = None) -> float:
        name = f"top_{k}"
        labels, counts = _labels(name, output, y, ignore_index)
        xp = array_module(output, y)
        C = output.shape[1]
        if k > C:
            raise ValueError(f"{name} needs at least {k} classes, and the output has {C}")
        labels = xp.where(counts, labels, 0) if counts is not None else labels
        own = xp.take_along_axis(output, labels[:, None], axis=1)
        classes = xp.arange(C).reshape((1, C) + (1,) * (output.ndim - 2))
        # rank = how many are larger, and how many before it are equal. NaN counts as larger
        before = ~(output <= own) | ((output == own) & (classes < labels[:, None]))
        return _share(before.sum(axis=1) < k, counts)

    metric.__name__ = f"top_{k}"
    return metric


def confusion_matrix(
    output: Array, y: Array, classes: int | None = None, ignore_index: int | None = None
) -> np.ndarray:
    """M (C, C) on the host: M[i, j] is how many examples with label i were answered by j.

    Rows are true labels, columns are answers; the accuracy is the diagonal's share of all.
    output        (N, C, ...), or the answers themselves, integers like y. Of yes or no:
                  output > 0
    y             labels (N, ...), or one-hot labels or probabilities like output
    classes       C, if answers are given: else the largest label there is, plus 1
    ignore_index  a label that does not count, as in the losses
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
        counts = _counted(y, ignore_index)
        C = classes
    else:
        labels, counts = _labels("confusion_matrix", output, y, ignore_index)
        answers = output.argmax(axis=1)
        C = output.shape[1]
        if classes not in (None, C):
            raise ValueError(f"the output has {C} classes, not classes={classes}: leave it out")
    if counts is not None:
        answers, labels = answers[counts], labels[counts]
    if C is None:
        C = int(xp.maximum(answers, labels).max()) + 1 if labels.size else 1
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


def _labels(
    name: str, output: Array, y: Array, ignore_index: int | None
) -> tuple[Array, Array | None]:
    """(the labels (N, ...), which of them count), of labels or of shares like the output."""
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
        return _labels_of_shares(name, y, ignore_index), None
    if y.shape != output.shape[:1] + output.shape[2:] or y.dtype.kind not in "iu":
        raise ValueError(
            f"{name} takes integer labels of shape {(*output.shape[:1], *output.shape[2:])}, or "
            f"shares of the classes like the output, {tuple(output.shape)}; got {y.dtype} of "
            f"shape {tuple(y.shape)}"
        )
    counts = _counted(y, ignore_index)
    _check_range(name, y if counts is None else y[counts], output.shape[1])
    return y, counts


def _labels_of_shares(name: str, y: Array, ignore_index: int | None) -> Array:
    """The label of each example of y (N, C, ...), probabilities or one-hot labels."""
    if ignore_index is not None:
        raise ValueError(f"{name}: ignore_index is a label, and y has shares of the classes")
    if is_binary(y):
        others = int((y.sum(axis=1) != 1).sum())
        if others:
            raise ValueError(
                f"{name} compares one label for each example, and in y, of only 0 and 1, {others} "
                "have none or several. For several answers of yes or no write accuracy(output, y, "
                "threshold=0.5) for probabilities, threshold=0 for logits"
            )
    return y.argmax(axis=1)


def _counted(labels: Array, ignore_index: int | None) -> Array | None:
    """Which labels count. None: all."""
    return None if ignore_index is None else labels != ignore_index


def _share(right: Array, counts: Array | None) -> float:
    """How many are right, of those that count."""
    if counts is None:
        return int(right.sum()) / right.size
    of = int(counts.sum())
    return int((right & counts).sum()) / of if of else math.nan


def _check_range(name: str, labels: Array, C: int) -> None:
    """ValueError for a label that is no class: CuPy would take it for another one."""
    low, high = (int(labels.min()), int(labels.max())) if labels.size else (0, 0)
    if low < 0 or high >= C:
        hint = f"; for a label that does not count give ignore_index={low}" * (low < 0)
        raise ValueError(f"{name} must be in [0, {C}), got {low} to {high}{hint}")


def _shares(matrix: Any, axis: int) -> np.ndarray:
    matrix = np.asarray(to_host(matrix), float)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"a confusion matrix is of shape (C, C), got {matrix.shape}")
    sums = matrix.sum(axis=axis)
    sums[sums == 0] = np.nan
    return np.diag(matrix) / sums
