"""Batch normalisation, of features and of image channels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from minigrad.backend import Array, array_module, current
from minigrad.checks import not_negative, positive_int
from minigrad.kernels.windows import channels_first, channels_last
from minigrad.layers.base import Layer


class BatchNorm1d(Layer):
    r"""y = γ x̂ + β, x̂ = (x - μ)/s, s = √(σ² + ε), with μ, σ² each feature's mean and variance.

    Shapes: x (N, D), γ = gamma (D,), β = beta (D,), y (N, D).
    train=True: μ, σ² of this batch (σ² divided by N); the running statistics move by
    `momentum` towards them (running_var towards the unbiased N/(N-1) σ²), as PyTorch has it.
    train=False: μ, σ² are the running statistics, which are constants.

    With P v = v - mean_n(v) - x̂ mean_n(v x̂) in training and P v = v in evaluation:
    Backward:  dγ = Σ_n dy x̂,  dβ = Σ_n dy,  dx = γ/s P(dy), where mean(dy) = dβ/N and
               mean(dy x̂) = dγ/N are known by then
    Jvp:       y_dot = γ/s P(x_dot) + γ_dot x̂ + β_dot      P is its own transpose
    Source: Ioffe, Szegedy 2015, Algorithm 1 and §3.  momentum as in PyTorch: new = .9 old + .1 x.
    """

    shape = "(N, {n})"
    ndim = 2
    mixes_examples = True
    min_batch = 2

    def __init__(self, n: int, eps: float = 1e-5, momentum: float = 0.1, *, dtype: Any = "float32"):
        """
        n         how many features, or channels, an integer >= 1
        eps       ε >= 0, in the root, so that nothing is divided by 0
        momentum  how far the running statistics move to those of a batch, >= 0, at most 1 as a rule
        dtype     float32 or float64
        """
        super().__init__(dtype)
        self.n, self.eps = positive_int("n", n), not_negative("eps", eps)
        self.momentum = not_negative("momentum", momentum)
        xp = current()
        self.params["gamma"] = xp.ones(n, self.dtype)
        self.params["beta"] = xp.zeros(n, self.dtype)
        self.buffers["running_mean"] = xp.zeros(n, self.dtype)
        self.buffers["running_var"] = xp.ones(n, self.dtype)
        self.buffers["num_batches_tracked"] = xp.zeros((), "int64")

    def forward(self, x: Array, train: bool = True) -> Array:
        xp = array_module(x, self.params["gamma"])
        fits = x.ndim == self.ndim and x.shape[1] == self.n
        self.check_input(x, self.shape.format(n=self.n), fits)
        rows = self._rows(x)
        if train:
            centred, var = self._batch_statistics(rows)
        else:
            centred, var = rows - self.buffers["running_mean"], self.buffers["running_var"]
        inv_std = 1 / xp.sqrt(var + self.eps)
        x_hat = centred
        x_hat *= inv_std
        self.cache = x_hat, inv_std, train, x.shape
        y = x_hat * self.params["gamma"]
        y += self.params["beta"]
        return self._images(y)

    def _batch_statistics(self, rows: Array) -> tuple[Array, Array]:
        """x - μ and σ² of this batch; the running statistics move towards μ and σ²."""
        M = len(rows)
        if M < 2:
            raise ValueError(
                f"{type(self).__name__} in training needs more than one value per channel: a "
                "variance over one value is 0. Use a larger batch, or forward(x, train=False)"
            )
        mean = rows.mean(axis=0)
        centred = rows - mean
        var = (centred * centred).mean(axis=0)  # two passes: E[x²] - E[x]² would cancel
        self.once("running statistics", lambda: self._move_running(mean, var * (M / (M - 1))))
        return centred, var

    def _move_running(self, mean: Array, var: Array) -> None:
        for name, new in (("running_mean", mean), ("running_var", var)):
            running = self.buffers[name]
            running += self.momentum * (new - running)
        self.buffers["num_batches_tracked"] += 1

    def backward(self, dy: Array) -> Array:
        x_hat, inv_std, train, shape = self.recall()
        self.check_upstream(dy, shape)
        dy = self._rows(dy)
        self.grads["gamma"] = dgamma = (dy * x_hat).sum(axis=0)
        self.grads["beta"] = dbeta = dy.sum(axis=0)
        scale = self.params["gamma"] * inv_std
        if not train:
            return self._images(dy * scale)
        # dx = γ/s (dy - dβ/N - x̂ dγ/N), in one buffer
        dx = x_hat * (dgamma / -len(dy))
        dx += dy
        dx -= dbeta / len(dy)
        dx *= scale
        return self._images(dx)

    def jvp(self, x_dot: Array | None, params_dot: Mapping[str, Array] | None = None) -> Array:
        x_hat, inv_std, _, _ = self.recall()
        y_dot = 0
        if x_dot is not None:
            y_dot = self._project(self._rows(x_dot)) * (self.params["gamma"] * inv_std)
        if params_dot is not None:
            y_dot = y_dot + params_dot["gamma"] * x_hat + params_dot["beta"]
        return self._images(y_dot)

    def _project(self, v: Array) -> Array:
        """P v: what is left of v when the batch's mean and variance are held fixed."""
        x_hat, _, train, _ = self.recall()
        if not train:
            return v
        return v - v.mean(axis=0) - x_hat * (v * x_hat).mean(axis=0)

    def _rows(self, x: Array) -> Array:
        return x

    def _images(self, rows: Array) -> Array:
        return rows

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.n})"


class BatchNorm2d(BatchNorm1d):
    r"""BatchNorm1d over each channel's N·H·W pixels: y = γ x̂ + β with x (N, C, H, W).

    Shapes: x (N, C, H, W), γ, β (C,), y (N, C, H, W).
    Backward:  BatchNorm1d's, with the pixels of all images as its rows (N·H·W, C)
    Jvp:       likewise
    Source: Ioffe, Szegedy 2015, §3.2.
    """

    shape = "(N, {n}, H, W)"
    ndim = 4
    min_batch = 1  # one image has many pixels

    def _rows(self, x: Array) -> Array:
        return channels_last(x).reshape(-1, self.n)

    def _images(self, rows: Array) -> Array:
        N, C, H, W = self.recall()[-1]
        return channels_first(rows.reshape(N, H, W, C))
