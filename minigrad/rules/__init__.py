"""The learning rules: one way to get a gradient a file, all called in the same way."""

from minigrad.rules.backprop import Backprop
from minigrad.rules.base import Rule
from minigrad.rules.blocks import split
from minigrad.rules.directions import Directions
from minigrad.rules.forward import ForwardGradient
from minigrad.rules.gates import null_fraction
from minigrad.rules.modules import GradientModule, InputModule, Module
from minigrad.rules.synthetic import SyntheticGradients
from minigrad.rules.well_tempered import WellTempered

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
