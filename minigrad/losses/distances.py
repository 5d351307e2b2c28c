"""Losses for numbers: how far the output is from the target, with less weight on outliers."""

from __future__ import annotations

from minigrad.backend import Array
from minigrad.checks import not_negative
from minigrad.losses.elements import ElementLoss, check_same_shape


class L1Loss(ElementLoss):
    r"""L = 1/n Σ |x - t|, over all n elements: mean absolute error.

    Shapes: x and target t of the same shape.
    Backward:  dx = sign(x - t) / n        at the kink x = t it is 0, as in PyTorch
    Jvp:       L_dot = 1/n Σ sign(x - t) x_dot
    The best constant x is the targets' median. For MSELoss it is their mean.
    Source: Boscovich 1757; Bishop 2006, §1.5.5.
    """

    def __init__(self, *, reduction: str = "mean") -> None:
        super().__init__(reduction)

    def terms(self, x: Array, target: Array) -> Array:
        xp = check_same_shape(self, x, target)
        difference = x - target
        self.cache = xp.sign(difference)
        # f = |x - t|
        return abs(difference)

    def slopes(self) -> Array:
        # ∂f/∂x = sign(x - t)
        return self.recall()


class HuberLoss(ElementLoss):
    r"""L = 1/n Σ f(e), e = x - t; f(e) = e²/2 where |e| <= δ, else δ (|e| - δ/2).

    Shapes: x and target t of the same shape.
    Backward:  dx = s / n, s = e cut off at ±δ
    Jvp:       L_dot = 1/n Σ s x_dot
    Near the target it is half of MSELoss, far away it is δ times L1Loss: an outlier's slope is at
    most δ.
    Source: Huber 1964, §1.
    """

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction)
        self.delta = not_negative("delta", delta)
        if self.delta == 0:
            raise ValueError("delta must be a number > 0, got 0")

    def terms(self, x: Array, target: Array) -> Array:
        xp = check_same_shape(self, x, target)
        e = x - target
        self.cache = s = xp.clip(e, -self.delta, self.delta)
        # f = s (e - s/2): e²/2 where s = e, and δ (|e| - δ/2) where s = ±δ
        return s * (e - s / 2)

    def slopes(self) -> Array:
        # ∂f/∂x = s
        return self.recall()


class SmoothL1Loss(ElementLoss):
    r"""L = 1/n Σ f(e), e = x - t; f(e) = e²/(2β) where |e| <= β, else |e| - β/2.

    Shapes: x and target t of the same shape.
    Backward:  dx = s / n, s = e/β cut off at ±1
    Jvp:       L_dot = 1/n Σ s x_dot
    It is HuberLoss with δ = β, divided by β. With β = 0 it is L1Loss.
    Source: Girshick 2015, "Fast R-CNN", eq. 3.
    """

    def __init__(self, *, reduction: str = "mean", beta: float = 1.0) -> None:
        super().__init__(reduction)
        self.beta = not_negative("beta", beta)

    def terms(self, x: Array, target: Array) -> Array:
        xp = check_same_shape(self, x, target)
        e = x - target
        s = xp.clip(e / self.beta, -1, 1) if self.beta > 0 else xp.sign(e)
        self.cache = s
        # f = s (e - β s/2): e²/(2β) where s = e/β, and |e| - β/2 where s = ±1
        return s * (e - s * (self.beta / 2))

    def slopes(self) -> Array:
        # ∂f/∂x = s
        return self.recall()
