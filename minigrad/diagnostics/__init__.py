"""Diagnostics: how good a gradient is, how steep the loss is, and what a network has become.

    print(mg.diagnostics.quality(rule, net, loss, x, y))      cosine, bias², variance by layer
    print(mg.diagnostics.stability(net, loss, x, y))          trace and eigenvalue of the Hessian

No function here changes anything: parameters, gradients, statistics, random streams and the state
of rules are as before, also after an error. They work on copies.
"""

from minigrad.diagnostics.activations import activations
from minigrad.diagnostics.age import gradient_age
from minigrad.diagnostics.curvature import (
    Stability,
    gauss_newton_product,
    hessian_product,
    stability,
)
from minigrad.diagnostics.likeness import cka, likeness
from minigrad.diagnostics.measures import Measures
from minigrad.diagnostics.one_step import OneStep, one_step
from minigrad.diagnostics.quality import Quality, quality
from minigrad.diagnostics.signal_to_noise import signal_to_noise
from minigrad.diagnostics.spreads import Spreads, spreads
from minigrad.diagnostics.units import class_recall, dead_units
from minigrad.diagnostics.vectors import cosine, norm, product

__all__ = [
    "Measures",
    "OneStep",
    "Quality",
    "Spreads",
    "Stability",
    "activations",
    "cka",
    "class_recall",
    "cosine",
    "dead_units",
    "gauss_newton_product",
    "gradient_age",
    "hessian_product",
    "likeness",
    "norm",
    "one_step",
    "product",
    "quality",
    "signal_to_noise",
    "spreads",
    "stability",
]
