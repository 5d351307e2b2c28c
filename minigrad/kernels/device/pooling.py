"""Pooling, one launch each. Plain forms: kernels/pooling and kernels/averages.

    max_pool               y = the largest pixel of each window, winner = its number k·KW + l
    to_winners             dx[n, h, w, c] = Σ dy of the windows whose winner is this pixel
    from_winners           y_dot = x_dot of the winner
    max_pool_with_tangent  y and y_dot; the winner is not kept
    window_sums            y = Σ of the pixels of each window
    spread_over_windows    dx[n, h, w, c] = Σ dy of the windows that have this pixel

x, dx, y, dy are (N, C, H, W) and (N, C, OH, OW), in any order in memory. The results have their
channels last. dx is gathered, pixel by pixel, so the order of its sums is always the same.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np

from minigrad.backend import Array, array_module
from minigrad.kernels import device
from minigrad.kernels.device.layout import (
    EACH_PLACE,
    NARROW_REACH,
    Pair,
    divisor,
    indexed,
    numbers,
    reach,
)

GEOMETRY = f"""{EACH_PLACE}
// Strides of an image batch, counted in numbers.
struct Steps {{ I n, c, h, w; }};
// (H, W): size of the image. Window (i, j) has KH x KW pixels from (i*sh - ph, j*sw - pw) on.
struct Windows {{ I H, W, OH, OW, KH, KW, ph, pw; Divisor C, down, across, sh, sw; }};
// Number i of an array (N, h, w, C) with channels last. `down` and `across` are h and w.
#define PLACE(i) \\
    I q = over(i, g.C), c = i - q * g.C.d, row = over(q, g.across), w = q - row * g.across.d; \\
    I n = over(row, g.down), h = row - n * g.down.d;
#define TOP (h * g.sh.d - g.ph)
#define LEFT (w * g.sw.d - g.pw)
"""

# In the loop over the pixels (k, l) of a window: `at` is the pixel's place in x.
OVER_WINDOW = """
    I top = TOP, left = LEFT;
    for (I k = top < 0 ? -top : 0; k < g.KH && top + k < g.H; k++)
        for (I l = left < 0 ? -left : 0; l < g.KW && left + l < g.W; l++) {
            I at = n * x.n + c * x.c + (top + k) * x.h + (left + l) * x.w;
"""

FIND = f"""
    T best = 0;
    I winner = -1;
    {OVER_WINDOW}
        T v = pixels[at];
        if (winner < 0 || v > best || v != v) {{ best = v; winner = k * g.KW + l; }}
    }}
"""

MAX_POOL = f"""{GEOMETRY}
extern "C" __global__ void max_pool(
    const T* pixels, T* y, B* winners, Steps x, Windows g, I total
) {{
    EACH_PLACE(i, total) {{
        PLACE(i)
        {FIND}
        y[i] = best;
        winners[i] = (B)winner;
    }}
}}
"""

MAX_POOL_WITH_TANGENT = f"""{GEOMETRY}
extern "C" __global__ void max_pool_with_tangent(
    const T* pixels, const T* tangents, T* y, T* y_dot, Steps x, Steps x_dot, Windows g,
    I total
) {{
    EACH_PLACE(i, total) {{
        PLACE(i)
        {FIND}
        I k = winner / g.KW, h_dot = top + k, w_dot = left + winner - k * g.KW;
        y[i] = best;
        y_dot[i] = tangents[n * x_dot.n + c * x_dot.c + h_dot * x_dot.h + w_dot * x_dot.w];
    }}
}}
"""

FROM_WINNERS = f"""{GEOMETRY}
extern "C" __global__ void from_winners(
    const T* tangents, T* y_dot, const B* winners, Steps x, Windows g, I total
) {{
    EACH_PLACE(i, total) {{
        PLACE(i)
        I winner = winners[i], k = winner / g.KW;
        I h_dot = TOP + k, w_dot = LEFT + winner - k * g.KW;
        y_dot[i] = tangents[n * x.n + c * x.c + h_dot * x.h + w_dot * x.w];
    }}
}}
"""

# In the loop over the windows (a, b) that have pixel (h, w): `at` is the window's place in dy.
# Window a has the rows a·s - p ... a·s - p + K - 1.
OVER_WINDOWS = """
    T sum = 0;
    I y_h = h + g.ph, y_w = w + g.pw;
    I first_a = y_h < g.KH ? 0 : over(y_h - g.KH, g.sh) + 1, last_a = over(y_h, g.sh);
    I first_b = y_w < g.KW ? 0 : over(y_w - g.KW, g.sw) + 1, last_b = over(y_w, g.sw);
    for (I a = first_a; a <= last_a && a < g.OH; a++)
        for (I b = first_b; b <= last_b && b < g.OW; b++) {
            I at = n * y.n + c * y.c + a * y.h + b * y.w;
"""

TO_WINNERS = f"""{GEOMETRY}
extern "C" __global__ void to_winners(
    const T* dy, T* dx, const B* winners, Steps y, Windows g, I total
) {{
    EACH_PLACE(i, total) {{
        PLACE(i)
        {OVER_WINDOWS}
            I number = (y_h - a * g.sh.d) * g.KW + y_w - b * g.sw.d;
            if (winners[((n * g.OH + a) * g.OW + b) * g.C.d + c] == number) sum += dy[at];
        }}
        dx[i] = sum;
    }}
}}
"""

WINDOW_SUMS = f"""{GEOMETRY}
extern "C" __global__ void window_sums(
    const T* pixels, T* y, Steps x, Windows g, I total
) {{
    EACH_PLACE(i, total) {{
        PLACE(i)
        T sum = 0;
        {OVER_WINDOW}
            sum += pixels[at];
        }}
        y[i] = sum;
    }}
}}
"""

SPREAD = f"""{GEOMETRY}
extern "C" __global__ void spread(const T* dy, T* dx, Steps y, Windows g, I total) {{
    EACH_PLACE(i, total) {{
        PLACE(i)
        {OVER_WINDOWS}
            sum += dy[at];
        }}
        dx[i] = sum;
    }}
}}
"""

BYTES = {1: "typedef unsigned char B;\n", 2: "typedef unsigned short B;\n"}
WITH_WINNERS = {
    (name, size): f"{number}{source}"
    for size, number in BYTES.items()
    for name, source in (
        ("max_pool", MAX_POOL),
        ("from_winners", FROM_WINNERS),
        ("to_winners", TO_WINNERS),
    )
}


def max_pool(
    x: Array, size: Pair, stride: Pair, padding: Pair, windows: Pair
) -> tuple[Array, Array]:
    """(y, winners), both with channels last: (N, OH, OW, C). A winner has one or two bytes."""
    xp = array_module(x)
    shape = x.shape[0], *windows, x.shape[1]
    y = xp.empty(shape, x.dtype)
    winners = xp.empty(shape, "uint8" if size[0] * size[1] <= 256 else "uint16")
    source = WITH_WINNERS["max_pool", winners.itemsize]
    g = x.shape, windows, size, stride, padding
    _run("max_pool", source, y, (x,), (x, y, winners), g)
    return y, winners


def max_pool_with_tangent(
    x: Array, x_dot: Array, size: Pair, stride: Pair, padding: Pair, windows: Pair
) -> tuple[Array, Array]:
    """(y, y_dot), both (N, OH, OW, C)."""
    xp = array_module(x, x_dot)
    y = xp.empty((x.shape[0], *windows, x.shape[1]), x.dtype)
    y_dot = xp.empty(y.shape, x.dtype)
    g = x.shape, windows, size, stride, padding
    _run("max_pool_with_tangent", MAX_POOL_WITH_TANGENT, y, (x, x_dot), (x, x_dot, y, y_dot), g)
    return y, y_dot


def from_winners(x_dot: Array, winners: Array, size: Pair, stride: Pair, padding: Pair) -> Array:
    """y_dot (N, OH, OW, C), like the winners."""
    y_dot = array_module(x_dot, winners).empty(winners.shape, x_dot.dtype)
    source = WITH_WINNERS["from_winners", winners.itemsize]
    g = x_dot.shape, winners.shape[1:3], size, stride, padding
    _run("from_winners", source, y_dot, (x_dot,), (x_dot, y_dot, winners), g)
    return y_dot


def to_winners(
    dy: Array, winners: Array, shape: tuple[int, ...], size: Pair, stride: Pair, padding: Pair
) -> Array:
    """dx (N, H, W, C) for x of the given shape (N, C, H, W)."""
    dx = array_module(dy, winners).empty((shape[0], *shape[2:], shape[1]), dy.dtype)
    source = WITH_WINNERS["to_winners", winners.itemsize]
    g = shape, winners.shape[1:3], size, stride, padding
    _run("to_winners", source, dx, (dy,), (dy, dx, winners), g)
    return dx


def window_sums(x: Array, size: Pair, stride: Pair, padding: Pair, windows: Pair) -> Array:
    """y (N, OH, OW, C)."""
    y = array_module(x).empty((x.shape[0], *windows, x.shape[1]), x.dtype)
    _run("window_sums", WINDOW_SUMS, y, (x,), (x, y), (x.shape, windows, size, stride, padding))
    return y


def spread_over_windows(
    dy: Array, shape: tuple[int, ...], size: Pair, stride: Pair, padding: Pair
) -> Array:
    """dx (N, H, W, C) for x of the given shape (N, C, H, W)."""
    dx = array_module(dy).empty((shape[0], *shape[2:], shape[1]), dy.dtype)
    _run("spread", SPREAD, dx, (dy,), (dy, dx), (shape, dy.shape[2:], size, stride, padding))
    return dx


def _run(
    name: str,
    source: str,
    result: Array,
    strided: tuple[Array, ...],
    arrays: tuple[Array, ...],
    geometry: tuple[tuple[int, ...], ...],
) -> None:
    """One launch with a thread for each number of the result.

    strided: the arrays whose strides the kernel gets. geometry: x.shape, (OH, OW), (KH, KW),
    stride, padding.
    """
    n = result.size
    if n:
        orders = tuple((x.shape, x.strides) for x in (result, *strided))
        wide, structs = _structs(orders, result.itemsize, geometry)
        run = device.kernel(name, indexed(source, wide), result)
        run(device.blocks(n), (device.THREADS,), (*arrays, *structs))


@lru_cache(maxsize=4096)
def _structs(
    orders: tuple[tuple[tuple[int, ...], tuple[int, ...]], ...],
    itemsize: int,
    geometry: tuple[tuple[int, ...], ...],
) -> tuple[bool, tuple[Any, ...]]:
    """(whether places need 64 bits, the last arguments: Steps of each array, Windows, total)."""
    wide = any(reach(*order, itemsize) > NARROW_REACH for order in orders)
    (result, _), *strided = orders
    shape, windows, size, stride, padding = geometry
    flat = (number for d in (shape[1], *result[1:3], *stride) for number in divisor(d))
    g = numbers(*shape[2:], *windows, *size, *padding, *flat, wide=wide)
    places = (numbers(*(s // itemsize for s in strides), wide=wide) for _, strides in strided)
    total = math.prod(result)
    return wide, (*places, g, total if wide else np.int32(total))
