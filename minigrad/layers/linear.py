"""The fully connected layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from minigrad.backend import Array, Tangent, array_module, host_generator
from minigrad.checks import positive_int
from minigrad.kernels.products import (
    affine,
    affine_jvp,
    affine_with_tangent,
    matmul,
    sum_rows,
)
from minigrad.layers.base import Layer, initial_uniform


class Linear(Layer):
    r"""y = x W + b.

    Shapes: x (N, D), W (D, M), b (M,), y (N, M), with D = in_features, M = out_features.
    x (N, ..., D) is taken as a matrix (N·..., D): one W for all places. y is (N, ..., M).

    Backward:  dW = xᵀ dy     (D, M)      for each weight: its input times the dy of its output
               db = Σ_n dy_n  (M,)
               dx = dy Wᵀ     (N, D)
    Jvp:       y_dot = x_dot W + x W_dot + b_dot
    Start:     W, b ~ U(-1/√D, 1/√D), PyTorch's default. Results can then be compared.

    Source: Rumelhart, Hinton, Williams 1986, eq. 4-7.  Taught in: 01_gradients_by_hand.
    """

    unit_axis: Mapping[str, int] = {"W": 1}
    sends_through = "W"  # backward uses W for dx alone

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        dtype: Any = "float32",
        rng: np.random.Generator | None = None,
        seed: int | None = None,
    ):
        """
        in_features   D, the numbers in each example of x, an integer >= 1
        out_features  M, the numbers in each example of y, an integer >= 1
        bias          whether b is added
        dtype         float32 or float64
        rng, seed     a numpy.random.Generator, or an integer, not both: the source of the random
                      start. Without them the start differs from run to run
        """
        super().__init__(dtype)
        self.in_features = positive_int("in_features", in_features)
        self.out_features = positive_int("out_features", out_features)
        rng = host_generator(rng, seed)
        D, M = self.in_features, self.out_features
        self.params["W"] = initial_uniform(rng, (D, M), D, self.dtype)
        if bias:
            self.params["b"] = initial_uniform(rng, (M,), D, self.dtype)

    def forward(self, x: Array, train: bool = True) -> Array:
        self._check(x)
        self.cache = x
        # y = x W + b
        y = affine(x if x.ndim == 2 else _rows(x), self.params["W"], self.params.get("b"))
        return y if x.ndim == 2 else y.reshape(*x.shape[:-1], self.out_features)

    def backward(self, dy: Array) -> Array:
        self._gradients(dy)
        # dx = dy Wᵀ
        if dy.ndim == 2:
            return matmul(dy, self.params["W"].T)
        return matmul(_rows(dy), self.params["W"].T).reshape(self.cache.shape)

    def backward_params(self, dy: Array) -> None:
        """The same gradients as `backward`. dx is not computed."""
        self._gradients(dy)

    def _gradients(self, dy: Array) -> None:
        x = self.recall()
        self.check_upstream(dy, (*x.shape[:-1], self.out_features))
        if x.ndim > 2:
            x = _rows(x)
            dy = _rows(dy)
        # dW = xᵀ dy
        self.grads["W"] = matmul(x.T, dy)
        # db = Σ_n dy_n
        if "b" in self.params:
            self.grads["b"] = sum_rows(dy)

    def jvp(self, x_dot: Tangent, params_dot: Mapping[str, Array] | None = None) -> Array:
        x = self.recall()
        if x_dot is not None:
            self.check_tangent(x_dot, x.shape)
        W_dot, b_dot = (params_dot["W"], params_dot.get("b")) if params_dot else (None, None)
        # y_dot = x_dot W + x W_dot + b_dot
        if x.ndim == 2:
            return affine_jvp(x, x_dot, self.params["W"], W_dot, b_dot)
        y_dot = affine_jvp(_rows(x), _rows(x_dot), self.params["W"], W_dot, b_dot)
        return y_dot.reshape(*x.shape[:-1], self.out_features)

    def forward_jvp(
        self,
        x: Array,
        x_dot: Tangent,
        params_dot: Mapping[str, Array] | None = None,
        train: bool = True,
    ) -> tuple[Array, Tangent]:
        """y and y_dot together. One product multiplies both x and x_dot by W."""
        self._check(x)
        if x_dot is not None:
            self.check_tangent(x_dot, x.shape)
        self.cache = None
        W = self.params["W"]
        b = self.params.get("b")
        W_dot, b_dot = (params_dot["W"], params_dot.get("b")) if params_dot else (None, None)
        if x.ndim == 2:
            return affine_with_tangent(x, x_dot, W, W_dot, b, b_dot)
        shape = *x.shape[:-1], self.out_features
        y, y_dot = affine_with_tangent(_rows(x), _rows(x_dot), W, W_dot, b, b_dot)
        return y.reshape(shape), None if y_dot is None else y_dot.reshape(shape)

    def _check(self, x: Array) -> None:
        """Raise unless x has shape (N, D) or (N, ..., D)."""
        array_module(x, self.params["W"])
        D = self.in_features
        if x.ndim == 2 and x.shape[1] == D and x.dtype is self.dtype:
            return  # as in nearly every step
        self.check_input(
            x,
            f"(N, {D})" + (f" or (N, ..., {D})" if x.ndim > 2 else ""),
            x.ndim >= 2 and x.shape[-1] == D,
            "put Flatten() before it" if x.ndim > 2 else "",
        )

    def __repr__(self) -> str:
        bias = "" if "b" in self.params else ", bias=False"
        return f"Linear({self.in_features}, {self.out_features}{bias})"


def _rows(x: Tangent) -> Tangent:
    """x (N, ..., D) as a matrix (N·..., D)."""
    return x if x is None else x.reshape(-1, x.shape[-1])
