r"""Convolution with kernels of three rows by half, or two thirds, of the multiplications: F(m, 3).

m neighbouring rows of y need m + 2 rows of x, d, and the kernel's three, g. Plainly they are 3m
products, y_i = Σ_k d_{i+k} g_k, where d stands for the windows in one row of x and g for (KW·C, O)
numbers. The same from m + 2 products, one by one those of two lists of m + 2 sums:

    y = Aᵀ [(Bᵀ d) ⊙ (G g)]            F(2, 3): 4 products for 6, F(4, 3): 6 for 12

Why: a polynomial of coefficients g times one of m coefficients s has m + 2, and is known from its
values at m + 1 points and its leading coefficient, which are products of g's and s's. That is
linear in s; y is the same map's transpose, of d. The points are 0, 1, -1, and 2, -2 for m = 4: G
and Aᵀ have their powers. The results differ from the plain ones by rounding.
Source: Winograd 1980; Lavin, Gray 2016, §4 (who do it in both directions at once).
"""

from __future__ import annotations

from minigrad.backend import Array, array_module
from minigrad.kernels.parallel import scratch
from minigrad.kernels.windows import Pair, im2col, output_size, windows

ENOUGH = 64  # numbers in a window's row, from which on the products outweigh the sums

B_T = {
    2: [[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, -1, 0, 1]],
    4: [
        [4, 0, -5, 0, 1, 0],
        [0, -4, -4, 1, 1, 0],
        [0, 4, -4, -1, 1, 0],
        [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0],
        [0, 4, 0, -5, 0, 1],
    ],
}
G = {
    2: [[1, 0, 0], [1 / 2, 1 / 2, 1 / 2], [1 / 2, -1 / 2, 1 / 2], [0, 0, 1]],
    4: [
        [1 / 4, 0, 0],
        [-1 / 6, -1 / 6, -1 / 6],
        [-1 / 6, 1 / 6, -1 / 6],
        [1 / 24, 1 / 12, 1 / 6],
        [1 / 24, -1 / 12, 1 / 6],
        [0, 0, 1],
    ],
}
A_T = {
    2: [[1, 1, 1, 0], [0, 1, -1, 1]],
    4: [[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]],
}


def rows_at_once(size: Pair, kernel: Pair, stride: Pair, channels: int) -> int:
    """m for images of this (padded) size, 0 where the plain form is as good or the only one."""
    rows = output_size(size, kernel, stride)[0]
    if kernel[0] != 3 or stride[0] != 1 or kernel[1] * channels < ENOUGH:
        return 0
    return next((m for m in (4, 2) if rows % m == 0), 0)


def kernels(W: Array, m: int) -> Array:
    """G g for W' (3·KW·C, O): (m + 2, KW·C, O)."""
    return (_matrix(G[m], W) @ W.reshape(3, -1)).reshape(m + 2, -1, W.shape[1])


def columns(rows: Array, m: int, width: int, stride: int) -> Array:
    """Bᵀ d for images (N, H, W, C), as im2col has windows: (m + 2, N·OH/m·OW, KW·C), in scratch."""
    N, H, W, C = rows.shape
    groups, OW = (H - 2) // m, (W - width) // stride + 1
    d = windows(rows, (m + 2, W), (m, 1)).reshape(N, groups, m + 2, W * C)
    sums = scratch("rows", (m + 2, N, groups, W * C), rows)
    array_module(rows).matmul(_matrix(B_T[m], rows), d, out=sums.transpose(1, 2, 0, 3))
    cols = scratch("cols", ((m + 2) * N * groups * OW, width * C), rows)
    cols = im2col(sums.reshape(-1, groups, W, C), (1, width), (1, stride), cols)
    return cols.reshape(m + 2, -1, width * C)


def add_up(products: Array, b: Array | None, y: Array) -> None:
    """y (N, OH, OW, O) = Aᵀ products + b. The products are not what they were afterwards."""
    N, OH, OW, O = y.shape
    m = len(products) - 2
    if b is not None:
        products[1] += b  # those at the point 1, whose powers are all 1: they are in every row
    products = products.reshape(m + 2, N, OH // m, OW * O).transpose(1, 2, 0, 3)
    out = y.reshape(N, OH // m, m, OW * O)
    array_module(y).matmul(_matrix(A_T[m], y), products, out=out)


def _matrix(table: list[list[float]], like: Array) -> Array:
    return array_module(like).array(table, like.dtype)
