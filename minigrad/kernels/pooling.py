"""Max pooling: the largest pixel of each window, its gradient and its tangent.

The winner of a window is its largest pixel. The plain forms compare pixel (k, l) of all windows at
once, for each (k, l). They keep the winner's number. The fast forms pool twice: first within each
row of a window, then over its rows. They keep both winners. This needs fewer comparisons.

Ties: the first pixel of the window wins, row by row. NaN counts as larger than every number. The
last of several NaN wins. All as in PyTorch.

x, dx, x_dot are (N, C, H, W). y, dy, y_dot are (N, C, OH, OW). `winners` comes from `max_pool`. The
winners of the fast form and of the plain form are different arrays.
"""

from __future__ import annotations

import numpy as np

from minigrad.backend import Array, array_module
from minigrad.kernels.elementwise import bits, masked_bits
from minigrad.kernels.memory import scratch
from minigrad.kernels.parts import parts, share
from minigrad.kernels.switch import kernel
from minigrad.kernels.windows import Pair, channels_first, channels_last, output_size, pixel

Winners = tuple[Array, ...]


@kernel
def max_pool(x: Array, size: Pair, stride: Pair) -> tuple[Array, Winners]:
    """(y, winners). y[i, j] is the largest pixel of window (i, j)."""
    rows = channels_last(x)
    xp = array_module(x)
    N, H, W, C = rows.shape
    OH, OW = output_size((H, W), size, stride)
    y = xp.empty((N, OH, OW, C), x.dtype)
    across = xp.empty((N, H, OW, C), "uint8")
    down = xp.empty((N, OH, OW, C), "uint8")

    def pool(part: slice, nan: bool) -> None:
        best = scratch("best", across[part].shape, y)
        _pool(rows[part], 2, size[1], stride[1], best, across[part], nan)
        _pool(best, 1, size[0], stride[0], y[part], down[part], nan)

    def work(part: slice) -> None:
        pool(part, nan=xp is not np)
        if xp is np and _has_nan(y[part]):
            pool(part, nan=True)

    share(work, _parts(rows), rows)
    return channels_first(y), (across, down)


@max_pool.plain
def max_pool_plain(x: Array, size: Pair, stride: Pair) -> tuple[Array, Winners]:
    rows = channels_last(x)
    xp = array_module(x)
    windows = output_size(rows.shape[1:3], size, stride)
    y = pixel(rows, 0, 0, stride, windows)
    winner = xp.zeros(y.shape, "int64")
    for k in range(size[0]):
        for l in range(size[1]):
            candidate = pixel(rows, k, l, stride, windows)
            wins = (candidate > y) | xp.isnan(candidate)
            y = xp.where(wins, candidate, y)
            winner = xp.where(wins, k * size[1] + l, winner)
    return channels_first(y), (winner,)


@kernel
def to_winners(
    dy: Array, winners: Winners, shape: tuple[int, ...], size: Pair, stride: Pair
) -> Array:
    """dx. Each window's dy is added to the dx of its winner. All other dx are 0."""
    across, down = _kept(winners, 2)
    dys = channels_last(dy)
    N, C, H, W = shape
    dx = array_module(dy).empty((N, H, W, C), dy.dtype)

    def work(part: slice) -> None:
        dbest = scratch("best", across[part].shape, dx)
        _to_winners(dys[part], 1, size[0], stride[0], down[part], dbest)
        _to_winners(dbest, 2, size[1], stride[1], across[part], dx[part])

    share(work, _parts(dx), dx)
    return channels_first(dx)


@to_winners.plain
def to_winners_plain(
    dy: Array, winners: Winners, shape: tuple[int, ...], size: Pair, stride: Pair
) -> Array:
    (winner,) = _kept(winners, 1)
    dys = channels_last(dy)
    xp = array_module(dy)
    N, C, H, W = shape
    dx = xp.zeros((N, H, W, C), dy.dtype)
    for k in range(size[0]):
        for l in range(size[1]):
            place = pixel(dx, k, l, stride, dys.shape[1:3])
            place += xp.where(winner == k * size[1] + l, dys, 0)
    return channels_first(dx)


@kernel
def from_winners(x_dot: Array, winners: Winners, size: Pair, stride: Pair) -> Array:
    """y_dot[i, j] = x_dot of the winner of window (i, j)."""
    across, down = _kept(winners, 2)
    rows = channels_last(x_dot)
    y_dot = array_module(x_dot).empty(down.shape, x_dot.dtype)

    def work(part: slice) -> None:
        best = scratch("best", across[part].shape, y_dot)
        _from_winners(rows[part], 2, size[1], stride[1], across[part], best)
        _from_winners(best, 1, size[0], stride[0], down[part], y_dot[part])

    share(work, _parts(rows), rows)
    return channels_first(y_dot)


@from_winners.plain
def from_winners_plain(x_dot: Array, winners: Winners, size: Pair, stride: Pair) -> Array:
    (winner,) = _kept(winners, 1)
    rows = channels_last(x_dot)
    xp = array_module(x_dot)
    y_dot = xp.zeros(winner.shape, x_dot.dtype)
    for k in range(size[0]):
        for l in range(size[1]):
            candidate = pixel(rows, k, l, stride, winner.shape[1:3])
            y_dot = xp.where(winner == k * size[1] + l, candidate, y_dot)
    return channels_first(y_dot)


@kernel
def max_pool_with_tangent(x: Array, x_dot: Array, size: Pair, stride: Pair) -> tuple[Array, Array]:
    """y and y_dot together. The winners are not kept."""
    rows = channels_last(x)
    rows_dot = channels_last(x_dot)
    xp = array_module(x, x_dot)
    N, H, W, C = rows.shape
    OH, OW = output_size((H, W), size, stride)
    y = xp.empty((N, OH, OW, C), x.dtype)
    y_dot = xp.empty_like(y)

    def pool(part: slice, nan: bool) -> None:
        shape = len(rows[part]), H, OW, C
        best = scratch("best", shape, y)
        best_dot = scratch("best_dot", shape, y)
        _pool_both(rows[part], rows_dot[part], 2, size[1], stride[1], best, best_dot, nan)
        _pool_both(best, best_dot, 1, size[0], stride[0], y[part], y_dot[part], nan)

    def work(part: slice) -> None:
        pool(part, nan=xp is not np)
        if xp is np and _has_nan(y[part]):
            pool(part, nan=True)

    share(work, _parts(rows), rows)
    return channels_first(y), channels_first(y_dot)


@max_pool_with_tangent.plain
def max_pool_with_tangent_plain(
    x: Array, x_dot: Array, size: Pair, stride: Pair
) -> tuple[Array, Array]:
    y, winners = max_pool_plain(x, size, stride)
    return y, from_winners_plain(x_dot, winners, size, stride)


def _kept(winners: Winners, count: int) -> Winners:
    """The winners. Raises RuntimeError if the other form of `max_pool` made them."""
    if len(winners) != count:
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


def _candidate(x: Array, axis: int, k: int, stride: int, n: int) -> Array:
    """The k-th element of each of n windows along the axis."""
    places = slice(k, k + stride * (n - 1) + 1, stride)
    return x[:, places] if axis == 1 else x[:, :, places]


def _wins(candidate: Array, best: Array, nan: bool) -> Array:
    """Where the candidate is larger than `best`. nan: also where it is NaN."""
    wins = candidate > best
    if nan:
        wins |= array_module(candidate).isnan(candidate)
    return wins


def _pool(x: Array, axis: int, size: int, stride: int, y: Array, winner: Array, nan: bool) -> None:
    """y = max over windows along one axis. winner = the first k with this maximum."""
    xp = array_module(x)
    n = y.shape[axis]
    y[...] = _candidate(x, axis, 0, stride, n)
    winner[...] = 0
    for k in range(1, size):
        candidate = _candidate(x, axis, k, stride, n)
        xp.maximum(winner, _wins(candidate, y, nan) * winner.dtype.type(k), out=winner)
        xp.maximum(y, candidate, out=y)


def _pool_both(
    x: Array, x_dot: Array, axis: int, size: int, stride: int, y: Array, y_dot: Array, nan: bool
) -> None:
    """y = max over windows along one axis. y_dot = the tangent of the first maximum."""
    xp = array_module(x)
    n = y.shape[axis]
    best = _candidate(x, axis, 0, stride, n)
    best_dot = _candidate(x_dot, axis, 0, stride, n)
    if size == 1:
        y[...] = best
        y_dot[...] = best_dot
    chosen = bits(y_dot)
    for k in range(1, size):
        candidate = _candidate(x, axis, k, stride, n)
        candidate_dot = _candidate(x_dot, axis, k, stride, n)
        wins = _wins(candidate, best, nan)
        # Bits, not floats, times 0 or 1: infinity times 0 is NaN. `where` is ten times slower.
        xp.multiply(bits(best_dot), ~wins, out=chosen)
        chosen += bits(candidate_dot) * wins
        best = xp.maximum(best, candidate, out=y)
        best_dot = y_dot


def _to_winners(dy: Array, axis: int, size: int, stride: int, winner: Array, dx: Array) -> None:
    """Along one axis: dx = 0, then dx[winner] += dy."""
    xp = array_module(dy)
    n = dy.shape[axis]
    if stride == size and dx.shape[axis] == size * n:  # each element is in one window
        for k in range(size):
            place = _candidate(dx, axis, k, stride, n)
            xp.multiply(bits(dy), winner == k, out=bits(place))
        return
    dx[...] = 0
    for k in range(size):
        place = _candidate(dx, axis, k, stride, n)
        place += masked_bits(dy, winner == k)


def _from_winners(x: Array, axis: int, size: int, stride: int, winner: Array, y: Array) -> None:
    """Along one axis: y = x[winner]."""
    chosen = bits(y)
    chosen[...] = 0
    for k in range(size):
        chosen += bits(_candidate(x, axis, k, stride, y.shape[axis])) * (winner == k)
