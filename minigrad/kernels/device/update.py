"""Many arrays changed in one launch: the steps of optimisers, scaled sums, averages, norms.

The plain form of each is written beside its kernel. The operations have the plain form's order and
are rounded one by one, so the results are those of CuPy's operations, bit for bit.

`numbers` are the launch's scalars: a learning rate, what belongs to the step's number. They are
arguments. For a launch that is recorded and repeated later they may lie in device memory: `kept` is
then a float64 array of 8 numbers. Whoever repeats the launch writes the new ones there before.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from minigrad.backend import Array, array_module
from minigrad.kernels.device import ready
from minigrad.kernels.device.table import NUMBERS, ROWS, Table, alike, by_value
from minigrad.kernels.device.table import SOURCE as TABLE

SOURCE = (
    TABLE
    + r"""
#define ARGUMENTS const Table table, const Numbers numbers, const double* kept, long long flags
#define NUMBER(i) ((T)(kept ? kept[i] : numbers.x[i]))
#define EACH(i) for (long long i = first + threadIdx.x; i < end; i += blockDim.x)

// y <- y + a x.   Arrays y, x; number a.
extern "C" __global__ void add_scaled(ARGUMENTS) {
    FIND_ROW
    T* y = ARRAY(0);
    const T* x = ARRAY(1);
    const T a = NUMBER(0);
    EACH(i) y[i] = y[i] + a * x[i];
}

// y <- a x.   Arrays y, x, which may be one; number a.
extern "C" __global__ void scale(ARGUMENTS) {
    FIND_ROW
    T* y = ARRAY(0);
    const T* x = ARRAY(1);
    const T a = NUMBER(0);
    EACH(i) y[i] = a * x[i];
}

// y <- y + a (x - y).   Arrays y, x; number a.
extern "C" __global__ void average(ARGUMENTS) {
    FIND_ROW
    T* y = ARRAY(0);
    const T* x = ARRAY(1);
    const T a = NUMBER(0);
    EACH(i) y[i] = y[i] + a * (x[i] - y[i]);
}

// SGD.   Arrays: parameter p, gradient g, velocity of gradients, or after it of steps.
// Numbers: lr, weight decay, momentum.
enum { MOMENTUM = 1, NESTEROV = 2, OF_STEPS = 4 };
extern "C" __global__ void sgd(ARGUMENTS) {
    FIND_ROW
    T* p = ARRAY(0);
    const T* g = ARRAY(1);
    T* v = ARRAY(flags & OF_STEPS ? 3 : 2);
    const T lr = NUMBER(0), decay = NUMBER(1), momentum = NUMBER(2);
    EACH(i) {
        T d = g[i];
        T w = p[i];
        if (decay != 0) d = d + decay * w;
        if (flags & MOMENTUM) {
            T u = v[i] * momentum;
            if (flags & OF_STEPS) {  // v <- mu v - lr g
                d = lr * d;
                u = u - d;
                v[i] = u;
                p[i] = w + (flags & NESTEROV ? momentum * u - d : u);
                continue;
            }
            u = u + d;  // v <- mu v + g
            v[i] = u;
            d = flags & NESTEROV ? d + momentum * u : u;
        }
        p[i] = w + -lr * d;
    }
}

// Adam and AdamW.   Arrays: p, g, means m and v.
// Numbers: beta1, 1 - beta1, beta2, 1 - beta2, eps k (inside: eps k^2), lr k / (1 - beta1^t),
// weight decay, 1 - lr weight decay.
enum { INSIDE = 1, DECAY = 2, APART = 4 };
extern "C" __global__ void adam(ARGUMENTS) {
    FIND_ROW
    T* p = ARRAY(0);
    const T* g = ARRAY(1);
    T* m = ARRAY(2);
    T* v = ARRAY(3);
    const T beta1 = NUMBER(0), new1 = NUMBER(1), beta2 = NUMBER(2), new2 = NUMBER(3);
    const T eps = NUMBER(4), rate = NUMBER(5), decay = NUMBER(6), shrink = NUMBER(7);
    EACH(i) {
        T d = g[i];
        T w = p[i];
        if (flags & DECAY) d = d + decay * w;
        if (flags & APART) w = w * shrink;
        const T a = m[i] * beta1 + d * new1;
        const T b = v[i] * beta2 + d * d * new2;
        m[i] = a;
        v[i] = b;
        const T root = flags & INSIDE ? sqrt(b + eps) : sqrt(b) + eps;
        p[i] = w - a / root * rate;
    }
}

// RMSprop.   Arrays: p, g, v, m, b.   Numbers: lr, alpha, 1 - alpha, eps, weight decay, momentum.
enum { CENTERED = 1, WITH_MOMENTUM = 2 };
extern "C" __global__ void rmsprop(ARGUMENTS) {
    FIND_ROW
    T* p = ARRAY(0);
    const T* g = ARRAY(1);
    T* v = ARRAY(2);
    T* m = ARRAY(3);
    T* b = ARRAY(4);
    const T lr = NUMBER(0), alpha = NUMBER(1), fresh = NUMBER(2), eps = NUMBER(3);
    const T decay = NUMBER(4), momentum = NUMBER(5);
    EACH(i) {
        T d = g[i];
        if (decay != 0) d = d + decay * p[i];
        T s = v[i] * alpha + d * d * fresh;
        v[i] = s;
        if (flags & CENTERED) {
            const T mean = m[i] * alpha + fresh * d;
            m[i] = mean;
            s = s - mean * mean;
            if (s < 0) s = 0;  // a NaN stays NaN
        }
        T step = d / (sqrt(s) + eps);
        if (flags & WITH_MOMENTUM) {
            step = b[i] * momentum + step;
            b[i] = step;
        }
        p[i] = p[i] - step * lr;
    }
}

// Adagrad.   Arrays: p, g, s.   Numbers: lr_t, eps, weight decay.
extern "C" __global__ void adagrad(ARGUMENTS) {
    FIND_ROW
    T* p = ARRAY(0);
    const T* g = ARRAY(1);
    T* s = ARRAY(2);
    const T lr = NUMBER(0), eps = NUMBER(1), decay = NUMBER(2);
    EACH(i) {
        T d = g[i];
        if (decay != 0) d = d + decay * p[i];
        const T sum = s[i] + d * d;
        s[i] = sum;
        p[i] = p[i] - d / (sqrt(sum) + eps) * lr;
    }
}

// sums[block] = the sum of the squares of the block's numbers, in float64.   Array x.
extern "C" __global__ void square_sums(const Table table, double* sums) {
    __shared__ double part[256];
    FIND_ROW
    const T* x = ARRAY(0);
    double sum = 0;
    EACH(i) sum += (double)(x[i] * x[i]);
    part[threadIdx.x] = sum;
    for (int half = 128; half > 0; half /= 2) {
        __syncthreads();
        if (threadIdx.x < half) part[threadIdx.x] += part[threadIdx.x + half];
    }
    if (threadIdx.x == 0) sums[blockIdx.x] = part[0];
}
"""
)


def launch(
    name: str,
    table: Table,
    numbers: Sequence[float],
    flags: int = 0,
    kept: Array | None = None,
) -> None:
    """Run one of the kernels above, except square_sums."""
    values = np.zeros(NUMBERS)
    values[: len(numbers)] = numbers
    place = np.int64(0) if kept is None else kept
    table.launch(name, SOURCE, by_value(values), place, np.int64(flags))


def apply(
    name: str, columns: Sequence[Sequence[Array]], numbers: Sequence[float]
) -> list[tuple[Array, ...]]:
    """The same for columns of arrays. Returns the rows that no kernel is for: all, on the host."""
    rows = list(zip(*columns, strict=True))
    if not rows or not ready(rows[0][0]):
        return rows
    like = rows[0][0]
    kind, dtype = type(like), like.dtype
    chosen: list[tuple[Array, ...]] = []
    others: list[tuple[Array, ...]] = []
    for row in rows:
        same = [type(array) is kind and array.dtype == dtype for array in row]
        (chosen if all(same) and alike(*row) else others).append(row)
    for start in range(0, len(chosen), ROWS):
        part = list(zip(*chosen[start : start + ROWS], strict=True))
        table = Table(part[0])
        for i, column in enumerate(part):
            table.put(i, column)
        launch(name, table, numbers)
    return others


def squared_norm(arrays: Sequence[Array]) -> float | None:
    """Σ x² of all arrays, added up in float64: one launch, and one number to the host.

    None if a kernel is not for all of them, as on the host.
    """
    if not arrays or not ready(*arrays) or not all(map(alike, arrays)):
        return None
    found = []
    for start in range(0, len(arrays), ROWS):
        found.append(Table(arrays[start : start + ROWS]))
        found[-1].put(0, arrays[start : start + ROWS])
    ends = np.cumsum([0, *[table.blocks for table in found]])
    sums = array_module(arrays[0]).zeros(max(int(ends[-1]), 1), "float64")
    for table, start, end in zip(found, ends[:-1], ends[1:], strict=True):
        table.launch("square_sums", SOURCE, sums[int(start) : int(end)])
    return float(sums.sum())
