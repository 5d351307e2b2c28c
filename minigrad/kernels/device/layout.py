"""What the CUDA kernels of layers share: the order of numbers in memory, loops, and shapes.

A kernel for single numbers reads memory from front to back. That is right for every order of the
axes, if the numbers have no gaps between them and all its arrays have the same order.
"""

from __future__ import annotations

import math
from functools import cache, lru_cache
from typing import Any

import numpy as np

from minigrad.backend import Array, Tangent
from minigrad.kernels import device

Pair = tuple[int, int]
NARROW_REACH = 2**30  # numbers that 32-bit integers can count, and a launch's threads beyond

# A loop over 0 ... n. All threads of the launch share it.
EACH = """
#define EACH(i, n) \\
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < (n); \\
         i += (long long)gridDim.x * blockDim.x)
"""

# Places in arrays as 32-bit integers. `over` divides by a product: Granlund, Montgomery 1994.
NARROW = """
typedef int I;
struct Divisor { int d, factor, shift; };
__device__ __forceinline__ I over(I n, Divisor v) {
    return (int)((__umulhi((unsigned)n, (unsigned)v.factor) + (unsigned)n) >> v.shift);
}
"""
# The same for arrays with more than 2³⁰ numbers.
WIDE = """
typedef long long I;
struct Divisor { long long d, factor, shift; };
__device__ __forceinline__ I over(I n, Divisor v) { return n / v.d; }
"""
EACH_PLACE = """
#define EACH_PLACE(i, n) \\
    for (I i = (I)blockIdx.x * blockDim.x + threadIdx.x; i < (n); i += (I)gridDim.x * blockDim.x)
"""

# V numbers that one thread reads or writes together
PACK = """
struct __align__(sizeof(T) * V) Pack { T v[V]; };
"""

# Σ v over threadIdx.y, for each threadIdx.x. The order of the sum is always the same.
COLUMN_TOTAL = """
__device__ double column_total(double v, double* shared) {
    int me = threadIdx.y * blockDim.x + threadIdx.x;
    shared[me] = v;
    __syncthreads();
    for (int rows = blockDim.y; rows > 1;) {
        int half = (rows + 1) / 2;
        if (threadIdx.y + half < rows) shared[me] += shared[me + half * blockDim.x];
        __syncthreads();
        rows = half;
    }
    double total = shared[threadIdx.x];
    __syncthreads();
    return total;
}
"""


def given(*arrays: Tangent) -> list[Array]:
    """The arrays that are not None."""
    return [array for array in arrays if array is not None]


def dense(x: Array) -> Array:
    """x, or a copy of it if its numbers have gaps in memory."""
    return x if is_dense(x) else x.copy()


def is_dense(x: Array) -> bool:
    """Whether x's numbers lie in memory without gaps, in any order of its axes."""
    return _is_dense(x.shape, x.strides, x.itemsize)


def in_order_of(like: Array, x: Array) -> Array:
    """x, or a copy of it, with its numbers in memory in the order of `like`, which is dense."""
    size = like.itemsize
    if x.strides == (like.strides if size == x.itemsize else _scaled(like, x.itemsize)):
        return x
    result = device.module(x).empty_like(like, dtype=x.dtype)
    result[...] = x
    return result


def steps(x: Array) -> tuple[int, ...]:
    """The strides of x, counted in numbers instead of bytes."""
    size = x.itemsize
    return tuple(stride // size for stride in x.strides)


@lru_cache(maxsize=4096)
def numbers(*values: int, wide: bool = True) -> Any:
    """The integers as one argument of a kernel: a struct of `long long`, or of `int`."""
    kind = np.int64 if wide else np.int32
    signed = [(v + 2**31) % 2**32 - 2**31 if v >= 2**31 and not wide else v for v in values]
    return np.array((tuple(signed),), [("values", kind, (len(signed),))])


@lru_cache(maxsize=4096)
def divisor(d: int) -> tuple[int, int, int]:
    """The numbers of a `Divisor`: n/d = (n + n·factor/2³²)/2^shift, rounded down, for n < 2³¹."""
    shift = (d - 1).bit_length()
    return d, 2**32 * (2**shift - d) // d + 1, shift


def together(channels: int, *arrays: Array) -> int:
    """V: how many numbers of neighbouring channels are moved together: 16 bytes, or one number.

    All packs must begin at multiples of 16 bytes.
    """
    V = 16 // arrays[0].itemsize
    return V if channels % V == 0 and all(address(a) % 16 == 0 for a in arrays) else 1


def address(array: Any) -> int:
    """Where a CuPy array begins on the device."""
    return int(array.data.ptr)


@cache
def packed(source: str, V: int) -> str:
    """The source with V in front of it."""
    return f"#define V {V}\n{source}"


@cache
def indexed(source: str, wide: bool) -> str:
    """The source with I and `over` in front of it."""
    return (WIDE if wide else NARROW) + source


@lru_cache(maxsize=4096)
def reach(shape: tuple[int, ...], strides: tuple[int, ...], itemsize: int) -> int:
    """The largest distance of two numbers of the array, or their number."""
    sides = zip(shape, strides, strict=True)
    return max(sum((n - 1) * abs(stride) for n, stride in sides) // itemsize, math.prod(shape))


def _scaled(like: Array, itemsize: int) -> tuple[int, ...]:
    return tuple(stride // like.itemsize * itemsize for stride in like.strides)


@lru_cache(maxsize=4096)
def _is_dense(shape: tuple[int, ...], strides: tuple[int, ...], itemsize: int) -> bool:
    run = itemsize
    for stride, size in sorted(zip(strides, shape, strict=True)):
        if size > 1 and stride != run:
            return False
        run *= size
    return True
