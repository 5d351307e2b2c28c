r"""Winograd's convolution F(m, r): fewer multiplications. For kernels of 2x2 to 5x5, stride 1.

First along one axis. m neighbouring numbers y need n = m + r - 1 numbers of x, called d, and the r
numbers g of the kernel: y_i = Σ_k d_{i+k} g_k. The plain way takes m r products. Winograd takes n:

    y = Aᵀ [(G g) ⊙ (Bᵀ d)]

Why it works: one polynomial has the r coefficients g, another has m coefficients s. Their product
has n coefficients. Its values at n - 1 points and its leading coefficient determine it. Each of
these n numbers is one product: a number from g times a number from s. The map from s to the
coefficients is linear. The map from d to y is its transpose.
G and A contain the powers of the points. B is the inverse of the matrix of all their powers.

Here n = 6 along both axes. A tile d (6, 6) of x gives m m' pixels of y, m = 7 - KH, m' = 7 - KW:

    y  = Aᵀ P A,   P  = U ⊙ V,   V = Bᵀ d B,   U = G g Gᵀ        (⊙: a matrix product over C)
    dg = Gᵀ E G,   E  = Σ V ⊙ D,               D = A dy Aᵀ       the transposes of these maps
    dd = B Q Bᵀ,   Q  = U ⊙ D                  overlapping tiles dd are added up to dx

36 products, not m m' KH KW: that is 144 for 3x3, 100 for 5x5.
The points are 0, ±3/4, ±3/2: of those tried they lose the fewest digits. The error in float32 is
about three times that of the plain way. Other dtypes take the plain way.
Source: Winograd 1980; Lavin, Gray 2016, §4; Barabasz et al. 2020 (which points).
"""

from __future__ import annotations

from functools import lru_cache
from math import prod

import numpy as np

from minigrad.backend import Array, array_module
from minigrad.kernels.memory import copy_pixels, scratch
from minigrad.kernels.recording import dot
from minigrad.kernels.windows import Pair, add_to_pixels, output_size, windows

POINTS = (0, 3 / 4, -3 / 4, 3 / 2, -3 / 2)
SIDE = len(POINTS) + 1  # of a tile of x
ENOUGH = 16  # channels. With fewer, the sums cost more time than is saved
SAVED = 2  # so many times fewer products, or more


@lru_cache
def powers(count: int) -> Array:
    """(6, count), float32: 1, p, p² ... of each point. The last row: the leading coefficient."""
    return _powers(count).astype(np.float32)


@lru_cache
def inverse() -> Array:
    """B (6, 6), float32."""
    return np.linalg.inv(_powers(SIDE)).astype(np.float32)


def _powers(count: int) -> Array:
    table = np.zeros((SIDE, count))
    table[:-1] = np.array(POINTS)[:, None] ** np.arange(count)
    table[-1, -1] = 1
    return table


def pays(rows: Array, O: int, kernel: Pair, stride: Pair) -> bool:
    """Whether this is the faster way for images `rows` (N, H, W, C)."""
    if array_module(rows) is not np or rows.dtype != np.float32 or stride != (1, 1):
        return False
    if min(rows.shape[3], O) < ENOUGH or not all(2 <= k <= 5 for k in kernel):
        return False
    OH, OW = output_size(rows.shape[1:3], kernel, stride)
    TH, TW = (-(-n // (SIDE + 1 - k)) for n, k in zip((OH, OW), kernel, strict=True))
    return OH * OW * kernel[0] * kernel[1] >= SAVED * SIDE**2 * TH * TW


def sandwich(left: Array, right: Array, d: Array, name: str = "") -> Array:
    """left d rightᵀ for the first two axes of d (b, b', ...): (a, a', ...).

    The result lies in the scratch memory `name`, where d may lie as well. "": in new memory.
    """
    a, c = len(left), len(right)
    b, e, *rest = d.shape
    half = np.matmul(left, d.reshape(b, -1), out=scratch("half", (a, d.size // b), d))
    shape = (a, c, prod(rest))
    out = scratch(name, shape, d) if name else np.empty(shape, d.dtype)
    return np.matmul(right, half.reshape(a, e, -1), out=out).reshape(a, c, *rest)


class Winograd:
    """The way of `columns.Columns`, for images of one size. The products are 36 smaller ones."""

    def __init__(self, size: Pair, kernel: Pair, stride: Pair):
        self.size = size
        self.kernel = kernel
        self.m = SIDE + 1 - kernel[0], SIDE + 1 - kernel[1]
        self.out = output_size(size, kernel, stride)
        self.tiles = -(-self.out[0] // self.m[0]), -(-self.out[1] // self.m[1])

    def numbers(self, C: int, O: int) -> int:
        """The numbers that an image needs in the cache, half of them: larger parts are faster."""
        return SIDE**2 * self.tiles[0] * self.tiles[1] * (C + O) // 2

    def shape(self, C: int, O: int) -> tuple[int, ...]:
        """The shape of the products of dW."""
        return SIDE**2, C, O

    def matrix(self, W: Array) -> Array:
        """U = G g Gᵀ, (36, C, O)."""
        G, G2 = powers(self.kernel[0]), powers(self.kernel[1])
        U = sandwich(G, G2, np.ascontiguousarray(W.transpose(2, 3, 1, 0)))
        return U.reshape(SIDE**2, *U.shape[2:])

    def columns(self, rows: Array) -> Array:
        """V = Bᵀ d B of all tiles, (36, N·TH·TW, C)."""
        B_T = inverse().T
        V = sandwich(B_T, B_T, self._cut(rows, (SIDE, SIDE)), "tiles")
        return V.reshape(SIDE**2, -1, rows.shape[3])

    def products(self, name: str, y: Array) -> Array:
        """Where the products of images y (N, OH, OW, O) are to lie: (36, N·TH·TW, O)."""
        return scratch(name, (SIDE**2, len(y) * self.tiles[0] * self.tiles[1], y.shape[3]), y)

    def finish(self, P: Array, b: Array | None, y: Array, name: str) -> None:
        """y = Aᵀ P A + b. P lies in the scratch memory `name`, and is lost."""
        A_T, A2_T = (powers(m).T for m in self.m)
        Y = sandwich(A_T, A2_T, P.reshape(SIDE, SIDE, *P.shape[1:]), name)
        self._put_together(Y, y)
        if b is not None:
            add_to_pixels(y, b)

    def upstream(self, dys: Array) -> Array:
        """D = A dy Aᵀ of all tiles, (36, N·TH·TW, O), from dy (N, OH, OW, O)."""
        A, A2 = (powers(m) for m in self.m)
        D = sandwich(A, A2, self._cut(dys, self.m), "upstream")
        return D.reshape(SIDE**2, -1, dys.shape[3])

    def kernels(self, E: Array) -> Array:
        """dW' = Gᵀ E G, (KH·KW·C, O), from E (36, C, O)."""
        G_T, G2_T = (powers(k).T for k in self.kernel)
        dW = sandwich(G_T, G2_T, E.reshape(SIDE, SIDE, *E.shape[1:]))
        return dW.reshape(-1, E.shape[2])

    def turned(self, W: Array) -> Array:
        """Uᵀ, (36, O, C)."""
        return np.ascontiguousarray(self.matrix(W).swapaxes(1, 2))

    def add_windows(self, D: Array, U_T: Array, dx: Array, corner: Pair) -> None:
        """dx (N, H, W, C) = the sum of the overlapping tiles dd = B Q Bᵀ, Q = D Uᵀ.

        Pixel (0, 0) of dx is pixel `corner` of the padded image.
        """
        N, H, W, C = dx.shape
        B = inverse()
        Q = dot(D, U_T, out=scratch("tiles", (SIDE**2, D.shape[1], C), dx))
        dd = sandwich(B, B, Q.reshape(SIDE, SIDE, N, *self.tiles, C), "tiles")
        whole = self._whole(dx, (SIDE, SIDE))
        down, right = corner
        self._add_up(dd, whole)
        if whole is not dx:
            dx[...] = whole[:, down : down + H, right : right + W]

    def _whole(self, images: Array, side: Pair) -> Array:
        """An array for images as large as all tiles of this side: `images` itself if it is."""
        N, H, W, C = images.shape
        size = tuple(s + m * (t - 1) for s, m, t in zip(side, self.m, self.tiles, strict=True))
        return images if size == (H, W) else scratch("whole", (N, *size, C), images)

    def _cut(self, images: Array, side: Pair) -> Array:
        """The tiles of images (N, H, W, C), a copy: (side, side', N, TH, TW, C)."""
        N, H, W, C = images.shape
        whole = self._whole(images, side)
        if whole is not images:  # zeros behind the image complete the last tiles
            whole[:, :H, :W] = images
            whole[:, H:] = 0
            whole[:, :, W:] = 0
        name = "tiles" if side[0] == SIDE else "upstream"
        tiles = scratch(name, (*side, N, *self.tiles, C), images)
        copy_pixels(tiles, windows(whole, side, self.m).transpose(3, 4, 0, 1, 2, 5))
        return tiles

    def _put_together(self, Y: Array, y: Array) -> None:
        """y (N, OH, OW, O) from its tiles Y (m, m', N·TH·TW, O), which do not overlap."""
        N, OH, OW, O = y.shape
        whole = self._whole(y, self.m)
        places = windows(whole, self.m, self.m).transpose(3, 4, 0, 1, 2, 5)
        copy_pixels(places, Y.reshape(places.shape))
        if whole is not y:
            y[...] = whole[:, :OH, :OW]

    def _add_up(self, dd: Array, whole: Array) -> None:
        """whole = the sum of all tiles dd (6, 6, N, TH, TW, C), block by block of a tile.

        The same block of all tiles has no pixel twice.
        """
        m, m2 = self.m
        whole[:, m * self.tiles[0] :] = 0
        whole[:, :, m2 * self.tiles[1] :] = 0
        places = windows(whole, (SIDE, SIDE), self.m).transpose(3, 4, 0, 1, 2, 5)
        for k in range(0, SIDE, m):
            for l in range(0, SIDE, m2):
                block = slice(k, k + m), slice(l, l + m2)
                if k == l == 0:
                    places[block] = dd[block]
                else:
                    places[block] += dd[block]
