"""The derivative of normalisation. Plain forms: kernels/normalization.

    tangent    γ/s P(x_dot) + γ_dot x̂ + β_dot
    project    s = Σ v, t = Σ v x̂, and scale (v - s/R - x̂ t/R), scale = γ/s

One launch for few rows. For many rows three: sums of parts, their sums, the result. v and x̂ are
(R, D) with any strides, all others (D,). Sums are in double precision.
"""

from __future__ import annotations

from minigrad.backend import Array, Tangent
from minigrad.kernels import device
from minigrad.kernels.device.columns import (
    BETA,
    FEW,
    GAMMA,
    HEAD,
    THREADS,
    Y,
    columns,
    cut,
    either,
)
from minigrad.kernels.device.layout import EACH, dense, numbers, steps

PROJECT = f"""{HEAD}
extern "C" __global__ void project(
    const T* v, const T* x_hat, T* out, T* sums, T* products, const T* gamma, const T* inv_std,
    long long options, Steps s, long long R, long long D
) {{
    __shared__ double shared[{THREADS}];
    long long d = COLUMN;
    bool here = d < D;
    double sum = 0, product = 0;
    if (here) ROWS(r, 0, R) {{
        double one = v[r * s.x0 + d * s.x1];
        sum += one;
        product += one * x_hat[r * s.y0 + d * s.y1];
    }}
    sum = column_total(sum, shared);
    product = column_total(product, shared);
    if (!here) return;
    if (threadIdx.y == 0) {{ sums[d] = (T)sum; products[d] = (T)product; }}
    T scale = options & GAMMA ? gamma[d] * inv_std[d] : inv_std[d];
    T a = (T)(sum / R), b = (T)(product / R);
    ROWS(r, 0, R) {{
        T off = v[r * s.x0 + d * s.x1] - x_hat[r * s.y0 + d * s.y1] * b - a;
        out[r * s.y0 + d * s.y1] = off * scale;
    }}
}}
"""

PARTS_OF_SUMS = f"""{HEAD}
extern "C" __global__ void parts_of_sums(
    const T* v, const T* x_hat, double* sums, double* products, Steps s, long long R, long long D,
    long long length
) {{
    __shared__ double shared[{THREADS}];
    long long d = COLUMN, first = blockIdx.y * length;
    long long end = first + length < R ? first + length : R;
    double sum = 0, product = 0;
    if (d < D) ROWS(r, first, end) {{
        double one = v[r * s.x0 + d * s.x1];
        sum += one;
        product += one * x_hat[r * s.y0 + d * s.y1];
    }}
    sum = column_total(sum, shared);
    product = column_total(product, shared);
    if (d < D && threadIdx.y == 0) {{
        sums[blockIdx.y * D + d] = sum;
        products[blockIdx.y * D + d] = product;
    }}
}}
"""

ADD_PARTS = f"""{EACH}
extern "C" __global__ void add_parts(
    const double* parts, const double* more, T* sums, T* products, long long D, long long count
) {{
    EACH(d, D) {{
        double sum = 0, product = 0;
        for (long long p = 0; p < count; p++) {{
            sum += parts[p * D + d];
            product += more[p * D + d];
        }}
        sums[d] = (T)sum;
        products[d] = (T)product;
    }}
}}
"""

PROJECT_BY = f"""{HEAD}
extern "C" __global__ void project_by(
    const T* v, const T* x_hat, T* out, const T* sums, const T* products, const T* gamma,
    const T* inv_std, long long options, Steps s, long long R, long long D, long long n
) {{
    EACH(i, n) {{
        long long r = i / D, d = i - r * D;
        T scale = options & GAMMA ? gamma[d] * inv_std[d] : inv_std[d];
        T here = x_hat[r * s.y0 + d * s.y1];
        T off = v[r * s.x0 + d * s.x1] - here * (products[d] / (T)R) - sums[d] / (T)R;
        out[r * s.y0 + d * s.y1] = off * scale;
    }}
}}
"""

ADD_AFFINE = f"""{HEAD}
extern "C" __global__ void add_affine(
    T* y_dot, const T* x_hat, const T* gamma_dot, const T* beta_dot, long long options, Steps s,
    long long D, long long n
) {{
    EACH(i, n) {{
        long long r = i / D, d = i - r * D, at = r * s.x0 + d * s.x1;
        T v = gamma_dot[d] * x_hat[at];
        if (options & Y) v = y_dot[at] + v;
        y_dot[at] = options & BETA ? v + beta_dot[d] : v;
    }}
}}
"""


def tangent(
    x_dot: Tangent,
    x_hat: Array,
    gamma: Tangent,
    inv_std: Array,
    gamma_dot: Tangent,
    beta_dot: Tangent,
) -> Array:
    """γ/s P(x_dot) + γ_dot x̂ + β_dot. Not both x_dot and gamma_dot are None."""
    x_hat = dense(x_hat)
    if x_dot is None:
        y_dot = device.module(x_hat).empty_like(x_hat)
    else:
        y_dot = project(x_dot, x_hat, gamma, inv_std)[0]
    if gamma_dot is not None:
        options = Y * (x_dot is not None) + BETA * (beta_dot is not None)
        arguments = y_dot, x_hat, dense(gamma_dot), either(beta_dot, x_hat), options
        places = numbers(*steps(x_hat), 0, 0)
        run = device.kernel("add_affine", ADD_AFFINE, x_hat)
        blocks = device.blocks(x_hat.size)
        run(blocks, (device.THREADS,), (*arguments, places, x_hat.shape[1], x_hat.size))
    return y_dot


def project(v: Array, x_hat: Array, gamma: Tangent, inv_std: Array) -> tuple[Array, Array, Array]:
    """(γ/s P(v), Σ v, Σ v x̂) with P v = v - mean(v) - x̂ mean(v x̂), over the rows."""
    xp = device.module(v)
    R, D = v.shape
    x_hat = dense(x_hat)
    out = xp.empty_like(x_hat)
    sums, products = xp.empty((2, D), v.dtype)
    options = GAMMA if gamma is not None else 0
    places = numbers(*steps(v), *steps(x_hat))
    scale = either(gamma, v), dense(inv_std), options
    if R <= FEW:
        run = device.kernel("project", PROJECT, v)
        run(*columns(D, 8), (v, x_hat, out, sums, products, *scale, places, R, D))
        return out, sums, products
    length, count = cut(R)
    parts, more = xp.empty((2, count, D), "float64")
    run = device.kernel("parts_of_sums", PARTS_OF_SUMS, v)
    run(*columns(D, 32, count), (v, x_hat, parts, more, places, R, D, length))
    run = device.kernel("add_parts", ADD_PARTS, v)
    run(device.blocks(D), (device.THREADS,), (parts, more, sums, products, D, count))
    run = device.kernel("project_by", PROJECT_BY, v)
    arguments = (v, x_hat, out, sums, products, *scale, places, R, D, v.size)
    run(device.blocks(v.size), (device.THREADS,), arguments)
    return out, sums, products
