"""Metrics of numbers: mean errors, and R²."""

from __future__ import annotations

import numpy as np

from minigrad.backend import Array, array_module
from minigrad.metrics.pairs import check_pair, check_same_shape


def mse(output: Array, y: Array) -> float:
    """1/n Σ (output - y)², over all n elements of two arrays of one shape."""
    difference = _difference("mse", output, y)
    return float((difference * difference).mean())


def rmse(output: Array, y: Array) -> float:
    """√(1/n Σ (output - y)²): an error in the unit of y."""
    return mse(output, y) ** 0.5


def mae(output: Array, y: Array) -> float:
    """1/n Σ |output - y|, over all n elements of two arrays of one shape."""
    return float(abs(_difference("mae", output, y)).mean())


def r2(output: Array, y: Array) -> float:
    """R² = 1 - Σ_n (output_n - y_n)² / Σ_n (y_n - ȳ)²: 1 is perfect, 0 is as good as the mean ȳ.

    Shapes: output and y (N,) or (N, ...). Of several numbers for each example: the mean of the R²
    of each. Where all y_n are equal, R² is 0/0 or has no meaning: the result is NaN.
    It is below 0 for outputs that are worse than the mean.
    Source: Draper, Smith 1998, §1.3.
    """
    xp = array_module(output, y)
    difference = _difference("r2", output, y).reshape(len(y), -1)
    target = y.astype(np.float64).reshape(len(y), -1)
    rest = target - target.mean(axis=0)
    spread = (rest * rest).sum(axis=0)
    constant = target.max(axis=0) == target.min(axis=0)  # the mean of equal numbers is rounded
    spread = xp.where(constant, np.nan, spread)
    return float((1 - (difference * difference).sum(axis=0) / spread).mean())


def _difference(name: str, output: Array, y: Array) -> Array:
    """output - y in float64."""
    check_pair(name, output, y)
    check_same_shape(name, output, y)
    return output.astype(np.float64) - y.astype(np.float64)
