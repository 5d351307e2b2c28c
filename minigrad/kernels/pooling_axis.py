"""Max pooling along axis 1 or 2 of (N, H, W, C): the largest of each window, and its place."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.backend import Array, array_module
from minigrad.kernels.elementwise import bits, masked_bits
from minigrad.kernels.memory import RUN, copy_pixels, scratch
from minigrad.kernels.windows import ALL, reach


def _candidate(x: Array, axis: int, k: int, stride: int, n: int) -> Array:
    """The k-th element of each of n windows along the axis."""
    return along(x, axis, slice(k, k + stride * (n - 1) + 1, stride))


def _room(view: Array, axis: int) -> Array | None:
    """Scratch memory for the numbers of a view along axis 2, if they have gaps there, else None.

    Only the channels of a pixel lie together then. NumPy makes a new start for each pixel in each
    operation. To copy the pixels, as items, and then to operate on all of them at once is faster.
    """
    if axis == 1 or type(view) is not np.ndarray or view.flags.c_contiguous:
        return None
    return scratch("room", view.shape, view) if view.shape[3] * view.itemsize <= RUN else None


def _put(room: Array | None, view: Array) -> None:
    """Copy what was computed in the scratch memory to its place."""
    if room is not None:
        copy_pixels(view, room)


def _packed(view: Array, axis: int, name: str) -> Array:
    """The same numbers, along axis 2 without gaps: then in the scratch memory `name`."""
    if _room(view, axis) is None:
        return view
    copy = scratch(name, view.shape, view)
    copy_pixels(copy, view)
    return copy


def along(x: Array, axis: int, places: slice) -> Array:
    """x at these places of axis 1 or 2: a view, or x itself for all places."""
    if places is ALL:
        return x
    return x[:, places] if axis == 1 else x[:, :, places]


def first_inside(xp: Any, axis: int, n: int, stride: int, padding: int) -> Array:
    """The first k of each window that is in the image, along the axis."""
    found = xp.maximum(padding - stride * xp.arange(n), 0)
    return found.reshape((n, 1, 1) if axis == 1 else (n, 1))


def _wins(candidate: Array, best: Array, nan: bool) -> Array:
    """Where the candidate is larger than `best`. nan: also where it is NaN."""
    wins = candidate > best
    if nan:
        wins |= array_module(candidate).isnan(candidate)
    return wins


def pool_axis(
    x: Array, axis: int, size: int, stride: int, padding: int, y: Array, winner: Array, nan: bool
) -> None:
    """y = max over windows along one axis. winner = the first k with this maximum."""
    xp = array_module(x)
    n = y.shape[axis]
    start = 0
    if padding:
        y[...] = -np.inf
        winner[...] = first_inside(xp, axis, n, stride, padding)
    elif nan or size == 1 or stride * (n - 1) + 1 >= x.shape[axis]:
        start = 1
        y[...] = _candidate(x, axis, 0, stride, n)
        winner[...] = 0
    else:  # the first two of every window at once
        start = 2
        first = _packed(_candidate(x, axis, 0, stride, n), axis, "first")
        second = _packed(_candidate(x, axis, 1, stride, n), axis, "second")
        xp.greater(second, first, out=winner.view(bool))
        xp.maximum(first, second, out=y)
    for k in range(start, size):
        windows, pixels = reach(x.shape[axis], k, stride, padding, n)
        candidate = _packed(along(x, axis, pixels), axis, "second")
        best = along(y, axis, windows)
        won = along(winner, axis, windows)
        xp.maximum(won, _wins(candidate, best, nan) * winner.dtype.type(k), out=won)
        xp.maximum(best, candidate, out=best)


def pool_both(
    x: Array, x_dot: Array, axis: int, size: int, stride: int, y: Array, y_dot: Array, nan: bool
) -> None:
    """y = max over windows along one axis. y_dot = the tangent of the first maximum."""
    xp = array_module(x)
    n = y.shape[axis]
    best = _packed(_candidate(x, axis, 0, stride, n), axis, "first")
    best_dot = _packed(_candidate(x_dot, axis, 0, stride, n), axis, "first dot")
    if size == 1:
        y[...] = best
        y_dot[...] = best_dot
    chosen = bits(y_dot)
    for k in range(1, size):
        candidate = _packed(_candidate(x, axis, k, stride, n), axis, "second")
        candidate_dot = _packed(_candidate(x_dot, axis, k, stride, n), axis, "second dot")
        wins = _wins(candidate, best, nan)
        # Bits, not floats, times 0 or 1: infinity times 0 is NaN. `where` is ten times slower.
        xp.multiply(bits(best_dot), ~wins, out=chosen)
        chosen += bits(candidate_dot) * wins
        best = xp.maximum(best, candidate, out=y)
        best_dot = y_dot


def axis_to_winners(
    dy: Array, axis: int, size: int, stride: int, padding: int, winner: Array, dx: Array
) -> None:
    """Along one axis: dx = 0, then dx[winner] += dy."""
    xp = array_module(dy)
    n = dy.shape[axis]
    H = dx.shape[axis]
    if stride == size and size * n == H and padding == 0:  # each element is in one window
        places = [_candidate(dx, axis, k, stride, n) for k in range(size)]
        room = _room(places[0], axis)
        if size == 2:  # what the second does not get, the first gets: bits - bits, or bits - 0
            first, second = places
            given = second if room is None else room
            xp.multiply(bits(dy), winner, out=bits(given))
            _put(room, second)
            xp.subtract(bits(dy), bits(given), out=bits(first if room is None else room))
            _put(room, first)
            return
        for k, place in enumerate(places):
            xp.multiply(bits(dy), winner == k, out=bits(place if room is None else room))
            _put(room, place)
        return
    dx[...] = 0
    for k in range(size):
        windows, pixels = reach(H, k, stride, padding, n)
        place = along(dx, axis, pixels)
        place += masked_bits(along(dy, axis, windows), along(winner, axis, windows) == k)


def axis_from_winners(
    x: Array, axis: int, size: int, stride: int, padding: int, winner: Array, y: Array
) -> None:
    """Along one axis: y = x[winner]."""
    bits(y)[...] = 0
    for k in range(size):
        windows, pixels = reach(x.shape[axis], k, stride, padding, y.shape[axis])
        chosen = along(bits(y), axis, windows)
        candidate = _packed(along(x, axis, pixels), axis, "second")
        chosen += bits(candidate) * (along(winner, axis, windows) == k)
