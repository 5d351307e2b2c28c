"""Skip connections."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from minigrad.backend import Array, Tangent
from minigrad.layers.base import Layer
from minigrad.layers.sequential import Sequential, chain


class Residual(Sequential):
    r"""y = x + f(x), f the given layers one after another: a skip connection.

    Shapes: any x, y the same. f must not change the shape.
    Backward:  dx = dy + J_fᵀ dy        a gradient that reaches y reaches x whole
    Jvp:       y_dot = x_dot + J_f x_dot
    It is a Sequential: the parameters of f have the names "0.W", "1.b", ... It is one layer of the
    network around it: a cut between blocks is before or after it, never inside.
    Source: He, Zhang, Ren, Sun 2015, "Deep residual learning", §3.2.
    """

    def __init__(self, *layers: Layer):
        """layers: f. x goes through them in this order."""
        if not layers:
            raise ValueError("Residual needs at least one layer: y = x + f(x)")
        super().__init__(*layers)

    def forward(self, x: Array, train: bool = True) -> Array:
        # y = x + f(x)
        return x + self._checked(super().forward(x, train), x)

    def backward(self, dy: Array) -> Array:
        # dx = dy + J_fᵀ dy
        return dy + super().backward(dy)

    def backward_params(self, dy: Array) -> None:
        """The gradients of f alone: the dy of f is that of y."""
        Sequential.backward_params(self, dy)

    def jvp(self, x_dot: Tangent, params_dot: Mapping[str, Array] | None = None) -> Any:
        f_dot = super().jvp(x_dot, params_dot)
        # y_dot = x_dot + J_f x_dot
        return f_dot if x_dot is None else x_dot + f_dot

    def forward_jvp(
        self,
        x: Array,
        x_dot: Array | None,
        params_dot: Mapping[str, Array] | None = None,
        train: bool = True,
    ) -> tuple[Array, Array | None]:
        """y and y_dot together, layer by layer. The memory does not grow with the depth."""
        f, f_dot = super().forward_jvp(x, x_dot, params_dot, train)
        y = x + self._checked(f, x)
        return y, f_dot if x_dot is None or f_dot is None else x_dot + f_dot

    def inside(self, prefix: str) -> list[tuple[str, Layer]]:
        """(prefix, layer) for each layer of f, for the table that `summary` prints."""
        own = type(self).forward is Residual.forward
        return list(chain(Sequential(*self.layers), prefix)) if own else []

    def _checked(self, f: Array, x: Array) -> Array:
        if f.shape != x.shape:
            raise ValueError(
                f"Residual adds f(x) to x, so f must not change the shape: x has {tuple(x.shape)}, "
                f"f(x) has {tuple(f.shape)}"
            )
        return f
