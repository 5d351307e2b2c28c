"""Losses with their softmax or logarithms, one launch each way. Plain forms: kernels/losses.

    cross_entropy            p = softmax(z), L_n = -ln p[n, t_n]. NaN if t_n is no class
    cross_entropy_gradient   dz = (p - onehot(t)) / N
    cross_entropy_tangent    L_n_dot = Σ_c p[n, c] z_dot[n, c] - z_dot[n, t_n]
    pick                     x[n, t_n], NaN if t_n is no class
    binary_cross_entropy     f = -(t ln p + (1 - t) ln(1 - p)), element by element
    binary_slope             (p - t) / (p (1 - p)) / n

z, p, z_dot, dz, x are (N, C), t (N,) has integers. 32 threads work on a row. In the last two, p
and t have one shape.
"""

from __future__ import annotations

from minigrad.backend import Array
from minigrad.kernels import device
from minigrad.kernels.device.elementwise import Elementwise
from minigrad.kernels.device.layout import EACH, dense, in_order_of, steps

ROWS = 8  # of a block

ROW_TOOLS = """
#define EVERY 0xffffffffu
#define FOR_ROWS(n, N) \\
    for (long long n = blockIdx.x * (long long)blockDim.y + threadIdx.y; n < (N); \\
         n += (long long)gridDim.x * blockDim.y)
__device__ T row_total(T v) {
    for (int m = 16; m > 0; m /= 2) v += __shfl_xor_sync(EVERY, v, m);
    return v;
}
"""

CROSS_ENTROPY = f"""{ROW_TOOLS}
extern "C" __global__ void cross_entropy(
    const T* z, long long down, long long across, const L* t, T* p, T* loss, long long N,
    long long C
) {{
    FOR_ROWS(n, N) {{
        const T* row = z + n * down;
        T most = row[0];  // the largest z, NaN if there is one
        for (long long c = threadIdx.x; c < C; c += 32) {{
            T v = row[c * across];
            if (v > most || v != v) most = v;
        }}
        for (int m = 16; m > 0; m /= 2) {{
            T other = __shfl_xor_sync(EVERY, most, m);
            if (other > most || other != other) most = other;
        }}
        T sum = 0;
        for (long long c = threadIdx.x; c < C; c += 32) sum += exp(row[c * across] - most);
        sum = row_total(sum);
        for (long long c = threadIdx.x; c < C; c += 32)
            p[n * C + c] = exp(row[c * across] - most) / sum;
        if (threadIdx.x == 0) {{
            long long label = t[n];
            bool inside = 0 <= label && label < C;
            loss[n] = inside ? log(sum) - (row[label * across] - most) : (T)nan("");
        }}
    }}
}}
"""

CROSS_ENTROPY_GRADIENT = f"""{EACH}
extern "C" __global__ void cross_entropy_gradient(
    const T* p, const L* t, T* dz, long long N, long long C
) {{
    EACH(i, N * C) {{
        long long n = i / C;
        T v = p[i] / (T)N;
        dz[i] = i - n * C == (long long)t[n] ? v - (T)(1.0 / N) : v;
    }}
}}
"""

CROSS_ENTROPY_TANGENT = f"""{ROW_TOOLS}
extern "C" __global__ void cross_entropy_tangent(
    const T* p, const L* t, const T* z_dot, long long down, long long across, T* out,
    long long N, long long C
) {{
    FOR_ROWS(n, N) {{
        const T* row = z_dot + n * down;
        T sum = 0;
        for (long long c = threadIdx.x; c < C; c += 32) sum += p[n * C + c] * row[c * across];
        sum = row_total(sum);
        if (threadIdx.x == 0) {{
            long long label = t[n];
            bool inside = 0 <= label && label < C;
            out[n] = inside ? sum - row[label * across] : (T)nan("");
        }}
    }}
}}
"""

BINARY_CROSS_ENTROPY = Elementwise(
    "binary_cross_entropy",
    "T p, T t",
    "T f",
    """T log_p = log(p), log_q = log(1 - p);
    if (log_p < -100) log_p = -100;
    if (log_q < -100) log_q = -100;
    f = 0 <= t && t <= 1 ? -(t * log_p + (1 - t) * log_q) : (T)nan("");""",
)
BINARY_SLOPE = Elementwise(
    "binary_slope",
    "T p, T t",
    "T dp",
    """T variance = p * (1 - p);
    if (variance < (T)1e-12) variance = (T)1e-12;
    dp = (p - t) / (variance * (T)divisor);""",
    "double divisor",
)

PICK = f"""{EACH}
extern "C" __global__ void pick(
    const T* x, long long down, long long across, const L* t, T* out, long long N, long long C
) {{
    EACH(n, N) {{
        long long label = t[n];
        bool inside = 0 <= label && label < C;
        out[n] = inside ? x[n * down + label * across] : (T)nan("");
    }}
}}
"""

LABELS = {"i": "typedef int L;", "l": "typedef long long L;", "q": "typedef long long L;"}
SOURCES = {
    (name, char): f"{label}\n{source}"
    for char, label in LABELS.items()
    for name, source in (
        ("cross_entropy", CROSS_ENTROPY),
        ("cross_entropy_gradient", CROSS_ENTROPY_GRADIENT),
        ("cross_entropy_tangent", CROSS_ENTROPY_TANGENT),
        ("pick", PICK),
    )
}


def cross_entropy(z: Array, target: Array) -> tuple[Array, Array]:
    """(L_n, p)."""
    xp = device.module(z)
    N, C = z.shape
    p = xp.empty((N, C), z.dtype)
    losses = xp.empty(N, z.dtype)
    target = _labels(target)
    _rows("cross_entropy", z, N, target, (z, *steps(z), target, p, losses, N, C))
    return losses, p


def cross_entropy_gradient(p: Array, target: Array) -> Array:
    xp = device.module(p)
    p = xp.ascontiguousarray(p)
    N, C = p.shape
    dz = xp.empty((N, C), p.dtype)
    if not p.size:
        return dz
    target = _labels(target)
    run = device.kernel(*_source("cross_entropy_gradient", target), p)
    run(device.blocks(p.size), (device.THREADS,), (p, target, dz, N, C))
    return dz


def cross_entropy_tangent(p: Array, target: Array, z_dot: Array) -> Array:
    xp = device.module(p)
    p = xp.ascontiguousarray(p)
    N, C = p.shape
    result = xp.empty(N, p.dtype)
    target = _labels(target)
    arguments = (p, target, z_dot, *steps(z_dot), result, N, C)
    _rows("cross_entropy_tangent", p, N, target, arguments)
    return result


def pick(x: Array, target: Array) -> Array:
    N, C = x.shape
    result = device.module(x).empty(N, x.dtype)
    target = _labels(target)
    run = device.kernel(*_source("pick", target), x)
    run(device.blocks(N), (device.THREADS,), (x, *steps(x), target, result, N, C))
    return result


def binary_cross_entropy(p: Array, target: Array) -> Array:
    p = dense(p)
    f = device.module(p).empty_like(p)
    BINARY_CROSS_ENTROPY((p, in_order_of(p, target)), (f,))
    return f


def binary_slope(p: Array, target: Array, divisor: int) -> Array:
    p = dense(p)
    dp = device.module(p).empty_like(p)
    BINARY_SLOPE((p, in_order_of(p, target)), (dp,), float(divisor))
    return dp


def _labels(target: Array) -> Array:
    """The labels as int32 or int64 without gaps in memory."""
    return dense(target if target.dtype.char in LABELS else target.astype("int64"))


def _source(name: str, target: Array) -> tuple[str, str]:
    return name, SOURCES[name, target.dtype.char]


def _rows(name: str, like: Array, N: int, target: Array, arguments: tuple[object, ...]) -> None:
    run = device.kernel(*_source(name, target), like)
    run(device.blocks(N, ROWS), (32, ROWS), arguments)
