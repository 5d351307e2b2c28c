"""The fully connected layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from minigrad.backend import Array, array_module, host_generator
from minigrad.checks import positive_int
from minigrad.kernels.parallel import matmul, matmuls
from minigrad.layers.base import Layer, initial_uniform


class Linear(Layer):
    r"""y = x W + b.

    Shapes: x (N, D), W (D, M), b (M,), y (N, M), with D = in_features, M = out_features.

    Backward:  dW = xᵀ dy     (D, M)      each weight's share: its input times its output's dy
               db = Σ_n dy_n  (M,)
               dx = dy Wᵀ     (N, D)
    Jvp:       y_dot = x_dot W + x W_dot + b_dot
    Start:     W, b ~ U(-1/√D, 1/√D), PyTorch's default, so that numbers can be compared.

    Source: Rumelhart, Hinton, Williams 1986, eq. 4-7.  Taught in: 01_gradients_by_hand.
    """

    unit_axis: Mapping[str, int] = {"W": 1}

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
        in_features   D, how many numbers each example has, an integer >= 1
        out_features  M, how many it is given, an integer >= 1
        bias          whether b is added
        dtype         float32 or float64
        rng, seed     where the start is drawn from, a numpy.random.Generator or an integer, not
                      both; without them it differs from run to run
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
        y = matmul(x, self.params["W"])
        if "b" in self.params:
            y += self.params["b"]
        return y

    def backward(self, dy: Array) -> Array:
        self.backward_params(dy)
        return matmul(dy, self.params["W"].T)

    def backward_params(self, dy: Array) -> None:
        x = self.recall()
        self.check_upstream(dy, (len(x), self.out_features))
        self.grads["W"] = matmul(x.T, dy)
        if "b" in self.params:
            self.grads["b"] = dy.sum(axis=0)

    def jvp(self, x_dot: Array | None, params_dot: Mapping[str, Array] | None = None) -> Array:
        x = self.recall()
        if params_dot is None:
            return matmul(x_dot, self.params["W"])
        products = [(x, params_dot["W"])]
        if x_dot is not None:
            products.append((x_dot, self.params["W"]))
        y_dot, *rest = matmuls(*products)
        for term in rest:
            y_dot += term
        if "b" in self.params:
            y_dot += params_dot["b"]
        return y_dot

    def forward_jvp(
        self,
        x: Array,
        x_dot: Array | None,
        params_dot: Mapping[str, Array] | None = None,
        train: bool = True,
    ) -> tuple[Array, Array | None]:
        """With one product for two, [y; y_dot] = [x; x_dot] W, then + b and + x W_dot + b_dot."""
        self._check(x)
        self.cache, both = None, x
        if x_dot is not None:
            self.check_tangent(x_dot, x.shape)
            both = array_module(x, x_dot).concatenate((x, x_dot))
        products = [(both, self.params["W"])]
        if params_dot:
            products.append((x, params_dot["W"]))
        y, *moved = matmuls(*products)
        y, y_dot = y[: len(x)], None if x_dot is None else y[len(x) :]
        for term in moved:
            if "b" in self.params:
                term += params_dot["b"]
            if y_dot is not None:
                term += y_dot
            y_dot = term
        if "b" in self.params:
            y += self.params["b"]
        return y, y_dot

    def _check(self, x: Array) -> None:
        """Raise unless x is a batch of this layer's inputs."""
        array_module(x, self.params["W"])
        D = self.in_features
        self.check_input(
            x,
            f"(N, {D})",
            x.ndim == 2 and x.shape[1] == D,
            "put Flatten() before it" if x.ndim > 2 else "",
        )

    def __repr__(self) -> str:
        bias = "" if "b" in self.params else ", bias=False"
        return f"Linear({self.in_features}, {self.out_features}{bias})"
