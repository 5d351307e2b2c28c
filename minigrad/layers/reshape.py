"""Layers that give an array another shape."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

from minigrad.backend import Array, array_module
from minigrad.checks import axis
from minigrad.layers.base import Layer


class Flatten(Layer):
    r"""y = x with one axis in place of all but the first: (N, C, H, W) becomes (N, C·H·W).

    Shapes: x (N, ...), y (N, D). D is the product of all sizes but N. With start_dim and end_dim
    only these axes, and those between them, become one.
    Backward:  dx    = dy in the shape of x
    Jvp:       y_dot = x_dot in the shape of y
    Source: PyTorch's Flatten. The numbers keep its order, so its weights can be used here.
    Taught in: 05_first_network.
    """

    monotone = True

    def __init__(self, start_dim: int | None = 1, end_dim: int = -1, dtype: Any = None):
        """
        start_dim  the first axis of those that become one. Axis 0, the batch, stays
        end_dim    the last of them. -1: the last of x
        dtype      float32 or float64. None: the dtype of the input
        """
        start, dtype = axis("start_dim", start_dim, dtype)
        super().__init__(dtype)
        self.start_dim = 1 if start is None else start
        end, _ = axis("end_dim", end_dim)
        self.end_dim = -1 if end is None else end
        if self.start_dim == 0:
            raise ValueError("start_dim must not be 0: axis 0 is the batch")

    def forward(self, x: Array, train: bool = True) -> Array:
        array_module(x)
        self.check_input(x, "(N, ...)", x.ndim >= 1)
        self.cache = x.shape, self._flat(x.shape)
        return x.reshape(self.cache[1])

    def backward(self, dy: Array) -> Array:
        return dy.reshape(self.recall()[0])

    def jvp(self, x_dot: Array, params_dot: Mapping[str, Array] | None = None) -> Array:
        return x_dot.reshape(self.recall()[1])

    def _flat(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of y."""
        start, end = self.start_dim, self.end_dim
        if (start, end) == (1, -1):
            return shape[0], prod(shape[1:])
        first, last = (n + len(shape) if n < 0 else n for n in (start, end))
        if not 1 <= first <= last < len(shape):
            raise ValueError(
                f"Flatten({start}, {end}) cannot flatten x of shape {shape}: it needs 1 <= "
                f"start_dim <= end_dim < {len(shape)}, the number of axes"
            )
        return *shape[:first], prod(shape[first : last + 1]), *shape[last + 1 :]

    def __repr__(self) -> str:
        usual = (self.start_dim, self.end_dim) == (1, -1)
        return f"Flatten({'' if usual else f'{self.start_dim}, {self.end_dim}'})"
