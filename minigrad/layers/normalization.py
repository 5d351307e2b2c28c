"""Batch normalisation, of features and of image channels."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from minigrad.backend import Array, Tangent, array_module, current
from minigrad.checks import not_negative, positive_int
from minigrad.kernels.normalization import (
    move_running,
    normalise,
    normalise_gradients,
    normalise_tangent,
)
from minigrad.kernels.windows import channels_first, channels_last
from minigrad.layers.base import Layer


class BatchNorm1d(Layer):
    r"""y = γ x̂ + β, x̂ = (x - μ)/s, s = √(σ² + ε). μ, σ²: each feature's mean and variance.

    Shapes: x (N, D) or (N, D, L), γ = gamma (D,), β = beta (D,), y as x, D = num_features.
    train=True: μ, σ² are those of this batch (σ² is divided by N). The running statistics follow:
    running = 0.9 running + 0.1 new, with `momentum` 0.1. running_var follows the unbiased
    N/(N-1) σ². train=False: μ, σ² are the running statistics, constants. All as in PyTorch.
    P v = v - mean_n(v) - x̂ mean_n(v x̂) in training, P v = v in evaluation:
    Backward:  dγ = Σ_n dy x̂,  dβ = Σ_n dy,  dx = γ/s P(dy)
    Jvp:       y_dot = γ/s P(x_dot) + γ_dot x̂ + β_dot      P is its own transpose
    Source: Ioffe, Szegedy 2015, Algorithm 1 and §3.  Taught in: 07_deep_networks.
    """

    shape = "(N, {num_features})"
    ndim: tuple[int, ...] = (2, 3)
    mixes_examples = True
    min_batch = 2
    buffers_not_negative = ("running_var", "num_batches_tracked")

    def __init__(
        self,
        num_features: int | None = None,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        bias: bool = True,
        dtype: Any = "float32",
        n: int | None = None,
    ):
        """
        num_features         the number of features, or of channels, an integer >= 1
        eps                  ε >= 0. It is inside the root, so that s is not 0
        momentum             how far the running statistics move towards a batch's, usually from 0
                             to 1. None: they are the mean over all batches so far
        affine               whether there are γ and β. Without them y = x̂
        track_running_stats  whether there are running statistics. Without them μ, σ² are those of
                             the batch in evaluation, too
        bias                 whether there is β beside γ
        dtype                float32 or float64
        n                    the old name of num_features
        """
        super().__init__(dtype)
        if n is not None:
            if num_features is not None:
                raise TypeError("n is the old name of num_features: give num_features alone")
            num_features = n
            warnings.warn(
                "the argument n is now called num_features", DeprecationWarning, stacklevel=2
            )
        self.num_features = positive_int("num_features", num_features)
        self.eps = not_negative("eps", eps)
        self.momentum = None if momentum is None else not_negative("momentum", momentum)
        xp = current()
        D = self.num_features
        if affine:
            self.params["gamma"] = xp.ones(D, self.dtype)
        if affine and bias:
            self.params["beta"] = xp.zeros(D, self.dtype)
        self.track_running_stats = bool(track_running_stats)
        if track_running_stats:
            self.buffers["running_mean"] = xp.zeros(D, self.dtype)
            self.buffers["running_var"] = xp.ones(D, self.dtype)
            self.buffers["num_batches_tracked"] = xp.zeros((), "int64")

    def forward(self, x: Array, train: bool = True) -> Array:
        self._check(x)
        rows = self._rows(x)
        train = train and not self.keeps_statistics
        # x̂ = (x - μ)/s,  s = √(σ² + ε)
        from_batch = train or not self.track_running_stats
        statistics: tuple[Array, ...] = ()
        if from_batch:
            self._check_number(len(rows))
        else:
            statistics = self.buffers["running_mean"], self.buffers["running_var"]
        # y = γ x̂ + β
        gamma = self.params.get("gamma")
        beta = self.params.get("beta")
        y, x_hat, inv_std, mean, var = normalise(rows, self.eps, gamma, beta, *statistics)
        if train and self.track_running_stats:
            self.once("running statistics", lambda: self._move_running(mean, var, len(rows)))
        self.cache = x_hat, inv_std, from_batch, x.shape
        return self._images(y)

    def backward(self, dy: Array) -> Array:
        x_hat, inv_std, from_batch, shape = self.recall()
        self.check_upstream(dy, shape)
        gamma = self.params.get("gamma")
        # dγ = Σ_n dy x̂,  dβ = Σ_n dy
        # dx = γ/s P(dy)
        dx, dgamma, dbeta = normalise_gradients(self._rows(dy), x_hat, gamma, inv_std, from_batch)
        sums = {"gamma": dgamma, "beta": dbeta}
        self.grads |= {name: sums[name] for name in self.params}
        return self._images(dx)

    def jvp(self, x_dot: Tangent, params_dot: Mapping[str, Array] | None = None) -> Array:
        x_hat, inv_std, from_batch, _ = self.recall()
        rows_dot = None if x_dot is None else self._rows(x_dot)
        gamma = self.params.get("gamma")
        moving = params_dot or {}
        moves = moving.get("gamma"), moving.get("beta")
        # y_dot = γ/s P(x_dot) + γ_dot x̂ + β_dot
        y_dot = normalise_tangent(rows_dot, x_hat, gamma, inv_std, *moves, from_batch)
        return self._images(y_dot)

    def _move_running(self, mean: Array, var: Array, N: int) -> None:
        """running = (1 - momentum) running + momentum new. The new variance is unbiased."""
        move_running(self.buffers, mean, var, self.momentum, N / (N - 1))

    def _check(self, x: Array) -> None:
        """Raise unless x has this layer's number of axes and of features."""
        array_module(x, *self.params.values())
        D = self.num_features
        fits = x.ndim in self.ndim and x.shape[1] == D
        if not fits or x.dtype is not self.dtype:
            self.check_input(x, self.shape.format(num_features=D), fits)

    def _check_number(self, N: int) -> None:
        """Raise unless each feature has at least two values."""
        if N < 2:
            raise ValueError(
                f"{type(self).__name__} in training needs more than one value per channel. The "
                "variance of one value is 0. Use a larger batch, or forward(x, train=False)"
            )

    def _rows(self, x: Array) -> Array:
        return x if x.ndim == 2 else x.transpose(0, 2, 1).reshape(-1, self.num_features)

    def _images(self, rows: Array) -> Array:
        shape = self.recall()[-1]
        return rows if len(shape) == 2 else _places_last(rows, shape)

    def __repr__(self) -> str:
        more = "" if self.momentum is not None else ", momentum=None"
        more += "" if "gamma" in self.params else ", affine=False"
        more += "" if self.track_running_stats else ", track_running_stats=False"
        return f"{type(self).__name__}({self.num_features}{more})"

    @property
    def n(self) -> int:
        """The old name of num_features."""
        warnings.warn(
            "the attribute n is now called num_features", DeprecationWarning, stacklevel=2
        )
        return self.num_features


class BatchNorm2d(BatchNorm1d):
    r"""BatchNorm1d over each channel's N·H·W pixels: y = γ x̂ + β with x (N, C, H, W).

    Shapes: x (N, C, H, W), γ, β (C,), y (N, C, H, W).
    Backward:  as in BatchNorm1d. Its rows are the pixels of all images (N·H·W, C)
    Jvp:       as in BatchNorm1d, with the same rows
    Source: Ioffe, Szegedy 2015, §3.2.
    """

    shape = "(N, {num_features}, H, W)"
    ndim = (4,)
    min_batch = 1  # one image has many values per channel

    def _rows(self, x: Array) -> Array:
        return channels_last(x).reshape(-1, self.num_features)

    def _images(self, rows: Array) -> Array:
        N, C, H, W = self.recall()[-1]
        return channels_first(rows.reshape(N, H, W, C))


def _places_last(rows: Array, shape: tuple[int, ...]) -> Array:
    """rows (N·L, D) as (N, D, L)."""
    N, D, L = shape
    return rows.reshape(N, L, D).transpose(0, 2, 1)
