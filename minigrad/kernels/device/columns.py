"""What the kernels of normalisation share. They work on each column of an array (R, D)."""

from __future__ import annotations

from minigrad.backend import Array, Tangent
from minigrad.kernels.device.layout import COLUMN_TOTAL, EACH, dense

GAMMA, BETA, Y = 1, 2, 4  # bits of `options`
FEW = 2048  # rows that one block goes through alone
THREADS = 512  # of a block
MOST_PARTS = 256

HEAD = f"""{EACH}{COLUMN_TOTAL}
#define COLUMN (blockIdx.x * (long long)blockDim.x + threadIdx.x)
#define ROWS(r, first, end) for (long long r = (first) + threadIdx.y; r < (end); r += blockDim.y)
#define SIZE(p) ((p + 1) * length < R ? length : R - p * length)
struct Steps {{ long long x0, x1, y0, y1; }};  // strides of the first and of the second array
enum {{ GAMMA = {GAMMA}, BETA = {BETA}, Y = {Y} }};  // options: which of them there are
#define AFFINE(v, d) \\
    ((options & GAMMA ? v * gamma[d] : v) + (options & BETA ? beta[d] : (T)0))
"""


def either(array: Tangent, other: Array) -> Array:
    """The array without gaps, or any other array in place of None."""
    return other if array is None else dense(array)


def columns(D: int, across: int, parts: int = 1) -> tuple[tuple[int, int], tuple[int, int]]:
    """(blocks, threads) with a thread for each column."""
    return (-(-D // across), parts), (across, THREADS // across)


def cut(R: int) -> tuple[int, int]:
    """(rows of a part, number of parts)."""
    length = max(FEW // 4, -(-R // MOST_PARTS))
    return length, -(-R // length)
