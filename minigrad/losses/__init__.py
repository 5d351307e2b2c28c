"""Losses: one number for a batch, with the same forward / backward / jvp as a layer.

All take the mean over the batch's examples, as PyTorch does by default; losses of single elements
take it over all elements. The sum is taken in float64, and brought to the host once.
"""

from minigrad.losses.base import Loss, total
from minigrad.losses.classes import CrossEntropyLoss, NLLLoss
from minigrad.losses.elements import BCELoss, MSELoss

__all__ = ["BCELoss", "CrossEntropyLoss", "Loss", "MSELoss", "NLLLoss", "total"]
