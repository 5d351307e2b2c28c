"""Losses: one number for a batch. They have forward, backward and jvp, as a layer has.

A loss is a mean over the examples of the batch, as by default in PyTorch. BCELoss and MSELoss are
means over all elements. The sum is taken in float64. Only the result is copied to the host.
"""

from minigrad.losses.base import Loss, total
from minigrad.losses.classes import CrossEntropyLoss, NLLLoss
from minigrad.losses.elements import BCELoss, MSELoss

__all__ = ["BCELoss", "CrossEntropyLoss", "Loss", "MSELoss", "NLLLoss", "total"]
