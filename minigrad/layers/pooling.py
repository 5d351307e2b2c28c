"""Max pooling."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from minigrad.backend import Array, array_module
from minigrad.checks import pair
from minigrad.kernels.parallel import parts, scratch
from minigrad.kernels.windows import channels_first, channels_last, output_size
from minigrad.layers.base import Layer
from minigrad.threads import each


class MaxPool2d(Layer):
    r"""y[n, c, i, j] = max over the window of x at (i·s, j·s), channel by channel.

    Shapes: x (N, C, H, W), y (N, C, OH, OW), OH = (H - KH)/s + 1 rounded down, OW likewise.
    stride: the kernel size unless given; windows may overlap or leave pixels out.

    The max of a window is the max over its rows of each row's max: pooling in W, then in H, each
    of which keeps which one won. With r(i, j) the pixel that won window (i, j):
    Backward:  dx[r(i, j)] += dy[i, j]      the winner takes the whole gradient
    Jvp:       y_dot[i, j] = x_dot[r(i, j)]
    Ties: the first pixel of the window wins, row by row, as in PyTorch.
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
        xp, (OH, OW), (KH, KW) = array_module(x), self._check(x), self.kernel_size
        rows = channels_last(x)
        N, H, W, C = rows.shape
        y = xp.empty((N, OH, OW, C), x.dtype)
        across, down = xp.empty((N, H, OW, C), "uint8"), xp.empty((N, OH, OW, C), "uint8")

        def work(part: slice) -> None:
            best = scratch("best", across[part].shape, y)
            _pool(rows[part], 2, KW, self.stride[1], best, across[part])
            _pool(best, 1, KH, self.stride[0], y[part], down[part])

        each(work, self._parts(rows))
        self.cache = rows.shape, across, down
        return channels_first(y)

    def backward(self, dy: Array) -> Array:
        shape, across, down = self.recall()
        N, OH, OW, C = down.shape
        self.check_upstream(dy, (N, C, OH, OW))
        dy, (KH, KW), (sh, sw) = channels_last(dy), self.kernel_size, self.stride
        dx = array_module(dy).empty(shape, dy.dtype)

        def work(part: slice) -> None:
            dbest = scratch("best", across[part].shape, dx)
            _to_winners(dy[part], 1, KH, sh, down[part], dbest)
            _to_winners(dbest, 2, KW, sw, across[part], dx[part])

        each(work, self._parts(dx))
        return channels_first(dx)

    def jvp(self, x_dot: Array, params_dot: Mapping[str, Array] | None = None) -> Array:
        (N, H, W, C), across, down = self.recall()
        self.check_tangent(x_dot, (N, C, H, W))
        x_dot, (KH, KW), (sh, sw) = channels_last(x_dot), self.kernel_size, self.stride
        y_dot = array_module(x_dot).empty(down.shape, x_dot.dtype)

        def work(part: slice) -> None:
            best = scratch("best", across[part].shape, y_dot)
            _from_winners(x_dot[part], 2, KW, sw, across[part], best)
            _from_winners(best, 1, KH, sh, down[part], y_dot[part])

        each(work, self._parts(x_dot))
        return channels_first(y_dot)

    def forward_jvp(
        self,
        x: Array,
        x_dot: Array | None,
        params_dot: Mapping[str, Array] | None = None,
        train: bool = True,
    ) -> tuple[Array, Array | None]:
        """The tangent goes along with whoever wins: nothing is kept of who that was."""
        if x_dot is None:
            return super().forward_jvp(x, x_dot, params_dot, train)
        OH, OW = self._check(x)
        self.check_tangent(x_dot, x.shape)
        self.cache, (KH, KW), (sh, sw) = None, self.kernel_size, self.stride
        rows, rows_dot = channels_last(x), channels_last(x_dot)
        y = array_module(x, x_dot).empty((len(x), OH, OW, x.shape[1]), x.dtype)
        y_dot = array_module(x).empty_like(y)

        def work(part: slice) -> None:
            shape = len(rows[part]), rows.shape[1], OW, rows.shape[3]
            best, best_dot = scratch("best", shape, y), scratch("best_dot", shape, y)
            _pool_both(rows[part], rows_dot[part], 2, KW, sw, best, best_dot)
            _pool_both(best, best_dot, 1, KH, sh, y[part], y_dot[part])

        each(work, self._parts(rows))
        return channels_first(y), channels_first(y_dot)

    def _check(self, x: Array) -> tuple[int, int]:
        """(OH, OW); raises unless x is a batch of images of at least one window."""
        array_module(x)
        KH, KW = self.kernel_size
        fits = x.ndim == 4 and x.shape[2] >= KH and x.shape[3] >= KW
        self.check_input(x, f"(N, C, H >= {KH}, W >= {KW})", fits)
        return output_size(x.shape[2:], self.kernel_size, self.stride)

    def _parts(self, rows: Array) -> list[slice]:
        """The batch in parts that stay in the cache."""
        return parts(len(rows), 2 * rows[:1].nbytes, rows)

    def __repr__(self) -> str:
        return f"MaxPool2d({self.kernel_size}, stride={self.stride})"


def _candidate(x: Array, axis: int, k: int, stride: int, n: int) -> Array:
    """The k-th element of each of n windows along the axis."""
    places = slice(k, k + stride * (n - 1) + 1, stride)
    return x[:, places] if axis == 1 else x[:, :, places]


def _pool(x: Array, axis: int, size: int, stride: int, y: Array, winner: Array) -> None:
    """y = max over windows along one axis; winner = the first k that has it."""
    xp, n = array_module(x), y.shape[axis]
    y[...] = _candidate(x, axis, 0, stride, n)
    winner[...] = 0
    for k in range(1, size):
        candidate = _candidate(x, axis, k, stride, n)
        xp.maximum(winner, (candidate > y) * winner.dtype.type(k), out=winner)
        xp.maximum(y, candidate, out=y)


def _pool_both(
    x: Array, x_dot: Array, axis: int, size: int, stride: int, y: Array, y_dot: Array
) -> None:
    """y = max over windows along one axis, y_dot = the tangent of the first that has it."""
    xp, n = array_module(x), y.shape[axis]
    best, best_dot = (_candidate(array, axis, 0, stride, n) for array in (x, x_dot))
    if size == 1:
        y[...], y_dot[...] = best, best_dot
    for k in range(1, size):
        candidate, candidate_dot = (_candidate(array, axis, k, stride, n) for array in (x, x_dot))
        wins = candidate > best  # products with 0 and 1: NumPy's choosing is ten times slower
        xp.multiply(best_dot, ~wins, out=y_dot)
        y_dot += candidate_dot * wins
        best, best_dot = xp.maximum(best, candidate, out=y), y_dot


def _to_winners(dy: Array, axis: int, size: int, stride: int, winner: Array, dx: Array) -> None:
    """Each dy to the element that won its window, along one axis: dx = 0, then dx[winner] += dy."""
    xp = array_module(dy)
    if stride == size and dx.shape[axis] == size * dy.shape[axis]:  # each element in one window
        for k in range(size):
            xp.multiply(dy, winner == k, out=_candidate(dx, axis, k, stride, dy.shape[axis]))
        return
    dx[...] = 0
    for k in range(size):
        place = _candidate(dx, axis, k, stride, dy.shape[axis])
        place += dy * (winner == k)


def _from_winners(x: Array, axis: int, size: int, stride: int, winner: Array, y: Array) -> None:
    """y = x[winner], along one axis."""
    y[...] = 0
    for k in range(size):
        y += _candidate(x, axis, k, stride, y.shape[axis]) * (winner == k)
