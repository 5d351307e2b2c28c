r"""Convolution with kernels of three rows by two thirds of the multiplications.

Two neighbouring rows of y need four rows d_0 ... d_3 of x and the kernel's three, g_0, g_1, g_2:

    y_0 = d_0 g_0 + d_1 g_1 + d_2 g_2            six products d g: d stands for the windows in
    y_1 = d_1 g_0 + d_2 g_1 + d_3 g_2            one row of x, g for (KW·C, O) numbers

or, from sums that cost little, four:

    m_0 = (d_0 - d_2) g_0                        m_1 = (d_1 + d_2) (g_0 + g_1 + g_2)/2
    m_3 = (d_1 - d_3) g_2                        m_2 = (d_2 - d_1) (g_0 - g_1 + g_2)/2
    y_0 = m_0 + m_1 + m_2                        y_1 = m_1 - m_2 - m_3

The results differ from the plain ones by rounding. Source: Winograd 1980, "F(2, 3)"; Lavin, Gray
2016, §4.1 (who do it in both directions at once).
"""

from __future__ import annotations

from minigrad.backend import Array, array_module
from minigrad.layers.windows import Pair, im2col, output_size
from minigrad.parallel import scratch

ENOUGH = 64  # numbers in a window's row, from which on the products outweigh the sums


def pays(size: Pair, kernel: Pair, stride: Pair, channels: int) -> bool:
    """Whether images of this (padded) size can be convolved so, and gain by it."""
    rows = output_size(size, kernel, stride)[0]
    return kernel[0] == 3 and stride[0] == 1 and rows % 2 == 0 and kernel[1] * channels >= ENOUGH


def kernels(W: Array) -> Array:
    """(g_0, (g_0 + g_1 + g_2)/2, (g_0 - g_1 + g_2)/2, g_2), of W' (3·KW·C, O): (4, KW·C, O)."""
    g_0, g_1, g_2 = W.reshape(3, -1, W.shape[1])
    return array_module(W).stack((g_0, (g_0 + g_1 + g_2) / 2, (g_0 - g_1 + g_2) / 2, g_2))


def products(name: str, rows: Array, width: int, stride: int, G: Array) -> Array:
    """m_0 ... m_3 of images (N, H, W, C): (4, N·OH/2·OW, O), in this thread's scratch memory."""
    xp, (N, H, W, C) = array_module(rows), rows.shape
    pairs, OW = (H - 2) // 2, (W - width) // stride + 1
    d_0, d_1, d_2, d_3 = (rows[:, k : k + 2 * pairs - 1 : 2] for k in range(4))
    d = scratch("rows", (4, N, pairs, W, C), rows)
    xp.subtract(d_0, d_2, out=d[0])
    xp.add(d_1, d_2, out=d[1])
    xp.subtract(d_2, d_1, out=d[2])
    xp.subtract(d_1, d_3, out=d[3])
    cols = scratch("cols", (4 * N * pairs * OW, width * C), rows)
    cols = im2col(d.reshape(4 * N, pairs, W, C), (1, width), (1, stride), cols)
    out = scratch(name, (4, N * pairs * OW, G.shape[2]), rows)
    return xp.matmul(cols.reshape(4, -1, width * C), G, out=out)


def add_up(m: Array) -> tuple[Array, Array]:
    """(y_0, y_1): the even and the odd rows of y. They take the place of m_0 and m_1."""
    m_0, m_1, m_2, m_3 = m
    m_0 += m_1
    m_0 += m_2
    m_1 -= m_2
    m_1 -= m_3
    return m_0, m_1
