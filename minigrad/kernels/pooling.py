"""Max pooling: the largest pixel of each window, its gradient and its tangent.

The winner of a window is its largest pixel. The plain forms compare pixel (k, l) of all windows at
once, for each (k, l). They keep the winner's number. The fast forms pool twice: first within each
row of a window, then over its rows. They keep both winners. This needs fewer comparisons.

Windows may reach over the edge of the image. Such pixels take no part: there is no padded copy.

Ties: the first pixel of the window wins, row by row. NaN counts as larger than every number. The
last of several NaN wins. All as in PyTorch.

x, dx, x_dot are (N, C, H, W). y, dy, y_dot are (N, C, OH, OW). `winners` comes from `max_pool`. The
winners of the fast form and of the plain form are different arrays. On a GPU one launch does it
all: see device/pooling.
"""

from __future__ import annotations

from itertools import product

import numpy as np

from minigrad.backend import Array, array_module
from minigrad.kernels import device
from minigrad.kernels.device import pooling as on_device
from minigrad.kernels.memory import scratch
from minigrad.kernels.parts import parts, share
from minigrad.kernels.pooling_axis import (
    axis_from_winners,
    axis_to_winners,
    first_inside,
    pool_axis,
    pool_both,
)
from minigrad.kernels.switch import kernel
from minigrad.kernels.windows import (
    Pair,
    channels_first,
    channels_last,
    pooled_size,
    reach_2d,
)

Winners = tuple[Array, ...]
NONE = (0, 0)


@kernel
def max_pool(
    x: Array, size: Pair, stride: Pair, padding: Pair = NONE, ceil_mode: bool = False
) -> tuple[Array, Winners]:
    """(y, winners). y[i, j] is the largest pixel of window (i, j)."""
    if device.ready(x):
        windows = pooled_size(x.shape[2:], size, stride, padding, ceil_mode)
        y, winner = on_device.max_pool(x, size, stride, padding, windows)
        return channels_first(y), (winner,)
    rows = channels_last(x)
    xp = array_module(x)
    N, H, W, C = rows.shape
    OH, OW = pooled_size((H, W), size, stride, padding, ceil_mode)
    y = xp.empty((N, OH, OW, C), x.dtype)
    across = xp.empty((N, H, OW, C), "uint8")
    down = xp.empty((N, OH, OW, C), "uint8")

    def pool(part: slice, nan: bool) -> None:
        best = scratch("best", across[part].shape, y)
        pool_axis(rows[part], 2, size[1], stride[1], padding[1], best, across[part], nan)
        pool_axis(best, 1, size[0], stride[0], padding[0], y[part], down[part], nan)

    def work(part: slice) -> None:
        pool(part, nan=xp is not np)
        if xp is np and _has_nan(y[part]):
            pool(part, nan=True)

    share(work, _parts(rows), rows)
    return channels_first(y), (across, down)


@max_pool.plain
def max_pool_plain(
    x: Array, size: Pair, stride: Pair, padding: Pair = NONE, ceil_mode: bool = False
) -> tuple[Array, Winners]:
    rows = channels_last(x)
    xp = array_module(x)
    OH, OW = windows = pooled_size(rows.shape[1:3], size, stride, padding, ceil_mode)
    y = xp.full((len(rows), OH, OW, rows.shape[3]), -np.inf, x.dtype)
    first = xp.zeros(y.shape, "int64") + size[1] * first_inside(xp, 1, OH, stride[0], padding[0])
    winner = first + first_inside(xp, 2, OW, stride[1], padding[1])
    for k, l in product(range(size[0]), range(size[1])):
        there, here = reach_2d(rows.shape[1:3], k, l, stride, padding, windows)
        wins = (rows[here] > y[there]) | xp.isnan(rows[here])
        y[there] = xp.where(wins, rows[here], y[there])
        winner[there] = xp.where(wins, k * size[1] + l, winner[there])
    return channels_first(y), (winner,)


@kernel
def to_winners(
    dy: Array,
    winners: Winners,
    shape: tuple[int, ...],
    size: Pair,
    stride: Pair,
    padding: Pair = NONE,
) -> Array:
    """dx. Each window's dy is added to the dx of its winner. All other dx are 0."""
    if device.ready(dy):
        (winner,) = _kept(winners, 1, "u")
        return channels_first(on_device.to_winners(dy, winner, shape, size, stride, padding))
    across, down = _kept(winners, 2, "u")
    dys = channels_last(dy)
    N, C, H, W = shape
    dx = array_module(dy).empty((N, H, W, C), dy.dtype)

    def work(part: slice) -> None:
        dbest = scratch("best", across[part].shape, dx)
        axis_to_winners(dys[part], 1, size[0], stride[0], padding[0], down[part], dbest)
        axis_to_winners(dbest, 2, size[1], stride[1], padding[1], across[part], dx[part])

    share(work, _parts(dx), dx)
    return channels_first(dx)


@to_winners.plain
def to_winners_plain(
    dy: Array,
    winners: Winners,
    shape: tuple[int, ...],
    size: Pair,
    stride: Pair,
    padding: Pair = NONE,
) -> Array:
    (winner,) = _kept(winners, 1, "i")
    dys = channels_last(dy)
    xp = array_module(dy)
    N, C, H, W = shape
    dx = xp.zeros((N, H, W, C), dy.dtype)
    for k, l in product(range(size[0]), range(size[1])):
        there, here = reach_2d((H, W), k, l, stride, padding, dys.shape[1:3])
        dx[here] += xp.where(winner[there] == k * size[1] + l, dys[there], 0)
    return channels_first(dx)


@kernel
def from_winners(
    x_dot: Array, winners: Winners, size: Pair, stride: Pair, padding: Pair = NONE
) -> Array:
    """y_dot[i, j] = x_dot of the winner of window (i, j)."""
    if device.ready(x_dot):
        (winner,) = _kept(winners, 1, "u")
        return channels_first(on_device.from_winners(x_dot, winner, size, stride, padding))
    across, down = _kept(winners, 2, "u")
    rows = channels_last(x_dot)
    y_dot = array_module(x_dot).empty(down.shape, x_dot.dtype)

    def work(part: slice) -> None:
        best = scratch("best", across[part].shape, y_dot)
        axis_from_winners(rows[part], 2, size[1], stride[1], padding[1], across[part], best)
        axis_from_winners(best, 1, size[0], stride[0], padding[0], down[part], y_dot[part])

    share(work, _parts(rows), rows)
    return channels_first(y_dot)


@from_winners.plain
def from_winners_plain(
    x_dot: Array, winners: Winners, size: Pair, stride: Pair, padding: Pair = NONE
) -> Array:
    (winner,) = _kept(winners, 1, "i")
    rows = channels_last(x_dot)
    xp = array_module(x_dot)
    y_dot = xp.zeros(winner.shape, x_dot.dtype)
    for k, l in product(range(size[0]), range(size[1])):
        there, here = reach_2d(rows.shape[1:3], k, l, stride, padding, winner.shape[1:3])
        y_dot[there] = xp.where(winner[there] == k * size[1] + l, rows[here], y_dot[there])
    return channels_first(y_dot)


@kernel
def max_pool_with_tangent(
    x: Array,
    x_dot: Array,
    size: Pair,
    stride: Pair,
    padding: Pair = NONE,
    ceil_mode: bool = False,
) -> tuple[Array, Array]:
    """y and y_dot together. The winners are not kept, if all windows lie inside the image."""
    if device.ready(x, x_dot):
        windows = pooled_size(x.shape[2:], size, stride, padding, ceil_mode)
        both = on_device.max_pool_with_tangent(x, x_dot, size, stride, padding, windows)
        return channels_first(both[0]), channels_first(both[1])
    if padding != NONE or ceil_mode:
        found, winners = max_pool(x, size, stride, padding, ceil_mode)
        return found, from_winners(x_dot, winners, size, stride, padding)
    rows = channels_last(x)
    rows_dot = channels_last(x_dot)
    xp = array_module(x, x_dot)
    N, H, W, C = rows.shape
    OH, OW = pooled_size((H, W), size, stride)
    y = xp.empty((N, OH, OW, C), x.dtype)
    y_dot = xp.empty_like(y)

    def pool(part: slice, nan: bool) -> None:
        shape = len(rows[part]), H, OW, C
        best = scratch("best", shape, y)
        best_dot = scratch("best_dot", shape, y)
        pool_both(rows[part], rows_dot[part], 2, size[1], stride[1], best, best_dot, nan)
        pool_both(best, best_dot, 1, size[0], stride[0], y[part], y_dot[part], nan)

    def work(part: slice) -> None:
        pool(part, nan=xp is not np)
        if xp is np and _has_nan(y[part]):
            pool(part, nan=True)

    share(work, _parts(rows), rows)
    return channels_first(y), channels_first(y_dot)


@max_pool_with_tangent.plain
def max_pool_with_tangent_plain(
    x: Array,
    x_dot: Array,
    size: Pair,
    stride: Pair,
    padding: Pair = NONE,
    ceil_mode: bool = False,
) -> tuple[Array, Array]:
    y, winners = max_pool_plain(x, size, stride, padding, ceil_mode)
    return y, from_winners_plain(x_dot, winners, size, stride, padding)


def _kept(winners: Winners, count: int, kind: str) -> Winners:
    """The winners. Raises RuntimeError if the other form of `max_pool` made them.

    The plain form keeps one array of int64 ("i"), the fast form two small ones ("u"), a GPU one.
    """
    if len(winners) != count or winners[0].dtype.kind != kind:
        raise RuntimeError(
            "the last forward of the pooling used the other form of the kernels. After "
            "kernels.use(...), call forward again"
        )
    return winners


def _parts(rows: Array) -> list[slice]:
    """Cut the batch into parts that stay in the cache."""
    return parts(len(rows), 2 * rows[:1].nbytes, rows)


def _has_nan(y: Array) -> bool:
    """Whether y contains NaN. NumPy's max is then NaN, too."""
    return bool(np.isnan(y.max(initial=-np.inf)))
