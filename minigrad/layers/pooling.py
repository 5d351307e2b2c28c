"""Max pooling."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from minigrad.backend import Array, Tangent, array_module
from minigrad.checks import pair
from minigrad.kernels.pooling import from_winners, max_pool, max_pool_with_tangent, to_winners
from minigrad.layers.base import Layer


class MaxPool2d(Layer):
    r"""y[n, c, i, j] = max over the window of x at (i·s, j·s), channel by channel.

    Shapes: x (N, C, H, W), y (N, C, OH, OW), OH = (H - KH)/s + 1 rounded down, OW likewise.
    stride: the kernel size unless given; windows may overlap or leave pixels out.

    With r(i, j) the pixel that won window (i, j), where the largest number is:
    Backward:  dx[r(i, j)] += dy[i, j]      the winner takes the whole gradient
    Jvp:       y_dot[i, j] = x_dot[r(i, j)]
    Ties: the first pixel of the window wins, row by row. NaN wins against every number, and of
    several NaN the last one wins. All as in PyTorch.
    Source: LeCun, Bottou, Bengio, Haffner 1998 (mean pooling); Ranzato et al. 2007 (max).
    Taught in: 04_convolution.
    """

    uses_threads = True
    monotone = True

    def __init__(
        self,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] | None = None,
        *,
        dtype: Any = None,
    ):
        """
        kernel_size  of each window, an integer from 1 to 256, or (rows, columns)
        stride       how many pixels a window moves on, an integer >= 1, or (down, right); None: as
                     much as its size
        dtype        float32 or float64; None: that of its input
        """
        super().__init__(dtype)
        self.kernel_size = pair("kernel_size", kernel_size)
        if max(self.kernel_size) > 256:
            raise ValueError(f"kernel_size must be at most 256, got {self.kernel_size}")
        self.stride = self.kernel_size if stride is None else pair("stride", stride)

    def forward(self, x: Array, train: bool = True) -> Array:
        self._check(x)
        # y[i, j] = max of window (i, j), at the pixel r(i, j)
        y, r = max_pool(x, self.kernel_size, self.stride)
        self.cache = r, x.shape, y.shape
        return y

    def backward(self, dy: Array) -> Array:
        r, x_shape, y_shape = self.recall()
        self.check_upstream(dy, y_shape)
        # dx[r(i, j)] += dy[i, j]
        return to_winners(dy, r, x_shape, self.kernel_size, self.stride)

    def jvp(self, x_dot: Array, params_dot: Mapping[str, Array] | None = None) -> Array:
        r, x_shape, _ = self.recall()
        self.check_tangent(x_dot, x_shape)
        # y_dot[i, j] = x_dot[r(i, j)]
        return from_winners(x_dot, r, self.kernel_size, self.stride)

    def forward_jvp(
        self,
        x: Array,
        x_dot: Tangent,
        params_dot: Mapping[str, Array] | None = None,
        train: bool = True,
    ) -> tuple[Array, Tangent]:
        """y and y_dot in one go: the tangent goes along with the pixel that wins."""
        if x_dot is None:
            return super().forward_jvp(x, x_dot, params_dot, train)
        self._check(x)
        self.check_tangent(x_dot, x.shape)
        self.cache = None
        return max_pool_with_tangent(x, x_dot, self.kernel_size, self.stride)

    def _check(self, x: Array) -> None:
        """Raise unless x is a batch of images of at least one window."""
        array_module(x)
        KH, KW = self.kernel_size
        fits = x.ndim == 4 and x.shape[2] >= KH and x.shape[3] >= KW
        self.check_input(x, f"(N, C, H >= {KH}, W >= {KW})", fits)

    def __repr__(self) -> str:
        return f"MaxPool2d({self.kernel_size}, stride={self.stride})"
