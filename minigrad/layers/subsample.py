"""Subsampling of images, with further channels of zeros: the shortcut without parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from minigrad.backend import Array, array_module
from minigrad.checks import pair, positive_int
from minigrad.layers.base import Layer


class Subsample(Layer):
    r"""y[n, c, i, j] = x[n, c, s·i, s·j] for the channels of x, and 0 for further channels.

    Shapes: x (N, C, H, W), y (N, O, OH, OW) with O >= C, OH = H/s rounded up, OW likewise.
    It is linear, and has no parameters. As a matrix J has one 1 in the row of each y of the first
    C channels:
    Backward:  dx[n, c, s·i, s·j] = dy[n, c, i, j]; all other dx are 0
    Jvp:       y_dot = the same function of x_dot
    For the shortcut of a Residual whose f is made of convolutions with stride s and O kernels.
    Source: He, Zhang, Ren, Sun 2015, §3.3 and §4.2, "option A".
    """

    monotone = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int | tuple[int, int] = 2,
        *,
        dtype: Any = None,
    ):
        """
        in_channels   C, the number of channels of x, an integer >= 1
        out_channels  O, the number of channels of y, an integer >= C
        stride        s, the pixels from one that is taken to the next, an integer >= 1, or (down,
                      right)
        dtype         float32 or float64. None: the dtype of the input
        """
        super().__init__(dtype)
        self.in_channels = positive_int("in_channels", in_channels)
        self.out_channels = positive_int("out_channels", out_channels)
        if self.out_channels < self.in_channels:
            raise ValueError(
                f"out_channels must be at least in_channels, {self.in_channels}: Subsample adds "
                f"channels and takes none away; got {self.out_channels}"
            )
        self.stride = pair("stride", stride)

    def forward(self, x: Array, train: bool = True) -> Array:
        self._check(x)
        self.cache = x.shape
        # y[:, c] = x[:, c] at each s-th pixel, or 0
        return self._taken(x)

    def backward(self, dy: Array) -> Array:
        shape = self.recall()
        down, right = self.stride
        size = -(-shape[2] // down), -(-shape[3] // right)
        self.check_upstream(dy, (shape[0], self.out_channels, *size))
        # dx = dy at each s-th pixel, 0 elsewhere
        dx = array_module(dy).zeros(shape, dy.dtype)
        dx[:, :, ::down, ::right] = dy[:, : self.in_channels]
        return dx

    def jvp(self, x_dot: Array, params_dot: Mapping[str, Array] | None = None) -> Array:
        self.check_tangent(x_dot, self.recall())
        # y_dot[:, c] = x_dot[:, c] at each s-th pixel, or 0
        return self._taken(x_dot)

    def _taken(self, x: Array) -> Array:
        down, right = self.stride
        small = x[:, :, ::down, ::right]
        N, C, OH, OW = small.shape
        y = array_module(x).zeros((N, self.out_channels, OH, OW), x.dtype)
        y[:, :C] = small
        return y

    def _check(self, x: Array) -> None:
        array_module(x)
        fits = x.ndim == 4 and x.shape[1] == self.in_channels
        self.check_input(x, f"(N, {self.in_channels}, H, W)", fits)

    def __repr__(self) -> str:
        return f"Subsample({self.in_channels}, {self.out_channels}, stride={self.stride})"
