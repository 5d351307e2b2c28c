"""A point on a surface as a network. Its parameter is the point, its loss the height there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from minigrad import backend
from minigrad.backend import Array, array_module
from minigrad.layers import Layer, Sequential
from minigrad.losses import Loss, total


class Point(Layer):
    r"""y = x, the coordinates of a point. x is the parameter of this layer, not its input.

    Shapes: x (n,), y (1, n), a batch of one. The input may be anything. It has no effect.
    Backward:  dx = dy[0], in `grads`. The gradient of the input is 0
    Jvp:       y_dot = x_dot, from params_dot, or 0
    """

    def __init__(self, start: Sequence[float], dtype: Any = "float64"):
        """
        start  the first coordinates, n finite numbers
        dtype  float64 or float32
        """
        super().__init__(dtype)
        x = np.array(backend.to_host(start), self.dtype)
        if x.ndim != 1 or x.size == 0 or not np.isfinite(x).all():
            raise ValueError(f"Point expected n finite numbers, as (0.0, 0.5), got {start!r}")
        self.params["x"] = backend.to_device(x)

    def forward(self, x: Any = None, train: bool = True) -> Array:
        self.cache = (x,)
        return self.params["x"][None].copy()  # a copy: the next step changes the parameter

    def backward(self, dy: Array) -> Any:
        (x,) = self.recall()
        self.check_upstream(dy, (1, self.params["x"].size))
        self.grads["x"] = dy[0].copy()
        return array_module(x).zeros_like(x) if hasattr(x, "dtype") else None

    def jvp(self, x_dot: Any, params_dot: Mapping[str, Array] | None = None) -> Array:
        self.recall()
        if params_dot is None:
            return array_module(self.params["x"]).zeros_like(self.params["x"])[None]
        return params_dot["x"][None].copy()

    def __repr__(self) -> str:
        return f"Point({backend.to_host(self.params['x']).tolist()})"


class Height(Loss):
    r"""L = 1/N Σ_n y_n: the mean height. The target has no effect.

    Shapes: heights y (N,).
    Backward:  dy = 1/N
    Jvp:       L_dot = 1/N Σ_n y_dot_n
    """

    def forward(self, output: Array, target: Any = None) -> float:
        return total(self._checked(output)) / len(output)

    def each(self, output: Array, target: Any = None) -> Array:
        return self._checked(output).copy()

    def backward(self) -> Array:
        output = self.recall()
        return array_module(output).full_like(output, 1 / len(output))

    def jvp(self, output_dot: Array | None) -> float:
        self.recall()
        return 0.0 if output_dot is None else total(self.each_jvp(output_dot)) / len(output_dot)

    def each_jvp(self, output_dot: Array) -> Array:
        output = self.recall()
        if output_dot.shape != output.shape:
            raise ValueError(
                f"Height.jvp expected tangents of shape {output.shape}, as the heights of the "
                f"last forward, got {tuple(output_dot.shape)}"
            )
        return output_dot.copy()

    def _checked(self, output: Array) -> Array:
        array_module(output)
        if output.ndim != 1 or len(output) == 0:
            raise ValueError(
                f"Height expected heights of shape (N,), got {tuple(output.shape)}; the model's "
                "last layer must be a surface, as in mg.functions.at(surface)"
            )
        self.cache = output
        return output


def at(surface: Layer, start: Sequence[float] | None = None, dtype: Any = "float64") -> Sequential:
    """A point on a surface as a network. Its one parameter, "0.x", is the coordinates.

    surface  a layer from (N, n) to (N,), such as Beale()
    start    the first coordinates, n numbers. None: the surface's own start
    dtype    float64 or float32
    """
    start = surface.start if start is None else start
    n = getattr(surface, "n", np.size(start))
    if np.shape(start) != (n,):
        raise ValueError(f"{surface!r} is a surface over {n} coordinates, got the start {start!r}")
    return Sequential(Point(start, dtype), surface)
