"""Layers that give an array another shape."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

from minigrad.backend import Array, array_module
from minigrad.layers.base import Layer


class Flatten(Layer):
    r"""y = x with one axis in place of all but the first: (N, C, H, W) becomes (N, C·H·W).

    Shapes: x (N, ...), y (N, D). D is the product of all sizes but N.
    Backward:  dx    = dy in the shape of x
    Jvp:       y_dot = x_dot in the shape of y
    Source: PyTorch's Flatten. The numbers keep its order, so its weights can be used here.
    Taught in: 03_first_network.
    """

    monotone = True

    def __init__(self, dtype: Any = None):
        """dtype: float32 or float64. None: the dtype of the input."""
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
