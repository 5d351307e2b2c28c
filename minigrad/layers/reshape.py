"""Layers that give an array another shape."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

from minigrad.backend import Array, array_module
from minigrad.layers.base import Layer


class Flatten(Layer):
    r"""y = x with all axes but the first rolled into one: (N, C, H, W) becomes (N, C·H·W).

    Shapes: x (N, ...), y (N, D) with D the product of the rest.
    Backward:  dx    = dy in the shape of x
    Jvp:       y_dot = x_dot in the shape of y
    Source: the order of the numbers is PyTorch's, so that weights carry over.
    Taught in: 03_first_network.
    """

    monotone = True

    def __init__(self, dtype: Any = None):
        """dtype: float32 or float64; None: that of its input."""
        super().__init__(dtype)

    def forward(self, x: Array, train: bool = True) -> Array:
        array_module(x)
        self.check_input(x, "(N, ...)", x.ndim >= 1)
        self.cache = x.shape
        return x.reshape(len(x), prod(x.shape[1:]))

    def backward(self, dy: Array) -> Array:
        return dy.reshape(self.recall())

    def jvp(self, x_dot: Array, params_dot: Mapping[str, Array] | None = None) -> Array:
        shape = self.recall()
        return x_dot.reshape(shape[0], prod(shape[1:]))
