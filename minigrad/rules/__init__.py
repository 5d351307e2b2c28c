"""The learning rules: one way to get a gradient a file or folder, all called in the same way."""

from minigrad.rules.backprop import Backprop
from minigrad.rules.base import Rule
from minigrad.rules.forward import Directions, ForwardGradient
from minigrad.rules.synthetic import (
    GradientModule,
    InputModule,
    Module,
    SyntheticGradients,
    split,
)
from minigrad.rules.well_tempered import WellTempered, null_fraction

__all__ = [
    "Backprop",
    "Directions",
    "ForwardGradient",
    "GradientModule",
    "InputModule",
    "Module",
    "Rule",
    "SyntheticGradients",
    "WellTempered",
    "null_fraction",
    "split",
]
