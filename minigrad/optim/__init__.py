"""Optimisers and learning-rate schedules. An optimiser moves the parameters by the gradients."""

from minigrad.optim.adagrad import Adagrad
from minigrad.optim.adam import Adam, AdamW
from minigrad.optim.average import EMA
from minigrad.optim.base import Optimizer
from minigrad.optim.clipping import clip_grad_norm, clip_grad_value
from minigrad.optim.curves import CosineAnnealingLR, LambdaLR, LinearLR, PolynomialLR
from minigrad.optim.plateau import ReduceLROnPlateau
from minigrad.optim.rmsprop import RMSprop
from minigrad.optim.schedules import ExponentialLR, MultiStepLR, Schedule, StepLR
from minigrad.optim.sequence import SequentialLR
from minigrad.optim.sgd import SGD

__all__ = [
    "EMA",
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "CosineAnnealingLR",
    "ExponentialLR",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "Optimizer",
    "PolynomialLR",
    "RMSprop",
    "ReduceLROnPlateau",
    "Schedule",
    "SequentialLR",
    "StepLR",
    "clip_grad_norm",
    "clip_grad_value",
]
