"""Optimisers and learning-rate schedules. An optimiser moves the parameters by the gradients."""

from minigrad.optim.adagrad import Adagrad
from minigrad.optim.adam import Adam, AdamW
from minigrad.optim.base import Optimizer
from minigrad.optim.rmsprop import RMSprop
from minigrad.optim.schedules import ExponentialLR, MultiStepLR, Schedule, StepLR
from minigrad.optim.sgd import SGD

__all__ = [
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "ExponentialLR",
    "MultiStepLR",
    "Optimizer",
    "RMSprop",
    "Schedule",
    "StepLR",
]
