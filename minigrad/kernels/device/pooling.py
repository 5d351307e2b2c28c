"""Max pooling, one launch each. Plain forms: kernels/pooling.

    max_pool               y = the largest pixel of each window, winner = its number k·KW + l
    to_winners             dx[n, h, w, c] = Σ dy of the windows whose winner is this pixel
    from_winners           y_dot = x_dot of the winner
    max_pool_with_tangent  y and y_dot; the winner is not kept

x, dx, y, dy are (N, C, H, W) and (N, C, OH, OW), in any order in memory. The results have their
channels last. dx is gathered, pixel by pixel, so the order of its sums is always the same.
"""

from __future__ import annotations

from functools import cache

from minigrad.backend import Array
from minigrad.kernels import device
from minigrad.kernels.device.images import (
    GEOMETRY,
    OVER_WINDOW,
    OVER_WINDOWS,
    launch,
    packs,
)
from minigrad.kernels.device.layout import Pair, address

FIND = f"""
    Pack best;
    I winner[V];
    for (int v = 0; v < V; v++) {{ best.v[v] = 0; winner[v] = -1; }}
    {OVER_WINDOW}
        Pack p = *(const Pack*)(pixels + at);
        for (int v = 0; v < V; v++)
            if (winner[v] < 0 || p.v[v] > best.v[v] || p.v[v] != p.v[v]) {{
                best.v[v] = p.v[v];
                winner[v] = k * g.KW + l;
            }}
    }}
"""

MAX_POOL = f"""{GEOMETRY}
struct __align__(sizeof(B) * V) Winners {{ B v[V]; }};
extern "C" __global__ void max_pool(
    const T* pixels, Pack* y, Winners* winners, Steps x, Windows g, I total
) {{
    EACH_PLACE(i, total) {{
        PLACE(i)
        {FIND}
        Winners numbers;
        for (int v = 0; v < V; v++) numbers.v[v] = (B)winner[v];
        y[i] = best;
        winners[i] = numbers;
    }}
}}
"""

MAX_POOL_WITH_TANGENT = f"""{GEOMETRY}
extern "C" __global__ void max_pool_with_tangent(
    const T* pixels, const T* tangents, Pack* y, Pack* y_dot, Steps x, Steps x_dot, Windows g,
    I total
) {{
    EACH_PLACE(i, total) {{
        PLACE(i)
        {FIND}
        Pack moved;
        for (int v = 0; v < V; v++) {{
            I k = winner[v] / g.KW, h_dot = top + k, w_dot = left + winner[v] - k * g.KW;
            I at = n * x_dot.n + (c * V + v) * x_dot.c + h_dot * x_dot.h + w_dot * x_dot.w;
            moved.v[v] = tangents[at];
        }}
        y[i] = best;
        y_dot[i] = moved;
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

# Where every pixel is in one window: a thread for each window writes its pixels.
TO_WINNERS_OF_TILES = f"""{GEOMETRY}
struct __align__(sizeof(B) * V) Winners {{ B v[V]; }};
extern "C" __global__ void to_winners_of_tiles(
    const T* dy, Pack* dx, const Winners* winners, Steps y, Windows g, I total
) {{
    EACH_PLACE(i, total) {{
        PLACE(i)
        Winners winner = winners[i];
        Pack d = *(const Pack*)(dy + n * y.n + c * V * y.c + h * y.h + w * y.w);
        for (I k = 0; k < g.KH; k++)
            for (I l = 0; l < g.KW; l++) {{
                Pack out;
                for (int v = 0; v < V; v++)
                    out.v[v] = (I)winner.v[v] == k * g.KW + l ? d.v[v] : (T)0;
                dx[((n * g.H + h * g.KH + k) * g.W + w * g.KW + l) * g.C.d + c] = out;
            }}
    }}
}}
"""

BYTES = {1: "typedef unsigned char B;\n", 2: "typedef unsigned short B;\n"}


@cache
def _with_winners(source: str, itemsize: int) -> str:
    """The source with B, the type of a winner's number, in front of it."""
    return BYTES[itemsize] + source


def max_pool(
    x: Array, size: Pair, stride: Pair, padding: Pair, windows: Pair
) -> tuple[Array, Array]:
    """(y, winners), both with channels last: (N, OH, OW, C). A winner has one or two bytes."""
    xp = device.module(x)
    shape = x.shape[0], *windows, x.shape[1]
    y = xp.empty(shape, x.dtype)
    winners = xp.empty(shape, "uint8" if size[0] * size[1] <= 256 else "uint16")
    source = _with_winners(MAX_POOL, winners.itemsize)
    g = x.shape, windows, size, stride, padding
    launch("max_pool", source, y, (x,), (x, y, winners), g, packs(x))
    return y, winners


def max_pool_with_tangent(
    x: Array, x_dot: Array, size: Pair, stride: Pair, padding: Pair, windows: Pair
) -> tuple[Array, Array]:
    """(y, y_dot), both (N, OH, OW, C)."""
    xp = device.module(x)
    y = xp.empty((x.shape[0], *windows, x.shape[1]), x.dtype)
    y_dot = xp.empty(y.shape, x.dtype)
    g = x.shape, windows, size, stride, padding
    arrays = x, x_dot, y, y_dot
    launch("max_pool_with_tangent", MAX_POOL_WITH_TANGENT, y, (x, x_dot), arrays, g, packs(x))
    return y, y_dot


def from_winners(x_dot: Array, winners: Array, size: Pair, stride: Pair, padding: Pair) -> Array:
    """y_dot (N, OH, OW, C), like the winners."""
    y_dot = device.module(x_dot).empty(winners.shape, x_dot.dtype)
    source = _with_winners(FROM_WINNERS, winners.itemsize)
    g = x_dot.shape, winners.shape[1:3], size, stride, padding
    launch("from_winners", source, y_dot, (x_dot,), (x_dot, y_dot, winners), g)
    return y_dot


def to_winners(
    dy: Array, winners: Array, shape: tuple[int, ...], size: Pair, stride: Pair, padding: Pair
) -> Array:
    """dx (N, H, W, C) for x of the given shape (N, C, H, W)."""
    dx = device.module(dy).empty((shape[0], *shape[2:], shape[1]), dy.dtype)
    OH, OW = windows = winners.shape[1:3]
    g = shape, windows, size, stride, padding
    if stride == size and padding == (0, 0) and (OH * size[0], OW * size[1]) == shape[2:]:
        source = _with_winners(TO_WINNERS_OF_TILES, winners.itemsize)
        V = packs(dy) if address(winners) % 16 == 0 else 1
        launch("to_winners_of_tiles", source, winners, (dy,), (dy, dx, winners), g, V)
    else:
        source = _with_winners(TO_WINNERS, winners.itemsize)
        launch("to_winners", source, dx, (dy,), (dy, dx, winners), g)
    return dx
