"""Windows of images as rows of a matrix, and back. Plain forms: kernels/windows.

    pad      rows = x with its channels last, and zeros around the image
    im2col   cols[n, i, j] = the window (i, j) of the image n
    col2im   dx[n, h, w, c] = Σ of this pixel's numbers in all windows that have it

x is (N, C, H, W), rows (N, H + .., W + .., C), cols (N, OH, OW, KH, KW, C), dx (N, H, W, C). A
thread moves 16 bytes where the channels allow it. dx is gathered, so that the order of its sums is
always the same.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from minigrad.backend import Array
from minigrad.kernels import device
from minigrad.kernels.device.layout import (
    EACH,
    EACH_PLACE,
    NARROW_REACH,
    PACK,
    Pair,
    divisor,
    indexed,
    numbers,
    packed,
    steps,
    together,
)

PAD = f"""{EACH}
struct Image {{ long long n, c, h, w, C, H, W, top, left, all_H, all_W; }};
extern "C" __global__ void pad(const T* x, T* rows, Image g, long long total) {{
    EACH(i, total) {{
        long long c = i % g.C, q = i / g.C;
        long long w = q % g.all_W - g.left;
        q /= g.all_W;
        long long h = q % g.all_H - g.top;
        bool inside = 0 <= h && h < g.H && 0 <= w && w < g.W;
        rows[i] = inside ? x[q / g.all_H * g.n + c * g.c + h * g.h + w * g.w] : (T)0;
    }}
}}
"""

# C counts packs of channels.
IM2COL = f"""{PACK}
// (H, W): size of the padded image. A window has `length` packs, its rows have `run` packs.
struct Windows {{ I C, H, W, sh, sw, length; Divisor OH, OW, run; }};
extern "C" __global__ void im2col(const Pack* rows, Pack* cols, Windows g, I count) {{
    I step = (I)gridDim.x * blockDim.y;
    for (I i = (I)blockIdx.x * blockDim.y + threadIdx.y; i < count; i += step) {{
        I q = over(i, g.OW), column = i - q * g.OW.d;
        I n = over(q, g.OH), row = q - n * g.OH.d;
        const Pack* from = rows + ((n * g.H + row * g.sh) * g.W + column * g.sw) * g.C;
        Pack* to = cols + i * g.length;
        #pragma unroll 4
        for (I r = threadIdx.x; r < g.length; r += blockDim.x) {{
            I k = over(r, g.run);
            to[r] = from[k * g.W * g.C + (r - k * g.run.d)];
        }}
    }}
}}
"""

COL2IM = f"""{EACH_PLACE}{PACK}
// (top, left): the place of the image in the padded image
struct Windows {{ I OH, OW, KH, KW, top, left; Divisor C, H, W, sh, sw; }};
extern "C" __global__ void col2im(const Pack* dcols, Pack* dx, Windows g, I total) {{
    EACH_PLACE(i, total) {{
        I q = over(i, g.C), c = i - q * g.C.d;
        I row = over(q, g.W), w = q - row * g.W.d + g.left;
        I n = over(row, g.H), h = row - n * g.H.d + g.top;
        // The windows (a, b) that have the pixel (h, w)
        I first_a = h < g.KH ? 0 : over(h - g.KH, g.sh) + 1, last_a = over(h, g.sh);
        I first_b = w < g.KW ? 0 : over(w - g.KW, g.sw) + 1, last_b = over(w, g.sw);
        Pack sum;
        for (int v = 0; v < V; v++) sum.v[v] = 0;
        for (I a = first_a; a <= last_a && a < g.OH; a++)
            for (I b = first_b; b <= last_b && b < g.OW; b++) {{
                I k = h - a * g.sh.d, l = w - b * g.sw.d;
                I window = (n * g.OH + a) * g.OW + b;
                Pack part = dcols[((window * g.KH + k) * g.KW + l) * g.C.d + c];
                for (int v = 0; v < V; v++) sum.v[v] += part.v[v];
            }}
        dx[i] = sum;
    }}
}}
"""


def pad(x: Array, edges: tuple[Pair, Pair]) -> Array:
    """rows (N, above + H + below, left + W + right, C)."""
    N, C, H, W = x.shape
    (above, below), (left, right) = edges
    size = above + H + below, left + W + right
    rows = device.module(x).empty((N, *size, C), x.dtype)
    if rows.size:
        g = numbers(*steps(x), C, H, W, above, left, *size)
        run = device.kernel("pad", PAD, x)
        run(device.blocks(rows.size), (device.THREADS,), (x, rows, g, rows.size))
    return rows


def im2col(rows: Array, kernel: Pair, stride: Pair, size: Pair) -> Array:
    """cols (N·OH·OW, KH·KW·C) for C-contiguous rows (N, H, W, C) and (OH, OW) = size."""
    N, H, W, C = rows.shape
    count = N * size[0] * size[1]
    length = kernel[0] * kernel[1] * C
    cols = device.module(rows).empty((count, length), rows.dtype)
    if cols.size:
        V = together(C, rows)
        wide = max(rows.size, cols.size) > NARROW_REACH
        g = _windows_of_rows((C // V, H, W), kernel, stride, size, wide)
        across = min(32, 1 << (length // V - 1).bit_length())
        down = device.THREADS // across
        run = device.kernel("im2col", indexed(packed(IM2COL, V), wide), rows)
        last = count if wide else np.int32(count)
        run(device.blocks(count, down), (across, down), (rows, cols, g, last))
    return cols


@lru_cache(maxsize=4096)
def _windows_of_rows(
    rows: tuple[int, int, int], kernel: Pair, stride: Pair, size: Pair, wide: bool
) -> Any:
    """The struct Windows of im2col. rows: (C, H, W), where C counts packs."""
    run = kernel[1] * rows[0]
    divisors = (number for d in (*size, run) for number in divisor(d))
    return numbers(*rows, *stride, kernel[0] * run, *divisors, wide=wide)


def col2im(dcols: Array, kernel: Pair, stride: Pair, size: Pair, edges: Any, dx: Array) -> None:
    """dx (N, H, W, C), without the edges, from dcols (N·OH·OW, KH·KW·C) and (OH, OW) = size."""
    _, H, W, C = dx.shape
    if dx.size:
        V = together(C, dcols, dx)
        wide = max(dcols.size, dx.size) > NARROW_REACH
        g = _windows_of_image((C // V, H, W), kernel, stride, size, edges, wide)
        count = dx.size // V
        run = device.kernel("col2im", indexed(packed(COL2IM, V), wide), dx)
        last = count if wide else np.int32(count)
        run(device.blocks(count), (device.THREADS,), (dcols, dx, g, last))


@lru_cache(maxsize=4096)
def _windows_of_image(
    image: tuple[int, int, int], kernel: Pair, stride: Pair, size: Pair, edges: Any, wide: bool
) -> Any:
    """The struct Windows of col2im. image: (C, H, W), where C counts packs."""
    (above, _), (left, _) = edges
    divisors = (number for d in (*image, *stride) for number in divisor(d))
    return numbers(*size, *kernel, above, left, *divisors, wide=wide)
