r"""Winograd's convolution F(m, 3), for kernels of three rows. It needs fewer multiplications.

m neighbouring rows of y need m + 2 rows of x, called d, and the kernel's three rows, called g.
d_i are the windows in row i of x. g_k is a matrix (KW·C, O). The plain way, y_i = Σ_k d_{i+k} g_k,
takes 3m matrix products. Winograd takes m + 2 products, of sums of the d with sums of the g:

    y = Aᵀ [(Bᵀ d) ⊙ (G g)]            F(2, 3): 4 products, not 6. F(4, 3): 6 products, not 12

Why it works: one polynomial has the three coefficients g, another has m coefficients s. Their
product has m + 2 coefficients. Its values at m + 1 points and its leading coefficient determine
it. Each of these m + 2 numbers is one product: a number from g times a number from s.
The map from s to the coefficients is linear. The map from d to y is its transpose.
The points are 0, 1, -1, and for m = 4 also 2, -2. G and Aᵀ contain their powers.
The results differ from the plain ones by rounding only.
Source: Winograd 1980; Lavin, Gray 2016, §4 (for rows and columns at once).
"""

from __future__ import annotations

from minigrad.backend import Array, array_module
from minigrad.kernels.memory import scratch
from minigrad.kernels.windows import Pair, im2col, output_size, windows

ENOUGH = 64  # numbers in a window's row. With fewer, the sums cost more time than is saved

Table = dict[int, list[list[float]]]

B_T: Table = {
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
G: Table = {
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
A_T: Table = {
    2: [[1, 1, 1, 0], [0, 1, -1, 1]],
    4: [[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]],
}


def rows_at_once(size: Pair, kernel: Pair, stride: Pair, channels: int) -> int:
    """m for images of this padded size. 0: the plain way is as fast, or the only one."""
    rows = output_size(size, kernel, stride)[0]
    if kernel[0] != 3 or stride[0] != 1 or kernel[1] * channels < ENOUGH:
        return 0
    return next((m for m in (4, 2) if rows % m == 0), 0)


def kernels(W: Array, m: int) -> Array:
    """G g, (m + 2, KW·C, O), from W' (3·KW·C, O)."""
    return (_matrix(G[m], W) @ W.reshape(3, -1)).reshape(m + 2, -1, W.shape[1])


def columns(rows: Array, m: int, width: int, stride: int) -> Array:
    """Bᵀ d, (m + 2, N·OH/m·OW, KW·C), from images (N, H, W, C). Each row is a window."""
    N, H, W, C = rows.shape
    groups = (H - 2) // m
    OW = (W - width) // stride + 1
    d = windows(rows, (m + 2, W), (m, 1)).reshape(N, groups, m + 2, W * C)
    sums = scratch("rows", (m + 2, N, groups, W * C), rows)
    array_module(rows).matmul(_matrix(B_T[m], rows), d, out=sums.transpose(1, 2, 0, 3))
    cols = scratch("cols", ((m + 2) * N * groups * OW, width * C), rows)
    cols = im2col(sums.reshape(-1, groups, W, C), (1, width), (1, stride), cols)
    return cols.reshape(m + 2, -1, width * C)


def add_up(products: Array, b: Array | None, y: Array) -> None:
    """y (N, OH, OW, O) = Aᵀ products + b. The array `products` is changed."""
    N, OH, OW, O = y.shape
    m = len(products) - 2
    if b is not None:
        products[1] += b  # column 1 of Aᵀ has only ones, so b is added to every row of y
    products = products.reshape(m + 2, N, OH // m, OW * O).transpose(1, 2, 0, 3)
    out = y.reshape(N, OH // m, m, OW * O)
    array_module(y).matmul(_matrix(A_T[m], y), products, out=out)


def _matrix(table: list[list[float]], like: Array) -> Array:
    return array_module(like).array(table, like.dtype)
