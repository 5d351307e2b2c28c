"""Sums over windows, for average pooling, and their transpose.

Windows may reach over the edge of the image. What is outside counts as 0. The plain forms add
element (k, l) of all windows at once, for each (k, l). The fast forms add within each row of a
window first, then over its rows.
"""

from __future__ import annotations

from itertools import product

from minigrad.backend import Array, array_module
from minigrad.kernels import device
from minigrad.kernels.device import averages as on_device
from minigrad.kernels.memory import scratch
from minigrad.kernels.parts import parts, share
from minigrad.kernels.pooling_axis import along
from minigrad.kernels.switch import kernel
from minigrad.kernels.windows import Pair, channels_first, channels_last, reach, reach_2d


@kernel
def window_sums(x: Array, size: Pair, stride: Pair, padding: Pair, windows: Pair) -> Array:
    """y[i, j] = Σ of the pixels of window (i, j). x (N, C, H, W), y (N, C, OH, OW) = windows."""
    if device.ready(x):
        return channels_first(on_device.window_sums(x, size, stride, padding, windows))
    rows = channels_last(x)
    N, H, _, C = rows.shape
    y = array_module(x).empty((N, *windows, C), x.dtype)

    def work(part: slice) -> None:
        across = scratch("sums", (len(rows[part]), H, windows[1], C), y)
        _add(rows[part], 2, size[1], stride[1], padding[1], across)
        _add(across, 1, size[0], stride[0], padding[0], y[part])

    share(work, parts(N, 2 * rows[:1].nbytes, rows), rows)
    return channels_first(y)


@window_sums.plain
def window_sums_plain(x: Array, size: Pair, stride: Pair, padding: Pair, windows: Pair) -> Array:
    rows = channels_last(x)
    N, H, W, C = rows.shape
    y = array_module(x).zeros((N, *windows, C), x.dtype)
    for k, l in product(range(size[0]), range(size[1])):
        there, here = reach_2d((H, W), k, l, stride, padding, windows)
        y[there] += rows[here]
    return channels_first(y)


@kernel
def spread_over_windows(
    dy: Array, shape: tuple[int, ...], size: Pair, stride: Pair, padding: Pair
) -> Array:
    """dx of the given shape: each window's dy is added to all of its pixels."""
    if device.ready(dy):
        return channels_first(on_device.spread_over_windows(dy, shape, size, stride, padding))
    dys = channels_last(dy)
    N, C, H, W = shape
    dx = array_module(dy).empty((N, H, W, C), dy.dtype)

    def work(part: slice) -> None:
        across = scratch("sums", (len(dys[part]), H, dys.shape[2], C), dx)
        _spread(dys[part], 1, size[0], stride[0], padding[0], across)
        _spread(across, 2, size[1], stride[1], padding[1], dx[part])

    share(work, parts(N, 2 * dx[:1].nbytes, dx), dx)
    return channels_first(dx)


@spread_over_windows.plain
def spread_over_windows_plain(
    dy: Array, shape: tuple[int, ...], size: Pair, stride: Pair, padding: Pair
) -> Array:
    dys = channels_last(dy)
    N, C, H, W = shape
    dx = array_module(dy).zeros((N, H, W, C), dy.dtype)
    for k, l in product(range(size[0]), range(size[1])):
        there, here = reach_2d((H, W), k, l, stride, padding, dys.shape[1:3])
        dx[here] += dys[there]
    return channels_first(dx)


def _add(x: Array, axis: int, size: int, stride: int, padding: int, y: Array) -> None:
    """Along one axis: y = Σ of each window's elements."""
    y[...] = 0
    for k in range(size):
        windows, pixels = reach(x.shape[axis], k, stride, padding, y.shape[axis])
        total = along(y, axis, windows)
        total += along(x, axis, pixels)


def _spread(dy: Array, axis: int, size: int, stride: int, padding: int, dx: Array) -> None:
    """The transpose of `_add`: dx = 0, then each element of a window gets its dy."""
    dx[...] = 0
    for k in range(size):
        windows, pixels = reach(dx.shape[axis], k, stride, padding, dy.shape[axis])
        place = along(dx, axis, pixels)
        place += along(dy, axis, windows)
