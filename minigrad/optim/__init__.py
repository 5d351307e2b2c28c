"""Optimisers and learning-rate schedules. An optimiser moves the parameters by the gradients."""

from minigrad.optim.adam import Adam
from minigrad.optim.base import Optimizer
from minigrad.optim.schedules import ExponentialLR, MultiStepLR, Schedule, StepLR
from minigrad.optim.sgd import SGD

__all__ = ["SGD", "Adam", "ExponentialLR", "MultiStepLR", "Optimizer", "Schedule", "StepLR"]
