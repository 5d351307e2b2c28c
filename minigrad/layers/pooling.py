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
    The stride s is the kernel size if none is given. Windows may overlap, or leave pixels out.

    r(i, j) is the winner of window (i, j): the pixel with its largest number.
    Backward:  dx[r(i, j)] += dy[i, j]      the winner gets the whole gradient
    Jvp:       y_dot[i, j] = x_dot[r(i, j)]
    Ties: the first pixel wins, row by row. NaN counts as larger than every number. The last of
    several NaN wins. All as in PyTorch.
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
        kernel_size  the size of a window, an integer from 1 to 256, or (rows, columns)
        stride       s, the pixels from one window to the next, an integer >= 1, or (down, right).
                     None: the kernel size
        dtype        float32 or float64. None: the dtype of the input
        """
        super().__init__(dtype)
        self.kernel_size = pair("kernel_size", kernel_size)
        if max(self.kernel_size) > 256:
            raise ValueError(f"kernel_size must be at most 256, got {self.kernel_size}")
        self.stride = self.kernel_size if stride is None else pair("stride", stride)

    def forward(self, x: Array, train: bool = True) -> Array:
        self._check(x)
        # y[i, j] = x[r(i, j)], the largest number of window (i, j)
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
        """y and y_dot together. Each y_dot is the x_dot of the winner."""
        if x_dot is None:
            return super().forward_jvp(x, x_dot, params_dot, train)
        self._check(x)
        self.check_tangent(x_dot, x.shape)
        self.cache = None
        return max_pool_with_tangent(x, x_dot, self.kernel_size, self.stride)

    def _check(self, x: Array) -> None:
        """Raise unless x is a batch of images with at least one window."""
        array_module(x)
        KH, KW = self.kernel_size
        fits = x.ndim == 4 and x.shape[2] >= KH and x.shape[3] >= KW
        self.check_input(x, f"(N, C, H >= {KH}, W >= {KW})", fits)

    def __repr__(self) -> str:
        return f"MaxPool2d({self.kernel_size}, stride={self.stride})"
