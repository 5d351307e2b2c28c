"""Synthetic gradients: a block does not wait for its gradient. A module predicts it."""

from minigrad.rules.synthetic.baselines import StaleGradients, TopLayerOnly
from minigrad.rules.synthetic.blocks import split
from minigrad.rules.synthetic.modules import GradientModule, InputModule, Module
from minigrad.rules.synthetic.rule import SyntheticGradients

__all__ = [
    "GradientModule",
    "InputModule",
    "Module",
    "StaleGradients",
    "SyntheticGradients",
    "TopLayerOnly",
    "split",
]
