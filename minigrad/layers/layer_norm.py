"""Layer normalisation."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

from minigrad.backend import Array, Tangent, array_module, current
from minigrad.checks import not_negative, positive_int
from minigrad.kernels.normalization import project, standardise
from minigrad.kernels.products import sum_rows
from minigrad.layers.base import Layer


class LayerNorm(Layer):
    r"""y = γ x̂ + β, x̂ = (x - μ)/s, s = √(σ² + ε). μ, σ²: each example's mean and variance.

    Shapes: x (N, ..., *S), γ = gamma, β = beta of shape S = normalized_shape, y as x.
    The last axes S are taken together, D numbers in all: x is a matrix (R, D). Each of its rows has
    its own μ and σ² (divided by D). BatchNorm1d does the same to the columns. So an example never
    depends on the others, and training and evaluation are the same.
    P v = v - mean_d(v) - x̂ mean_d(v x̂):
    Backward:  dγ = Σ_r dy x̂,  dβ = Σ_r dy,  dx = P(γ dy)/s
    Jvp:       y_dot = γ P(x_dot)/s + γ_dot x̂ + β_dot      P is its own transpose
    Source: Ba, Kiros, Hinton 2016, §3.
    """

    def __init__(
        self,
        normalized_shape: int | tuple[int, ...],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        *,
        dtype: Any = "float32",
    ):
        """
        normalized_shape    S, the sizes of the last axes of x, or D for the last axis alone
        eps                 ε >= 0. It is inside the root, so that s is not 0
        elementwise_affine  whether there are γ and β. Without them y = x̂
        bias                whether there is β beside γ
        dtype               float32 or float64
        """
        super().__init__(dtype)
        given = normalized_shape
        sizes = tuple(given) if isinstance(given, tuple | list) else (given,)
        self.normalized_shape = tuple(positive_int("normalized_shape", n) for n in sizes)
        if not sizes:
            raise ValueError("normalized_shape needs at least one size, got none")
        self.eps = not_negative("eps", eps)
        if elementwise_affine:
            self.params["gamma"] = current().ones(self.normalized_shape, self.dtype)
        if elementwise_affine and bias:
            self.params["beta"] = current().zeros(self.normalized_shape, self.dtype)

    def forward(self, x: Array, train: bool = True) -> Array:
        self._check(x)
        # x̂ = (x - μ)/s,  s = √(σ² + ε). `standardise` takes columns: rows are transposed
        x_hat, inv_std, _, _ = standardise(x.reshape(-1, prod(self.normalized_shape)).T, self.eps)
        self.cache = x_hat, inv_std, x.shape
        # y = γ x̂ + β
        y = x_hat.T.reshape(x.shape)
        y = y * self.params["gamma"] if "gamma" in self.params else y.copy()
        if "beta" in self.params:
            y += self.params["beta"]
        return y

    def backward(self, dy: Array) -> Array:
        x_hat, inv_std, shape = self.recall()
        self.check_upstream(dy, shape)
        axes = len(self.normalized_shape)
        # dγ = Σ_r dy x̂,  dβ = Σ_r dy
        if "beta" in self.params:
            self.grads["beta"] = sum_rows(dy, axes)
        if "gamma" in self.params:
            self.grads["gamma"] = sum_rows(dy * x_hat.T.reshape(shape), axes)
            dy = dy * self.params["gamma"]
        # dx = P(γ dy)/s
        return self._project(dy)

    def jvp(self, x_dot: Tangent, params_dot: Mapping[str, Array] | None = None) -> Array:
        x_hat, _, shape = self.recall()
        y_dot: Any = 0
        # y_dot = γ P(x_dot)/s + γ_dot x̂ + β_dot
        if x_dot is not None:
            self.check_tangent(x_dot, shape)
            y_dot = self._project(x_dot)
            y_dot = y_dot * self.params["gamma"] if "gamma" in self.params else y_dot
        if params_dot:
            y_dot = y_dot + params_dot["gamma"] * x_hat.T.reshape(shape)
            y_dot = y_dot + params_dot["beta"] if "beta" in params_dot else y_dot
        return y_dot

    def _project(self, v: Array) -> Array:
        """P(v)/s."""
        x_hat, inv_std, shape = self.recall()
        return project(v.reshape(x_hat.shape[::-1]).T, x_hat, inv_std).T.reshape(shape)

    def _check(self, x: Array) -> None:
        """Raise unless the last axes of x have the normalised shape."""
        array_module(x, *self.params.values())
        S = self.normalized_shape
        fits = x.ndim > len(S) and x.shape[-len(S) :] == S
        self.check_input(x, f"(N, ..., {', '.join(map(str, S))})", fits)

    def __repr__(self) -> str:
        more = "" if "gamma" in self.params else ", elementwise_affine=False"
        more += ", bias=False" if "gamma" in self.params and "beta" not in self.params else ""
        shape = self.normalized_shape
        return f"LayerNorm({shape[0] if len(shape) == 1 else shape}{more})"
