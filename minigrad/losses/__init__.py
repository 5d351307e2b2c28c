"""Losses: one number for a batch. They have forward, backward and jvp, as a layer has.

A loss is a mean over the examples of the batch, as by default in PyTorch. Losses for single
elements, such as MSELoss, are means over all elements. With reduction="sum" a loss is the sum.
There is no reduction="none", because a loss is one number: `each` gives every example's own.
The sum is taken in float64. Only the result is copied to the host.
"""

from minigrad.losses.base import Loss, total
from minigrad.losses.classes import CrossEntropyLoss, MultiMarginLoss, NLLLoss
from minigrad.losses.distances import HuberLoss, L1Loss, SmoothL1Loss
from minigrad.losses.elements import BCELoss, ElementLoss, MSELoss
from minigrad.losses.probabilities import BCEWithLogitsLoss, KLDivLoss

__all__ = [
    "BCELoss",
    "BCEWithLogitsLoss",
    "CrossEntropyLoss",
    "ElementLoss",
    "HuberLoss",
    "KLDivLoss",
    "L1Loss",
    "Loss",
    "MSELoss",
    "MultiMarginLoss",
    "NLLLoss",
    "SmoothL1Loss",
    "total",
]
