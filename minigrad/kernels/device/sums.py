"""Rows: adding one row to all, and sums over all rows. Plain forms: kernels/products.

    add_row       y += b                           y (N, M), b (M,)
    add_terms     y += more + b                    more (N, M)
    column_sums   s[m] = Σ_n x[n, m]               one launch for few rows, two for many
    total         Σ x in double precision          one number

Sums are taken in double precision. Their order depends on the shape alone.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from minigrad.backend import Array, Tangent
from minigrad.kernels import device
from minigrad.kernels.device.layout import (
    COLUMN_TOTAL,
    EACH_PLACE,
    NARROW_REACH,
    PACK,
    dense,
    divisor,
    indexed,
    numbers,
    packed,
    steps,
    together,
)

AT_ONCE = 1024  # rows that one block adds up. More rows are shared by several blocks
PART = 256  # the fewest rows of a part
MOST_PARTS = 1024
THREADS = 256  # of a block

# M counts packs of neighbouring numbers.
ADD_ROW = f"""{EACH_PLACE}{PACK}
struct Row {{ Divisor M; I with_b; }};
extern "C" __global__ void add_row(Pack* y, const Pack* b, Row g, I n) {{
    EACH_PLACE(i, n) {{
        Pack v = y[i], row = b[i - over(i, g.M) * g.M.d];
        for (int k = 0; k < V; k++) v.v[k] += row.v[k];
        y[i] = v;
    }}
}}
"""

ADD_TERMS = f"""{EACH_PLACE}{PACK}
struct Row {{ Divisor M; I with_b; }};
extern "C" __global__ void add_terms(Pack* y, const Pack* more, const Pack* b, Row g, I n) {{
    EACH_PLACE(i, n) {{
        Pack v = y[i], term = more[i];
        for (int k = 0; k < V; k++) v.v[k] += term.v[k];
        if (g.with_b) {{
            Pack row = b[i - over(i, g.M) * g.M.d];
            for (int k = 0; k < V; k++) v.v[k] += row.v[k];
        }}
        y[i] = v;
    }}
}}
"""

# blockIdx.y is the part of the rows: part p has the rows p·length ... (p + 1)·length
COLUMN_SUMS = f"""{COLUMN_TOTAL}
template <typename In, typename Out> __device__ void sums(
    const In* x, Out* s, long long N, long long M, long long down, long long across,
    long long length
) {{
    __shared__ double shared[{THREADS}];
    long long m = blockIdx.x * (long long)blockDim.x + threadIdx.x;
    long long end = (blockIdx.y + 1) * length;
    double v = 0;
    if (m < M) {{
        #pragma unroll 4
        for (long long n = blockIdx.y * length + threadIdx.y; n < N && n < end; n += blockDim.y)
            v += x[n * down + m * across];
    }}
    v = column_total(v, shared);
    if (m < M && threadIdx.y == 0) s[blockIdx.y * M + m] = v;
}}
extern "C" __global__ void column_sums(
    const T* x, T* s, long long N, long long M, long long down, long long across, long long length
) {{ sums(x, s, N, M, down, across, length); }}
extern "C" __global__ void partial_sums(
    const T* x, double* s, long long N, long long M, long long down, long long across,
    long long length
) {{ sums(x, s, N, M, down, across, length); }}
extern "C" __global__ void final_sums(
    const double* x, T* s, long long N, long long M, long long down, long long across,
    long long length
) {{ sums(x, s, N, M, down, across, length); }}
"""

TOTAL = """
extern "C" __global__ void total(const T* x, double* sum, long long n) {
    __shared__ double shared[1024];
    int me = threadIdx.x;
    double v = 0;
    for (long long i = me; i < n; i += blockDim.x) v += x[i];
    shared[me] = v;
    __syncthreads();
    for (int half = blockDim.x / 2; half > 0; half /= 2) {
        if (me < half) shared[me] += shared[me + half];
        __syncthreads();
    }
    if (me == 0) sum[0] = shared[0];
}
"""


def add_row(y: Array, b: Array) -> None:
    """y += b, in place, for a C-contiguous y (..., M)."""
    if y.size:
        b = dense(b)
        V, wide, row, n = _rows(y.size, y.shape[-1], together(y.shape[-1], y, b), False)
        run = device.kernel("add_row", indexed(packed(ADD_ROW, V), wide), y)
        run(device.blocks(y.size // V), (device.THREADS,), (y, b, row, n))


def add_terms(y: Array, more: Array, b: Tangent) -> None:
    """y += more + b, in place, for C-contiguous y and more (N, M). b: (M,) or None."""
    if y.size:
        added = y if b is None else dense(b)
        V = together(y.shape[-1], y, more, added)
        V, wide, row, n = _rows(y.size, y.shape[-1], V, b is not None)
        run = device.kernel("add_terms", indexed(packed(ADD_TERMS, V), wide), y)
        run(device.blocks(y.size // V), (device.THREADS,), (y, more, added, row, n))


@lru_cache(maxsize=4096)
def _rows(size: int, M: int, V: int, with_b: bool) -> tuple[int, bool, Any, Any]:
    """(V, whether places need 64 bits, the struct Row, the number of packs)."""
    wide = size > NARROW_REACH
    row = numbers(*divisor(M // V), int(with_b), wide=wide)
    return V, wide, row, size // V if wide else np.int32(size // V)


def column_sums(x: Array) -> Array:
    """Σ of the rows of x (N, M), with any strides."""
    xp = device.module(x)
    N, M = x.shape
    s = xp.empty(M, x.dtype)
    if M == 0:
        return s
    few = _across(M, 16, 8)
    if N <= AT_ONCE:
        run = device.kernel("column_sums", COLUMN_SUMS, x)
        run(*_columns(M, few), (x, s, N, M, *steps(x), max(N, 1)))
        return s
    length = max(PART, -(-N // MOST_PARTS))
    count = -(-N // length)
    parts = xp.empty((count, M), "float64")
    run = device.kernel("partial_sums", COLUMN_SUMS, x)
    run(*_columns(M, _across(M, 64, 32), count), (x, parts, N, M, *steps(x), length))
    run = device.kernel("final_sums", COLUMN_SUMS, x)
    run(*_columns(M, few), (parts, s, count, M, M, 1, count))
    return s


def _across(M: int, narrow: int, columns: int) -> int:
    """How many columns a block has: all M, if there are at most `narrow`."""
    return M if narrow >= M else columns


def _columns(M: int, across: int, parts: int = 1) -> tuple[tuple[int, int], tuple[int, int]]:
    """(blocks, threads)."""
    return (-(-M // across), parts), (across, THREADS // across)


def total(x: Array) -> Array:
    """Σ x in double precision, an array () on the device."""
    x = dense(x)
    result = device.module(x).empty((), "float64")
    device.kernel("total", TOTAL, x)((1,), (1024,), (x, result, x.size))
    return result
