"""The convolution layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from minigrad.backend import Array, array_module, host_generator
from minigrad.checks import pair, positive_int
from minigrad.layers.base import Layer, initial_uniform
from minigrad.layers.windows import (
    channels_first,
    channels_last,
    output_size,
    window_pixels,
    windows,
)


class Conv2d(Layer):
    r"""y[n, o, i, j] = b[o] + Σ_{c,k,l} W[o, c, k, l] · x[n, c, i·s + k - p, j·s + l - p].

    Shapes: x (N, C, H, W), W (O, C, KH, KW), b (O,), y (N, O, OH, OW), with
    OH = (H + 2p - KH)/s + 1 rounded down, OW likewise; x counts as 0 outside the image.

    Every output pixel is one dot product of the kernel with a window of x. With the windows as
    the rows of `cols` (N·OH·OW, KH·KW·C), "im2col", the layer is a Linear layer:
    Backward:  y = cols W' + b,  dW' = colsᵀ dy,  db = Σ dy,  dcols = dy W'ᵀ,
               dx = each window of dcols added back to where it was cut out, "col2im"
    Jvp:       y_dot = cols(x_dot) W' + cols(x) W_dot' + b_dot
    In memory the channels come last: a window is then KH runs of KW·C numbers.

    Source: LeCun et al. 1989; im2col as in Chellapilla, Puri, Simard 2006.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] = 0,
        *,
        bias: bool = True,
        dtype: Any = "float32",
        rng: np.random.Generator | None = None,
        seed: int | None = None,
    ):
        super().__init__(dtype)
        self.in_channels = positive_int("in_channels", in_channels)
        self.out_channels = positive_int("out_channels", out_channels)
        self.kernel_size = pair("kernel_size", kernel_size)
        self.stride = pair("stride", stride)
        self.padding = pair("padding", padding, least=0)
        rng = host_generator(rng, seed)
        shape = (self.out_channels, self.in_channels, *self.kernel_size)
        fan_in = self.in_channels * self.kernel_size[0] * self.kernel_size[1]
        self.params["W"] = initial_uniform(rng, shape, fan_in, self.dtype)
        if bias:
            self.params["b"] = initial_uniform(rng, (self.out_channels,), fan_in, self.dtype)

    def forward(self, x: Array, train: bool = True) -> Array:
        array_module(x, self.params["W"])
        (KH, KW), (ph, pw) = self.kernel_size, self.padding
        self.check_input(
            x,
            f"(N, {self.in_channels}, H >= {KH - 2 * ph}, W >= {KW - 2 * pw})",
            x.ndim == 4
            and x.shape[1] == self.in_channels
            and x.shape[2] + 2 * ph >= KH
            and x.shape[3] + 2 * pw >= KW,
        )
        self.cache = padded = channels_last(x, self.padding)
        y = self._convolve(padded, self.params["W"])
        if "b" in self.params:
            y += self.params["b"]
        return channels_first(y)

    def backward(self, dy: Array) -> Array:
        self.backward_params(dy)
        padded = self.recall()
        # dcols = dy W'ᵀ, then every window is added back to the pixels that it was cut from.
        rows = channels_last(dy)
        N, OH, OW, O = rows.shape
        dcols = rows.reshape(-1, O) @ self._matrix(self.params["W"]).T
        dwindows = dcols.reshape(N, OH, OW, *self.kernel_size, self.in_channels)
        dx = array_module(dy).zeros_like(padded)
        for (k, l), pixels in window_pixels(self.kernel_size, self.stride, (OH, OW)):
            dx[pixels] += dwindows[:, :, :, k, l]
        ph, pw = self.padding
        H, W = dx.shape[1] - 2 * ph, dx.shape[2] - 2 * pw
        return channels_first(dx[:, ph : ph + H, pw : pw + W])

    def backward_params(self, dy: Array) -> None:
        padded = self.recall()
        size = output_size(padded.shape[1:3], self.kernel_size, self.stride)
        self.check_upstream(dy, (len(padded), self.out_channels, *size))
        cols = self._im2col(padded)
        rows = channels_last(dy).reshape(len(cols), self.out_channels)
        dW = (cols.T @ rows).reshape(*self.kernel_size, self.in_channels, self.out_channels)
        self.grads["W"] = array_module(dW).ascontiguousarray(dW.transpose(3, 2, 0, 1))
        if "b" in self.params:
            self.grads["b"] = rows.sum(axis=0)

    def jvp(self, x_dot: Array | None, params_dot: Mapping[str, Array] | None = None) -> Array:
        padded = self.recall()
        y_dot = 0
        if x_dot is not None:
            y_dot = self._convolve(channels_last(x_dot, self.padding), self.params["W"])
        if params_dot is not None:
            y_dot = y_dot + self._convolve(padded, params_dot["W"])
            if "b" in self.params:
                y_dot += params_dot["b"]
        return channels_first(y_dot)

    def _convolve(self, padded: Array, W: Array) -> Array:
        """cols W' as an image (N, OH, OW, O)."""
        OH, OW = output_size(padded.shape[1:3], self.kernel_size, self.stride)
        return (self._im2col(padded) @ self._matrix(W)).reshape(
            len(padded), OH, OW, self.out_channels
        )

    def _im2col(self, padded: Array) -> Array:
        """cols (N·OH·OW, KH·KW·C): every window of `padded` (N, H, W, C) as one row."""
        columns = self.kernel_size[0] * self.kernel_size[1] * self.in_channels
        return windows(padded, self.kernel_size, self.stride).reshape(-1, columns)

    def _matrix(self, W: Array) -> Array:
        """W' (KH·KW·C, O): the kernels as the columns of one matrix."""
        return W.transpose(2, 3, 1, 0).reshape(-1, self.out_channels)

    def __repr__(self) -> str:
        bias = "" if "b" in self.params else ", bias=False"
        return (
            f"Conv2d({self.in_channels}, {self.out_channels}, {self.kernel_size}, "
            f"stride={self.stride}, padding={self.padding}{bias})"
        )
