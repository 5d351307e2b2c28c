"""Max pooling."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from minigrad.backend import Array, array_module
from minigrad.checks import pair
from minigrad.layers.base import Layer
from minigrad.layers.windows import channels_first, channels_last, output_size, window_pixels


class MaxPool2d(Layer):
    r"""y[n, c, i, j] = max over the window of x at (i·s, j·s), channel by channel.

    Shapes: x (N, C, H, W), y (N, C, OH, OW), OH = (H - KH)/s + 1 rounded down, OW likewise.
    stride: the kernel size unless given; windows may overlap or leave pixels out.

    With r(i, j) the pixel that won window (i, j):
    Backward:  dx[r(i, j)] += dy[i, j]      the winner takes the whole gradient
    Jvp:       y_dot[i, j] = x_dot[r(i, j)]
    Ties: the first pixel of the window wins, row by row, as in PyTorch.
    Source: LeCun, Bottou, Bengio, Haffner 1998 (mean pooling); Ranzato et al. 2007 (max).
    """

    def __init__(
        self,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] | None = None,
        *,
        dtype: Any = None,
    ):
        super().__init__(dtype)
        self.kernel_size = pair("kernel_size", kernel_size)
        self.stride = self.kernel_size if stride is None else pair("stride", stride)

    def forward(self, x: Array, train: bool = True) -> Array:
        xp = array_module(x)
        KH, KW = self.kernel_size
        fits = x.ndim == 4 and x.shape[2] >= KH and x.shape[3] >= KW
        self.check_input(x, f"(N, C, H >= {KH}, W >= {KW})", fits)
        rows = channels_last(x)
        size = output_size(rows.shape[1:3], self.kernel_size, self.stride)
        y = None
        for _, pixels in window_pixels(self.kernel_size, self.stride, size):
            y = rows[pixels].copy() if y is None else xp.maximum(y, rows[pixels], out=y)
        self.cache = rows, y
        return channels_first(y)

    def backward(self, dy: Array) -> Array:
        rows, _ = self.recall()
        dy = channels_last(dy)
        dx = array_module(dy).zeros_like(rows)
        for pixels, won in self._winners():
            dx[pixels] += dy * won
        return channels_first(dx)

    def jvp(self, x_dot: Array, params_dot: Mapping[str, Array] | None = None) -> Array:
        x_dot = channels_last(x_dot)
        return channels_first(sum(x_dot[pixels] * won for pixels, won in self._winners()))

    def _winners(self) -> Iterator[tuple[tuple, Array]]:
        """For each element of a window, in order: its pixels, and in which windows it won."""
        rows, y = self.recall()
        taken = array_module(y).zeros(y.shape, bool)
        for _, pixels in window_pixels(self.kernel_size, self.stride, y.shape[1:3]):
            won = (rows[pixels] == y) & ~taken
            taken |= won
            yield pixels, won

    def __repr__(self) -> str:
        return f"MaxPool2d({self.kernel_size}, stride={self.stride})"
