"""Gradient clipping, around any rule."""

from __future__ import annotations

import math

from minigrad.backend import Array
from minigrad.checks import not_negative
from minigrad.layers import Layer
from minigrad.losses import Loss
from minigrad.optim.clipping import checked_norm_type, clip_grad_norm, clip_grad_value
from minigrad.rules.base import Rule
from minigrad.rules.wrapper import Wrapper


class ClippedGradients(Wrapper):
    r"""dW_hat ← dW_hat · min(1, c/|d|), d all gradients together: no step is longer than lr c.

    Or with `clip_value` each number by itself, cut off to [-c, c].
    `norm` is |d| of the last step, before the cut. Layers that are frozen do not count.
    Cost: that of the wrapped rule.
    Source: Pascanu, Mikolov, Bengio 2013, Algorithm 1.
    """

    def __init__(
        self,
        rule: Rule,
        max_norm: float | None = None,
        clip_value: float | None = None,
        norm_type: float = 2.0,
    ):
        """
        rule        the rule whose estimate is cut off
        max_norm    c >= 0, the largest |d|
        clip_value  c >= 0, the largest number. Give this one, or max_norm
        norm_type   which norm: 2; 1; float("inf"), the largest number
        """
        super().__init__(rule)
        if (max_norm is None) == (clip_value is None):
            raise ValueError(
                "give one of max_norm and clip_value: ClippedGradients(rule, max_norm=1.0)"
            )
        self.max_norm = None if max_norm is None else not_negative("max_norm", max_norm)
        self.clip_value = None if clip_value is None else not_negative("clip_value", clip_value)
        self.norm_type = checked_norm_type(norm_type)
        self.norm = math.nan

    def estimate(self, model: Layer, loss: Loss, x: Array, target: Array) -> float:
        value = super().estimate(model, loss, x, target)
        if self.max_norm is not None:
            self.norm = clip_grad_norm(model, self.max_norm, self.norm_type)
        elif self.clip_value is not None:
            clip_grad_value(model, self.clip_value)
        return value
