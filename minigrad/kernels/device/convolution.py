"""Windows of images as rows of a matrix, and back. Plain forms: kernels/windows.

    pad      rows = x with its channels last, and zeros around the image
    im2col   cols[n, i, j] = the window (i, j) of the image n
    col2im   dx[n, h, w, c] = Σ of this pixel's numbers in all windows that have it

x is (N, C, H, W), rows (N, H + .., W + .., C), cols (N, OH, OW, KH, KW, C), dx (N, H, W, C). A
thread moves 16 bytes where the channels allow it. dx is gathered, so that the order of its sums is
always the same.
"""

from __future__ import annotations

from typing import Any

from minigrad.backend import Array, array_module
from minigrad.kernels import device
from minigrad.kernels.device.layout import EACH, Pair, numbers, steps

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

# V numbers that are moved together. (H, W) is the size of the padded image, C counts packs.
PACKS = """
struct __align__(sizeof(T) * V) Pack { T v[V]; };
struct Windows { long long C, H, W, OH, OW, KH, KW, sh, sw, top, left, inner_H, inner_W; };
"""

IM2COL = f"""{PACKS}
extern "C" __global__ void im2col(const Pack* rows, Pack* cols, Windows g, long long count) {{
    int run = (int)(g.KW * g.C), length = (int)(g.KH * run);
    for (long long i = blockIdx.x * (long long)blockDim.y + threadIdx.y; i < count;
         i += (long long)gridDim.x * blockDim.y) {{
        long long column = i % g.OW, q = i / g.OW;
        long long row = q % g.OH, n = q / g.OH;
        const Pack* from = rows + ((n * g.H + row * g.sh) * g.W + column * g.sw) * g.C;
        Pack* to = cols + i * length;
        for (int r = threadIdx.x; r < length; r += blockDim.x) {{
            int k = r / run;
            to[r] = from[k * g.W * g.C + (r - k * run)];
        }}
    }}
}}
"""

COL2IM = f"""{EACH}{PACKS}
extern "C" __global__ void col2im(const Pack* dcols, Pack* dx, Windows g, long long total) {{
    EACH(i, total) {{
        long long c = i % g.C, q = i / g.C;
        long long w = q % g.inner_W + g.left;
        q /= g.inner_W;
        long long h = q % g.inner_H + g.top, n = q / g.inner_H;
        long long first_a = h < g.KH ? 0 : (h - g.KH) / g.sh + 1;
        long long first_b = w < g.KW ? 0 : (w - g.KW) / g.sw + 1;
        Pack sum;
        for (int v = 0; v < V; v++) sum.v[v] = 0;
        for (long long a = first_a; a < g.OH && a * g.sh <= h; a++)
            for (long long b = first_b; b < g.OW && b * g.sw <= w; b++) {{
                long long k = h - a * g.sh, l = w - b * g.sw;
                long long window = (n * g.OH + a) * g.OW + b;
                Pack part = dcols[((window * g.KH + k) * g.KW + l) * g.C + c];
                for (int v = 0; v < V; v++) sum.v[v] += part.v[v];
            }}
        dx[i] = sum;
    }}
}}
"""

PACKED = {
    (name, V): f"#define V {V}\n{source}"
    for V in (1, 2, 4)
    for name, source in (("im2col", IM2COL), ("col2im", COL2IM))
}


def pad(x: Array, edges: tuple[Pair, Pair]) -> Array:
    """rows (N, above + H + below, left + W + right, C)."""
    N, C, H, W = x.shape
    (above, below), (left, right) = edges
    size = above + H + below, left + W + right
    rows = array_module(x).empty((N, *size, C), x.dtype)
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
    cols = array_module(rows).empty((count, length), rows.dtype)
    if cols.size:
        V = _together(rows)
        g = numbers(C // V, H, W, *size, *kernel, *stride, 0, 0, 0, 0)
        across = min(32, 1 << (length // V - 1).bit_length())
        down = device.THREADS // across
        run = device.kernel("im2col", PACKED["im2col", V], rows)
        run(device.blocks(count, down), (across, down), (rows, cols, g, count))
    return cols


def col2im(
    dcols: Array,
    shape: tuple[int, ...],
    kernel: Pair,
    stride: Pair,
    size: Pair,
    edges: Any,
    dx: Array,
) -> None:
    """dx (N, H, W, C), without the edges, from dcols (N·OH·OW, KH·KW·C); shape: with the edges."""
    N, H, W, C = dx.shape
    if dx.size:
        (above, _), (left, _) = edges
        V = _together(dx)
        g = numbers(C // V, *shape[1:3], *size, *kernel, *stride, above, left, H, W)
        count = dx.size // V
        run = device.kernel("col2im", PACKED["col2im", V], dx)
        run(device.blocks(count), (device.THREADS,), (dcols, dx, g, count))


def _together(rows: Array) -> int:
    """How many numbers of neighbouring channels fit 16 bytes, if they fill them; else 1."""
    V = 16 // rows.itemsize
    return V if rows.shape[3] % V == 0 else 1
