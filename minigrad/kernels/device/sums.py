"""Rows: adding one row to all, and sums over all rows. Plain forms: kernels/products.

    add_row       y += b                           y (N, M), b (M,)
    add_terms     y += more + b                    more (N, M)
    column_sums   s[m] = Σ_n x[n, m]               one launch for few rows, two for many
    total         Σ x in double precision          one number

Sums are taken in double precision. Their order depends on the shape alone.
"""

from __future__ import annotations

from minigrad.backend import Array, Tangent, array_module
from minigrad.kernels import device
from minigrad.kernels.device.layout import COLUMN_TOTAL, EACH, dense, steps

AT_ONCE = 1024  # rows that one block adds up. More rows are shared by several blocks
MOST_PARTS = 256
ACROSS, DOWN = 16, 16  # threads of a block: columns, and rows at a time

ADD_ROW = f"""{EACH}
extern "C" __global__ void add_row(T* y, const T* b, long long M, long long n) {{
    EACH(i, n) y[i] += b[i % M];
}}
"""

ADD_TERMS = f"""{EACH}
extern "C" __global__ void add_terms(
    T* y, const T* more, const T* b, long long with_b, long long M, long long n
) {{
    EACH(i, n) {{
        T v = y[i] + more[i];
        y[i] = with_b ? v + b[i % M] : v;
    }}
}}
"""

# blockIdx.y is the part of the rows: part p has the rows p·length ... (p + 1)·length
COLUMN_SUMS = f"""{COLUMN_TOTAL}
template <typename In, typename Out> __device__ void sums(
    const In* x, Out* s, long long N, long long M, long long down, long long across,
    long long length
) {{
    __shared__ double shared[{ACROSS * DOWN}];
    long long m = blockIdx.x * (long long)blockDim.x + threadIdx.x;
    long long end = (blockIdx.y + 1) * length;
    double v = 0;
    if (m < M)
        for (long long n = blockIdx.y * length + threadIdx.y; n < N && n < end; n += blockDim.y)
            v += x[n * down + m * across];
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
    """y += b, in place, for a C-contiguous y (N, M)."""
    if y.size:
        run = device.kernel("add_row", ADD_ROW, y)
        run(device.blocks(y.size), (device.THREADS,), (y, dense(b), y.shape[-1], y.size))


def add_terms(y: Array, more: Array, b: Tangent) -> None:
    """y += more + b, in place, for C-contiguous y and more (N, M). b: (M,) or None."""
    if y.size:
        row = y if b is None else dense(b)
        run = device.kernel("add_terms", ADD_TERMS, y)
        arguments = (y, more, row, int(b is not None), y.shape[-1], y.size)
        run(device.blocks(y.size), (device.THREADS,), arguments)


def column_sums(x: Array) -> Array:
    """Σ of the rows of x (N, M), with any strides."""
    xp = array_module(x)
    N, M = x.shape
    s = xp.empty(M, x.dtype)
    if M == 0:
        return s
    across = -(-M // ACROSS)
    threads = (ACROSS, DOWN)
    count = 1 if N <= AT_ONCE else min(MOST_PARTS, -(-N // AT_ONCE) * 4)
    if count == 1:
        run = device.kernel("column_sums", COLUMN_SUMS, x)
        run((across, 1), threads, (x, s, N, M, *steps(x), max(N, 1)))
        return s
    length = -(-N // count)
    parts = xp.empty((count, M), "float64")
    run = device.kernel("partial_sums", COLUMN_SUMS, x)
    run((across, count), threads, (x, parts, N, M, *steps(x), length))
    run = device.kernel("final_sums", COLUMN_SUMS, x)
    run((across, 1), threads, (parts, s, count, M, M, 1, count))
    return s


def total(x: Array) -> Array:
    """Σ x in double precision, an array () on the device."""
    x = dense(x)
    result = array_module(x).empty((), "float64")
    device.kernel("total", TOTAL, x)((1,), (1024,), (x, result, x.size))
    return result
