"""Batch norm and layer norm, each pass in one launch, or in three for many rows.

Plain forms: kernels/normalization. x, x̂ are (R, D) with any strides, all others (D,):

    normalise     μ, σ² over the rows, x̂ = (x - μ)/√(σ² + ε), y = γ x̂ + β
    move_running  running = (1 - m) running + m new, for the mean and the unbiased variance

Sums are in double precision. The variance is the mean of (x - μ)², as in the plain form. For many
rows each part's μ and Σ (x - μ)² come first. Then the parts are put together, as in Chan, Golub,
LeVeque 1983.
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

NORMALISE = f"""{HEAD}
extern "C" __global__ void normalise(
    const T* x, T* x_hat, T* y, T* inv_std, T* mean, T* var, const T* gamma, const T* beta,
    long long options, double eps, Steps s, long long R, long long D
) {{
    __shared__ double shared[{THREADS}];
    long long d = COLUMN;
    bool here = d < D;
    double sum = 0;
    if (here) ROWS(r, 0, R) sum += x[r * s.x0 + d * s.x1];
    T mu = (T)(column_total(sum, shared) / R);
    sum = 0;
    if (here) ROWS(r, 0, R) {{
        double off = x[r * s.x0 + d * s.x1] - mu;
        sum += off * off;
    }}
    T variance = (T)(column_total(sum, shared) / R);
    if (!here) return;
    T inv = 1 / sqrt(variance + (T)eps);
    if (threadIdx.y == 0) {{ mean[d] = mu; var[d] = variance; inv_std[d] = inv; }}
    ROWS(r, 0, R) {{
        T v = (x[r * s.x0 + d * s.x1] - mu) * inv;
        x_hat[r * s.y0 + d * s.y1] = v;
        if (options & Y) y[r * s.y0 + d * s.y1] = AFFINE(v, d);
    }}
}}
"""

MOMENTS = f"""{HEAD}
extern "C" __global__ void moments(
    const T* x, double* means, double* squares, Steps s, long long R, long long D, long long length
) {{
    __shared__ double shared[{THREADS}];
    long long d = COLUMN, first = blockIdx.y * length;
    long long end = first + length < R ? first + length : R;
    bool here = d < D;
    double sum = 0;
    if (here) ROWS(r, first, end) sum += x[r * s.x0 + d * s.x1];
    double mu = column_total(sum, shared) / (end - first);
    sum = 0;
    if (here) ROWS(r, first, end) {{
        double off = x[r * s.x0 + d * s.x1] - mu;
        sum += off * off;
    }}
    sum = column_total(sum, shared);
    if (here && threadIdx.y == 0) {{
        means[blockIdx.y * D + d] = mu;
        squares[blockIdx.y * D + d] = sum;
    }}
}}
"""

TOGETHER = f"""{HEAD}
extern "C" __global__ void together(
    const double* means, const double* squares, T* mean, T* var, long long R, long long D,
    long long length, long long count
) {{
    EACH(d, D) {{
        double sum = 0, mu = 0;
        for (long long p = 0; p < count; p++) mu += means[p * D + d] * SIZE(p);
        mu /= R;
        for (long long p = 0; p < count; p++) {{
            double off = means[p * D + d] - mu;
            sum += squares[p * D + d] + off * off * SIZE(p);
        }}
        mean[d] = (T)mu;
        var[d] = (T)(sum / R);
    }}
}}
"""

STANDARDISE = f"""{HEAD}
extern "C" __global__ void standardise(
    const T* x, T* x_hat, T* y, T* inv_std, const T* mean, const T* var, const T* gamma,
    const T* beta, long long options, double eps, Steps s, long long D, long long n
) {{
    EACH(i, n) {{
        long long r = i / D, d = i - r * D;
        T inv = 1 / sqrt(var[d] + (T)eps);
        T v = (x[r * s.x0 + d * s.x1] - mean[d]) * inv;
        x_hat[r * s.y0 + d * s.y1] = v;
        if (r == 0) inv_std[d] = inv;
        if (options & Y) y[r * s.y0 + d * s.y1] = AFFINE(v, d);
    }}
}}
"""

MOVE_RUNNING = f"""{EACH}
extern "C" __global__ void move_running(
    T* running_mean, T* running_var, long long* batches, const T* mean, const T* var,
    double momentum, double unbiased, long long D
) {{  // one block
    long long now = batches[0] + 1;
    T m = momentum < 0 ? (T)(1.0 / now) : (T)momentum;
    __syncthreads();
    if (threadIdx.x == 0) batches[0] = now;
    EACH(d, D) {{
        running_mean[d] += m * (mean[d] - running_mean[d]);
        running_var[d] += m * (var[d] * (T)unbiased - running_var[d]);
    }}
}}
"""


def normalise(
    x: Array, eps: float, gamma: Tangent, beta: Tangent, affine: bool = True
) -> tuple[Array, Array, Array, Array, Array]:
    """(y, x̂, 1/s, μ, σ²) with the statistics of the rows. Without `affine` y is x̂ itself."""
    xp = device.module(x)
    R, D = x.shape
    x, x_hat, y, options = _prepared(x, gamma, beta, affine)
    mean, var, inv_std = xp.empty((3, D), x.dtype)
    places = numbers(*steps(x), *steps(x_hat))
    if R <= FEW:
        run = device.kernel("normalise", NORMALISE, x)
        affine_parts = either(gamma, x), either(beta, x)
        arguments = (
            x,
            x_hat,
            y,
            inv_std,
            mean,
            var,
            *affine_parts,
            options,
            float(eps),
            places,
            R,
            D,
        )
        run(*columns(D, 8), arguments)
        return y, x_hat, inv_std, mean, var
    length, count = cut(R)
    means, squares = xp.empty((2, count, D), "float64")
    run = device.kernel("moments", MOMENTS, x)
    run(*columns(D, 32, count), (x, means, squares, places, R, D, length))
    run = device.kernel("together", TOGETHER, x)
    run(device.blocks(D), (device.THREADS,), (means, squares, mean, var, R, D, length, count))
    _standardise(x, x_hat, y, inv_std, mean, var, gamma, beta, options, eps, places)
    return y, x_hat, inv_std, mean, var


def normalise_by(
    x: Array,
    eps: float,
    mean: Array,
    var: Array,
    gamma: Tangent,
    beta: Tangent,
    affine: bool = True,
) -> tuple[Array, Array, Array]:
    """(y, x̂, 1/s) with given statistics."""
    x, x_hat, y, options = _prepared(x, gamma, beta, affine)
    xp = device.module(x)
    if not len(x):
        return y, x_hat, 1 / xp.sqrt(var + eps)
    inv_std = xp.empty(x.shape[1], x.dtype)
    places = numbers(*steps(x), *steps(x_hat))
    mean, var = dense(mean), dense(var)
    _standardise(x, x_hat, y, inv_std, mean, var, gamma, beta, options, eps, places)
    return y, x_hat, inv_std


def move_running(
    running: tuple[Array, Array, Array],
    mean: Array,
    var: Array,
    momentum: float | None,
    unbiased: float,
) -> None:
    """running = (mean, variance, number of batches). momentum None: 1/t at batch t."""
    m = -1.0 if momentum is None else float(momentum)
    run = device.kernel("move_running", MOVE_RUNNING, mean)
    run((1,), (device.THREADS,), (*running, dense(mean), dense(var), m, float(unbiased), len(mean)))


def _prepared(
    x: Array, gamma: Tangent, beta: Tangent, affine: bool
) -> tuple[Array, Array, Array, int]:
    """(x without gaps, an array for x̂, one for y, the options)."""
    x = dense(x)
    x_hat = device.module(x).empty_like(x)
    if not affine:
        return x, x_hat, x_hat, 0
    options = Y + GAMMA * (gamma is not None) + BETA * (beta is not None)
    return x, x_hat, device.module(x).empty_like(x), options


def _standardise(
    x: Array,
    x_hat: Array,
    y: Array,
    inv_std: Array,
    mean: Array,
    var: Array,
    gamma: Tangent,
    beta: Tangent,
    options: int,
    eps: float,
    places: object,
) -> None:
    D = x.shape[1]
    run = device.kernel("standardise", STANDARDISE, x)
    arguments = (x, x_hat, y, inv_std, mean, var, either(gamma, x), either(beta, x))
    if x.size:
        run(
            device.blocks(x.size),
            (device.THREADS,),
            (*arguments, options, float(eps), places, D, x.size),
        )
