"""Losses whose targets are probabilities: of yes or no, element by element, or of all classes."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.backend import Array
from minigrad.kernels.elementwise import sigmoid
from minigrad.losses.base import as_weight
from minigrad.losses.elements import (
    ElementLoss,
    check_probabilities,
    check_same_shape,
    range_of,
    weighted,
)


class BCEWithLogitsLoss(ElementLoss):
    r"""L = -1/n Σ t ln p + (1 - t) ln(1 - p), p = σ(x): binary cross-entropy from logits.

    Shapes: logits x and target t of the same shape, t in [0, 1]. Several labels may be true.
    Forward:   f = max(x, 0) - t x + ln(1 + e^(-|x|)): no x makes it overflow
    Backward:  dx = (p - t) / n            it does not vanish where the sigmoid is saturated
    Jvp:       L_dot = 1/n Σ (p - t) x_dot
    `pos_weight`: a factor for t ln p, (D,) or a number for all; above 1 where few t are 1.
    `weight`: a factor for each element, or for each of an example's elements: (N, D) or (D,).
    It takes logits: after a Sigmoid layer it would be a double sigmoid.
    Source: Goodfellow, Bengio, Courville 2016, §6.2.2.2.
    """

    def __init__(
        self, weight: Any = None, *, reduction: str = "mean", pos_weight: Any = None
    ) -> None:
        super().__init__(reduction)
        self.weight = as_weight("weight", weight)
        self.pos_weight = as_weight("pos_weight", pos_weight)

    def terms(self, x: Array, target: Array) -> Array:
        xp = check_same_shape(self, x, target)
        yes = weighted(self, target, "pos_weight")
        no = 1 - target
        self.cache = x, yes, no
        with np.errstate(invalid="ignore"):
            inside = xp.sqrt(target * no)  # NaN unless 0 <= target <= 1
        # -ln σ(x) = max(-x, 0) + l,  -ln(1 - σ(x)) = max(x, 0) + l,  l = ln(1 + e^(-|x|))
        f = yes * xp.maximum(-x, 0) + no * xp.maximum(x, 0)
        f += (yes + no) * xp.log1p(xp.exp(-abs(x)))
        return weighted(self, f + 0 * inside)

    def slopes(self) -> Array:
        x, yes, no = self.recall()
        # ∂f/∂x = (a + b) σ(x) - a, a = t pos_weight, b = 1 - t. It is σ(x) - t if pos_weight = 1
        return weighted(self, (yes + no) * sigmoid(x) - yes)

    def explain(self, x: Array, target: Array) -> None:
        check_probabilities(self, target)


class KLDivLoss(ElementLoss):
    r"""L = 1/n Σ t (ln t - x), x = ln p: the Kullback-Leibler divergence of p from the target t.

    Shapes: log-probabilities x (N, ...) and target t of the same shape; 0 ln 0 = 0.
    Backward:  dx = -t / n
    Jvp:       L_dot = -1/n Σ t x_dot
    `log_target=True`: the target is ln t, and t = e^target.
    reduction="mean" divides by all n elements, as in PyTorch. The divergence of one example is
    Σ_c t (ln t - x): reduction="batchmean" is its mean.
    Put LogSoftmax() before it. CrossEntropyLoss with probabilities has the same gradient.
    Source: Kullback, Leibler 1951, §2; for a teacher's t, Hinton, Vinyals, Dean 2015.
    """

    reductions = ("mean", "sum", "batchmean")

    def __init__(self, *, reduction: str = "mean", log_target: bool = False) -> None:
        super().__init__(reduction)
        if not isinstance(log_target, bool):
            raise TypeError(f"log_target must be True or False, got {log_target!r:.60}")
        self.log_target = log_target

    def terms(self, x: Array, target: Array) -> Array:
        xp = check_same_shape(self, x, target)
        if self.log_target:
            self.cache = t = xp.exp(target)
            # f = t (ln t - x)
            return t * (target - x)
        self.cache = target
        with np.errstate(invalid="ignore"):  # NaN where the target is below 0
            log_t = xp.log(xp.where(target == 0, 1, target))
        # f = t ln t - t x
        return target * log_t - target * x

    def slopes(self) -> Array:
        # ∂f/∂x = -t
        return -self.recall()

    def explain(self, x: Array, target: Array) -> None:
        if not self.log_target and not bool((target >= 0).all()):
            raise ValueError(
                f"KLDivLoss takes probabilities >= 0 as target, got {range_of(target)}; for "
                "logarithms of probabilities write KLDivLoss(log_target=True)"
            )
