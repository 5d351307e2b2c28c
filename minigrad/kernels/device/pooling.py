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

from minigrad.backend import Array, array_module
from minigrad.kernels import device
from minigrad.kernels.device.layout import EACH, Pair, numbers, steps

GEOMETRY = f"""{EACH}
// Strides of an image batch, counted in numbers.
struct Steps {{ long long n, c, h, w; }};
// (H, W): size of the image. Window (i, j) has KH x KW pixels from (i·sh - ph, j·sw - pw) on.
struct Windows {{ long long C, H, W, OH, OW, KH, KW, sh, sw, ph, pw; }};
// Number i of an array with channels last, (N, h, w, C).
#define PLACE(i, h_, w_) \\
    long long c = i % g.C, w = i / g.C % (w_), h = i / (g.C * (w_)) % (h_), \\
              n = i / (g.C * (w_) * (h_));
#define FIRST(i, s, p) ((i) * (s) - (p))
// The windows that have the pixel x: first ... last
#define FIRST_WINDOW(x, K, s, p) ((x) + (p) < (K) ? 0 : ((x) + (p) - (K)) / (s) + 1)
#define LAST_WINDOW(x, s, p, O) (((x) + (p)) / (s) < (O) ? ((x) + (p)) / (s) : (O) - 1)
"""

# In the loop over a window: `at` is the pixel's place in x, `number` its number in the window.
OVER_WINDOW = """
    long long top = FIRST(h, g.sh, g.ph), left = FIRST(w, g.sw, g.pw);
    for (long long k = top < 0 ? -top : 0; k < g.KH && top + k < g.H; k++)
        for (long long l = left < 0 ? -left : 0; l < g.KW && left + l < g.W; l++) {
            long long at = n * x.n + c * x.c + (top + k) * x.h + (left + l) * x.w;
            long long number = k * g.KW + l;
"""

FIND = f"""
    T best = 0;
    long long winner = -1;
    {OVER_WINDOW}
        T v = pixels[at];
        if (winner < 0 || v > best || v != v) {{ best = v; winner = number; }}
    }}
"""

MAX_POOL = f"""{GEOMETRY}
extern "C" __global__ void max_pool(
    const T* pixels, T* y, B* winners, Steps x, Windows g, long long total
) {{
    EACH(i, total) {{
        PLACE(i, g.OH, g.OW)
        {FIND}
        y[i] = best;
        winners[i] = (B)winner;
    }}
}}
"""

MAX_POOL_WITH_TANGENT = f"""{GEOMETRY}
extern "C" __global__ void max_pool_with_tangent(
    const T* pixels, const T* tangents, T* y, T* y_dot, Steps x, Steps x_dot, Windows g,
    long long total
) {{
    EACH(i, total) {{
        PLACE(i, g.OH, g.OW)
        {FIND}
        long long row = top + winner / g.KW, column = left + winner % g.KW;
        y[i] = best;
        y_dot[i] = tangents[n * x_dot.n + c * x_dot.c + row * x_dot.h + column * x_dot.w];
    }}
}}
"""

FROM_WINNERS = f"""{GEOMETRY}
extern "C" __global__ void from_winners(
    const T* tangents, T* y_dot, const B* winners, Steps x, Windows g, long long total
) {{
    EACH(i, total) {{
        PLACE(i, g.OH, g.OW)
        long long row = FIRST(h, g.sh, g.ph) + winners[i] / g.KW;
        long long column = FIRST(w, g.sw, g.pw) + winners[i] % g.KW;
        y_dot[i] = tangents[n * x.n + c * x.c + row * x.h + column * x.w];
    }}
}}
"""

# In the loop over the windows (a, b) that have pixel (h, w): `at` is the window's place in dy.
OVER_WINDOWS = """
    T sum = 0;
    long long end_a = LAST_WINDOW(h, g.sh, g.ph, g.OH), end_b = LAST_WINDOW(w, g.sw, g.pw, g.OW);
    for (long long a = FIRST_WINDOW(h, g.KH, g.sh, g.ph); a <= end_a; a++)
        for (long long b = FIRST_WINDOW(w, g.KW, g.sw, g.pw); b <= end_b; b++) {
            long long at = n * y.n + c * y.c + a * y.h + b * y.w;
"""

TO_WINNERS = f"""{GEOMETRY}
extern "C" __global__ void to_winners(
    const T* dy, T* dx, const B* winners, Steps y, Windows g, long long total
) {{
    EACH(i, total) {{
        PLACE(i, g.H, g.W)
        {OVER_WINDOWS}
            long long k = h - FIRST(a, g.sh, g.ph), l = w - FIRST(b, g.sw, g.pw);
            long long winner = winners[((n * g.OH + a) * g.OW + b) * g.C + c];
            if (winner == k * g.KW + l) sum += dy[at];
        }}
        dx[i] = sum;
    }}
}}
"""

WINDOW_SUMS = f"""{GEOMETRY}
extern "C" __global__ void window_sums(
    const T* pixels, T* y, Steps x, Windows g, long long total
) {{
    EACH(i, total) {{
        PLACE(i, g.OH, g.OW)
        T sum = 0;
        {OVER_WINDOW}
            (void)number;
            sum += pixels[at];
        }}
        y[i] = sum;
    }}
}}
"""

SPREAD = f"""{GEOMETRY}
extern "C" __global__ void spread(const T* dy, T* dx, Steps y, Windows g, long long total) {{
    EACH(i, total) {{
        PLACE(i, g.H, g.W)
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
    shape = _last(x.shape, windows)
    y = xp.empty(shape, x.dtype)
    winners = xp.empty(shape, "uint8" if size[0] * size[1] <= 256 else "uint16")
    g = _windows(x.shape, size, stride, padding, windows)
    source = WITH_WINNERS["max_pool", winners.itemsize]
    _run("max_pool", source, y, x, y, winners, numbers(*steps(x)), g)
    return y, winners


def max_pool_with_tangent(
    x: Array, x_dot: Array, size: Pair, stride: Pair, padding: Pair, windows: Pair
) -> tuple[Array, Array]:
    """(y, y_dot), both (N, OH, OW, C)."""
    y = array_module(x, x_dot).empty(_last(x.shape, windows), x.dtype)
    y_dot = array_module(x, x_dot).empty(y.shape, x.dtype)
    g = _windows(x.shape, size, stride, padding, windows)
    places = numbers(*steps(x)), numbers(*steps(x_dot))
    _run("max_pool_with_tangent", MAX_POOL_WITH_TANGENT, y, x, x_dot, y, y_dot, *places, g)
    return y, y_dot


def from_winners(x_dot: Array, winners: Array, size: Pair, stride: Pair, padding: Pair) -> Array:
    """y_dot (N, OH, OW, C), like the winners."""
    y_dot = array_module(x_dot, winners).empty(winners.shape, x_dot.dtype)
    g = _windows(x_dot.shape, size, stride, padding, winners.shape[1:3])
    source = WITH_WINNERS["from_winners", winners.itemsize]
    _run("from_winners", source, y_dot, x_dot, y_dot, winners, numbers(*steps(x_dot)), g)
    return y_dot


def to_winners(
    dy: Array, winners: Array, shape: tuple[int, ...], size: Pair, stride: Pair, padding: Pair
) -> Array:
    """dx (N, H, W, C) for x of the given shape (N, C, H, W)."""
    dx = array_module(dy, winners).empty(_last(shape, shape[2:]), dy.dtype)
    g = _windows(shape, size, stride, padding, winners.shape[1:3])
    source = WITH_WINNERS["to_winners", winners.itemsize]
    _run("to_winners", source, dx, dy, dx, winners, numbers(*steps(dy)), g)
    return dx


def window_sums(x: Array, size: Pair, stride: Pair, padding: Pair, windows: Pair) -> Array:
    """y (N, OH, OW, C)."""
    y = array_module(x).empty(_last(x.shape, windows), x.dtype)
    g = _windows(x.shape, size, stride, padding, windows)
    _run("window_sums", WINDOW_SUMS, y, x, y, numbers(*steps(x)), g)
    return y


def spread_over_windows(
    dy: Array, shape: tuple[int, ...], size: Pair, stride: Pair, padding: Pair
) -> Array:
    """dx (N, H, W, C) for x of the given shape (N, C, H, W)."""
    dx = array_module(dy).empty(_last(shape, shape[2:]), dy.dtype)
    g = _windows(shape, size, stride, padding, dy.shape[2:])
    _run("spread", SPREAD, dx, dy, dx, numbers(*steps(dy)), g)
    return dx


def _last(shape: tuple[int, ...], size: tuple[int, ...]) -> tuple[int, ...]:
    return shape[0], *size, shape[1]


def _windows(
    shape: tuple[int, ...], size: Pair, stride: Pair, padding: Pair, windows: Pair
) -> object:
    return numbers(*shape[1:], *windows, *size, *stride, *padding)


def _run(name: str, source: str, result: Array, *arguments: object) -> None:
    """One launch with a thread for each number of the result."""
    n = result.size
    if n:
        run = device.kernel(name, source, result)
        run(device.blocks(n), (device.THREADS,), (*arguments, n))
