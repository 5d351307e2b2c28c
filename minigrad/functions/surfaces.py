"""Surfaces: functions of a few variables, with gradients written by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from minigrad import backend
from minigrad.backend import Array, array_module
from minigrad.checks import not_negative
from minigrad.layers import Layer


class Surface(Layer):
    r"""y = f(x): the height of a surface at each of N points. The layer has no parameters.

    Shapes: x (N, n), y (N,).
    Backward:  dx    = dy ∇f(x)         row by row
    Jvp:       y_dot = ∇f(x) · x_dot    row by row
    To write a surface: give `start`, `minimum` (a point of height 0) and `limits` (of each axis in
    a plot). Write `height(x)` and `gradient(x)`. The last axis of x (..., n) has the coordinates.
    The dtype of x, float32 or float64, is the dtype of y.
    """

    start: tuple[float, ...]
    minimum: tuple[float, ...]
    limits: tuple[tuple[float, float], ...]

    @property
    def n(self) -> int:
        """The number of variables of f."""
        return len(self.start)

    def height(self, x: Array) -> Array:
        """f at the points x (..., n), an array (...)."""
        raise NotImplementedError(f"{type(self).__name__} has no height(x) yet")

    def gradient(self, x: Array) -> Array:
        """∇f at the points x (..., n), an array like x."""
        raise NotImplementedError(f"{type(self).__name__} has no gradient(x) yet")

    def heights(self, *coordinates: Any) -> Array:
        """f(x, y) for numbers, or for arrays of one shape, such as the grid of a plot."""
        if len(coordinates) != self.n:
            raise ValueError(
                f"{type(self).__name__} has {self.n} coordinates, got {len(coordinates)}; write "
                "heights(x, y), or height(points) if each row of points is a point"
            )
        parts = [c if hasattr(c, "dtype") else np.asarray(c, "float64") for c in coordinates]
        x = array_module(*parts).stack(parts, axis=-1)
        return self.height(x if x.dtype.kind == "f" else x.astype("float64"))

    def forward(self, x: Array, train: bool = True) -> Array:
        array_module(x)
        self.check_input(x, f"(N, {self.n})", x.ndim == 2 and x.shape[1] == self.n)
        self.cache = x
        return self.height(x)

    def backward(self, dy: Array) -> Array:
        x = self.recall()
        self.check_upstream(dy, x.shape[:1])
        return dy[:, None] * self.gradient(x)

    def jvp(self, x_dot: Array, params_dot: Mapping[str, Array] | None = None) -> Array:
        x = self.recall()
        self.check_tangent(x_dot, x.shape)
        return (self.gradient(x) * x_dot).sum(axis=1)


class Beale(Surface):
    r"""f(x, y) = Σ_k (c_k - x + x y^k)², k = 1, 2, 3, c = (1.5, 2.25, 2.625): a bent valley.

    Shapes: points (N, 2), heights (N,). Minimum 0 at (3, 1/2); start (0, 1/2), f = 14.203125.
    Backward:  with r_k = c_k - x + x y^k,
               ∂f/∂x = 2 Σ_k r_k (y^k - 1)
               ∂f/∂y = 2 Σ_k r_k k x y^(k-1)
    Jvp:       y_dot = ∂f/∂x x_dot + ∂f/∂y y_dot of each point
    Source: Beale 1958, "On an iterative method for finding a local minimum".
    Taught in: 11_forward_gradients.
    """

    start = (0.0, 0.5)
    minimum = (3.0, 0.5)
    limits = ((-0.5, 4.0), (-1.0, 1.2))

    def height(self, x: Array) -> Array:
        r1, r2, r3 = self._residuals(x[..., 0], x[..., 1])
        return r1 * r1 + r2 * r2 + r3 * r3

    def gradient(self, x: Array) -> Array:
        xp = array_module(x)
        y = x[..., 1]
        x = x[..., 0]
        r1, r2, r3 = self._residuals(x, y)
        y2 = y * y
        dx = 2 * (r1 * (y - 1) + r2 * (y2 - 1) + r3 * (y2 * y - 1))
        dy = 2 * x * (r1 + 2 * y * r2 + 3 * y2 * r3)
        return xp.stack([dx, dy], axis=-1)

    @staticmethod
    def _residuals(x: Array, y: Array) -> tuple[Array, Array, Array]:
        xy = x * y
        xy2 = xy * y
        return 1.5 - x + xy, 2.25 - x + xy2, 2.625 - x + xy2 * y


class Rosenbrock(Surface):
    r"""f(x, y) = (1 - x)² + 100 (y - x²)²: a flat valley along y = x² with steep sides.

    Shapes: points (N, 2), heights (N,). Minimum 0 at (1, 1); start (-1, 0), f = 104.
    Backward:  with r = y - x²,
               ∂f/∂x = -2 (1 - x) - 400 x r
               ∂f/∂y = 200 r
    Jvp:       y_dot = ∂f/∂x x_dot + ∂f/∂y y_dot of each point
    Source: Rosenbrock 1960, "An automatic method for finding the greatest or least value of a
    function".  Taught in: 11_forward_gradients.
    """

    start = (-1.0, 0.0)
    minimum = (1.0, 1.0)
    limits = ((-1.5, 1.5), (-0.5, 1.5))

    def height(self, x: Array) -> Array:
        y = x[..., 1]
        x = x[..., 0]
        a = 1 - x
        r = y - x * x
        return a * a + 100 * (r * r)

    def gradient(self, x: Array) -> Array:
        xp = array_module(x)
        y = x[..., 1]
        x = x[..., 0]
        r = y - x * x
        return xp.stack([-2 * (1 - x) - 400 * x * r, 200 * r], axis=-1)


class Ravine(Surface):
    r"""f(x) = ½ Σ_i h_i x_i²: a bowl in n dimensions. h_i is its curvature along axis i.

    Shapes: h (n,), points (N, n), heights (N,). Minimum 0 at 0; start (1, ..., 1), f = ½ Σ h_i.
    Backward:  ∂f/∂x_i = h_i x_i
    Jvp:       y_dot = Σ_i h_i x_i x_dot_i
    The Hessian is diag(h): its trace is Σ h_i, its largest eigenvalue max h_i. A learning rate
    above 2/max h_i diverges.
    Source: Polyak 1964, §2.  Taught in: 11_forward_gradients.
    """

    def __init__(self, curvature: Sequence[float] = (1.0, 25.0)):
        """curvature: h, n numbers >= 0, not all 0."""
        super().__init__()
        self.curvature = tuple(not_negative("curvature", h) for h in np.atleast_1d(curvature))
        if not any(self.curvature):
            raise ValueError(f"curvature must have a number above 0, got {curvature!r}")
        n = len(self.curvature)
        self.start = n * (1.0,)
        self.minimum = n * (0.0,)
        self.limits = n * ((-1.5, 1.5),)

    def height(self, x: Array) -> Array:
        return (x * x * self._like(x)).sum(axis=-1) / 2

    def gradient(self, x: Array) -> Array:
        return self._like(x) * x

    def _like(self, x: Array) -> Array:
        """h in x's dtype, where x is."""
        return backend.to_device(np.array(self.curvature, x.dtype), like=x)

    def __repr__(self) -> str:
        return f"Ravine(curvature={self.curvature})"
