"""Max pooling and average pooling."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from minigrad.backend import Array, Tangent, array_module, to_device
from minigrad.checks import not_over_half, pair
from minigrad.kernels.averages import spread_over_windows, window_sums
from minigrad.kernels.pooling import from_winners, max_pool, max_pool_with_tangent, to_winners
from minigrad.kernels.windows import Pair, pooled_size
from minigrad.layers.base import Layer


class MaxPool2d(Layer):
    r"""y[n, c, i, j] = max over the window of x at (i·s - p, j·s - p), channel by channel.

    Shapes: x (N, C, H, W), y (N, C, OH, OW), OH = (H + 2p - KH)/s + 1 rounded down, OW likewise.
    The stride s is the kernel size if none is given. Windows may overlap, or leave pixels out.
    With padding p and ceil_mode they may reach over the edge. What is outside never wins.

    r(i, j) is the winner of window (i, j): the pixel with its largest number.
    Backward:  dx[r(i, j)] += dy[i, j]      the winner gets the whole gradient
    Jvp:       y_dot[i, j] = x_dot[r(i, j)]
    Ties: the first pixel wins, row by row. NaN counts as larger than every number. The last of
    several NaN wins. All as in PyTorch.
    Source: LeCun, Bottou, Bengio, Haffner 1998 (mean pooling); Ranzato et al. 2007 (max).
    Taught in: 06_convolution.
    """

    uses_threads = True
    monotone = True

    def __init__(
        self,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] | None = None,
        padding: int | tuple[int, int] = 0,
        *,
        ceil_mode: bool = False,
        dtype: Any = None,
    ):
        """
        kernel_size  the size of a window, an integer from 1 to 256, or (rows, columns)
        stride       s, the pixels from one window to the next, an integer >= 1, or (down, right).
                     None: the kernel size
        padding      p, how far the first windows reach over the edge, at most half the kernel size
        ceil_mode    True: OH is rounded up. The last windows then reach over the edge, too
        dtype        float32 or float64. None: the dtype of the input
        """
        super().__init__(dtype)
        self.kernel_size = pair("kernel_size", kernel_size)
        if max(self.kernel_size) > 256:
            raise ValueError(f"kernel_size must be at most 256, got {self.kernel_size}")
        self.stride = self.kernel_size if stride is None else pair("stride", stride)
        self.padding = not_over_half("padding", padding, self.kernel_size)
        self.ceil_mode = bool(ceil_mode)

    def forward(self, x: Array, train: bool = True) -> Array:
        self._check(x)
        # y[i, j] = x[r(i, j)], the largest number of window (i, j)
        y, r = max_pool(x, self.kernel_size, self.stride, self.padding, self.ceil_mode)
        self.cache = r, x.shape, y.shape
        return y

    def backward(self, dy: Array) -> Array:
        r, x_shape, y_shape = self.recall()
        self.check_upstream(dy, y_shape)
        # dx[r(i, j)] += dy[i, j]
        return to_winners(dy, r, x_shape, self.kernel_size, self.stride, self.padding)

    def jvp(self, x_dot: Array, params_dot: Mapping[str, Array] | None = None) -> Array:
        r, x_shape, _ = self.recall()
        self.check_tangent(x_dot, x_shape)
        # y_dot[i, j] = x_dot[r(i, j)]
        return from_winners(x_dot, r, self.kernel_size, self.stride, self.padding)

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
        return max_pool_with_tangent(
            x, x_dot, self.kernel_size, self.stride, self.padding, self.ceil_mode
        )

    def _check(self, x: Array) -> None:
        check_images(self, x)

    def __repr__(self) -> str:
        return f"MaxPool2d({self.kernel_size}, stride={self.stride}{edges(self)})"


class AvgPool2d(Layer):
    r"""y[n, c, i, j] = 1/K Σ over the window of x at (i·s - p, j·s - p), channel by channel.

    Shapes: x (N, C, H, W), y (N, C, OH, OW), OH = (H + 2p - KH)/s + 1 rounded down, OW likewise.
    K is the number of pixels of the window (i, j). x is 0 outside the image.
    The function is linear. Each pixel of a window has the weight 1/K:
    Backward:  dx = Σ over all windows that have the pixel, of dy/K
    Jvp:       y_dot = the average pooling of x_dot
    Source: LeCun, Bottou, Bengio, Haffner 1998 ("subsampling").
    """

    uses_threads = True

    def __init__(
        self,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] | None = None,
        padding: int | tuple[int, int] = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
        *,
        dtype: Any = None,
    ):
        """
        kernel_size        the size of a window, an integer >= 1, or (rows, columns)
        stride             s, the pixels from one window to the next. None: the kernel size
        padding            p, how far the first windows reach over the edge: at most half the
                           kernel size
        ceil_mode          True: OH is rounded up. The last windows then reach over the edge, too
        count_include_pad  whether K counts the p zeros beyond each edge (what ceil_mode adds
                           behind them never counts)
        divisor_override   K for all windows, an integer, not 0
        dtype              float32 or float64. None: the dtype of the input
        """
        super().__init__(dtype)
        self.kernel_size = pair("kernel_size", kernel_size)
        self.stride = self.kernel_size if stride is None else pair("stride", stride)
        self.padding = not_over_half("padding", padding, self.kernel_size)
        self.ceil_mode = bool(ceil_mode)
        self.count_include_pad = bool(count_include_pad)
        if divisor_override == 0 or not isinstance(divisor_override, int | None):
            raise ValueError(f"divisor_override must be an integer, not 0: {divisor_override!r}")
        self.divisor_override = divisor_override
        self.monotone = divisor_override is None or divisor_override > 0

    def forward(self, x: Array, train: bool = True) -> Array:
        self._check(x)
        size = pooled_size(x.shape[2:], self.kernel_size, self.stride, self.padding, self.ceil_mode)
        self.cache = K, _, _ = self._counts(x, size), x.shape, size
        # y[i, j] = 1/K Σ x
        y = window_sums(x, self.kernel_size, self.stride, self.padding, size)
        y /= K
        return y

    def backward(self, dy: Array) -> Array:
        K, shape, size = self.recall()
        self.check_upstream(dy, (*shape[:2], *size))
        # dx = Σ dy/K over the windows of each pixel
        return spread_over_windows(dy / K, shape, self.kernel_size, self.stride, self.padding)

    def jvp(self, x_dot: Array, params_dot: Mapping[str, Array] | None = None) -> Array:
        K, shape, size = self.recall()
        self.check_tangent(x_dot, shape)
        # y_dot[i, j] = 1/K Σ x_dot
        y_dot = window_sums(x_dot, self.kernel_size, self.stride, self.padding, size)
        y_dot /= K
        return y_dot

    def _counts(self, x: Array, size: Pair) -> Any:
        """K: a number if all windows have the same, else an array (OH, OW)."""
        if self.divisor_override is not None:
            return self.divisor_override
        sides = zip(x.shape[2:], size, self.kernel_size, self.stride, self.padding, strict=True)
        down, right = (_lengths(*side, self.count_include_pad) for side in sides)
        K = np.outer(down, right)
        return int(K[0, 0]) if (K[0, 0] == K).all() else to_device(K.astype(x.dtype), like=x)

    def _check(self, x: Array) -> None:
        check_images(self, x)

    def __repr__(self) -> str:
        more = edges(self) + ("" if self.count_include_pad else ", count_include_pad=False")
        if self.divisor_override is not None:
            more += f", divisor_override={self.divisor_override}"
        return f"AvgPool2d({self.kernel_size}, stride={self.stride}{more})"


def _lengths(H: int, n: int, kernel: int, stride: int, padding: int, padded: bool) -> np.ndarray:
    """How many pixels each of n windows has along one axis. padded: those of the padding count."""
    start = np.arange(n) * stride - padding
    end = np.minimum(start + kernel, H + padding)
    return end - start if padded else np.minimum(end, H) - np.maximum(start, 0)


def check_images(layer: MaxPool2d | AvgPool2d, x: Array) -> None:
    """Raise unless x is a batch of images with at least one window."""
    array_module(x)
    sides = zip(layer.kernel_size, layer.stride, layer.padding, strict=True)
    H, W = (max(1, k - 2 * p - (s - 1 if layer.ceil_mode else 0)) for k, s, p in sides)
    fits = x.ndim == 4 and x.shape[2] >= H and x.shape[3] >= W
    layer.check_input(x, f"(N, C, H >= {H}, W >= {W})", fits)


def edges(layer: Any) -> str:
    """The settings of a pooling at the edges of the image, for its repr, if it has any."""
    padding = f", padding={layer.padding}" if layer.padding != (0, 0) else ""
    return padding + (", ceil_mode=True" if layer.ceil_mode else "")
