"""What a learning rule is: anything that fills in a network's gradients."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from minigrad.backend import Array
from minigrad.layers import Layer
from minigrad.losses import Loss


class Rule:
    """A way to get gradients: a rule estimates, an optimiser steps.

    `estimate` leaves in every layer's `grads` this rule's estimate of the loss's gradient, and
    `grads == {}` in a layer that it leaves out this time; it never touches a parameter.
    """

    cost = math.nan  # products of a step in those of a forward pass, where the rule knows

    def estimate(self, model: Layer, loss: Loss, x: Array, target: Array) -> float:
        """Fill the layers' `grads` for this batch; returns the batch's mean loss."""
        raise NotImplementedError(f"{type(self).__name__} has no estimate(...) yet")

    def end_epoch(self) -> None:
        """Called by `fit` after each epoch, for rules that keep statistics."""

    def rescale(self, factor: float) -> None:
        """Called by `fit` when its schedule has moved, with lr(t)/lr(0): for rules that have
        learning rates of their own, which are to fall together with the optimiser's."""

    def state_dict(self) -> dict[str, Any]:
        """What the rule has learned or measured so far, on the host, flat; {} for most rules."""
        return {}

    def load_state_dict(self, model: Layer, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave, for this model."""
        if state:
            raise KeyError(f"{type(self).__name__} keeps nothing, this state has {sorted(state)}")

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"
