"""The two ways to compute a convolution as products of matrices, with the same methods.

`Columns` writes all windows of x into the rows of a matrix: the plain way. `winograd.Winograd`
needs fewer multiplications. Each of them is for images of one size. It is given a few images at a
time, which stay in the cache.

    columns(rows) matrix(W)        the products of y. `finish` makes y of them
    columns(rows)ᵀ upstream(dy)    those of dW, added up over the batch. `kernels` makes dW of them
    upstream(dy) turned(W)         those of dx. `add_windows` makes dx of them
"""

from __future__ import annotations

from minigrad.backend import Array
from minigrad.kernels.memory import scratch
from minigrad.kernels.parts import parts
from minigrad.kernels.recording import dot
from minigrad.kernels.windows import Pair, add_to_pixels, col2im, im2col, matrix, output_size
from minigrad.kernels.winograd import Winograd, pays


class Columns:
    """cols (N·OH·OW, KH·KW·C): each row is a window of images (N, H, W, C)."""

    def __init__(self, size: Pair, kernel: Pair, stride: Pair):
        self.size = size
        self.kernel = kernel
        self.stride = stride
        self.out = output_size(size, kernel, stride)

    def numbers(self, C: int, O: int) -> int:
        """The numbers that an image needs in the cache."""
        return self.out[0] * self.out[1] * (self.kernel[0] * self.kernel[1] * C + O)

    def shape(self, C: int, O: int) -> tuple[int, ...]:
        """The shape of the products of dW."""
        return self.kernel[0] * self.kernel[1] * C, O

    def matrix(self, W: Array) -> Array:
        """W' (KH·KW·C, O)."""
        return matrix(W)

    def columns(self, rows: Array) -> Array:
        """cols of a few images, in this thread's scratch memory."""
        K = self.kernel[0] * self.kernel[1] * rows.shape[3]
        cols = scratch("cols", (len(rows) * self.out[0] * self.out[1], K), rows)
        return im2col(rows, self.kernel, self.stride, cols)

    def products(self, name: str, y: Array) -> Array:
        """Where the products of images y (N, OH, OW, O) are to lie: in y itself."""
        return y.reshape(-1, y.shape[3])

    def finish(self, products: Array, b: Array | None, y: Array, name: str) -> None:
        """y += b."""
        if b is not None:
            add_to_pixels(y, b)

    def upstream(self, dys: Array) -> Array:
        """dy (N·OH·OW, O)."""
        return dys.reshape(-1, dys.shape[3])

    def kernels(self, product: Array) -> Array:
        """dW' (KH·KW·C, O)."""
        return product

    def turned(self, W: Array) -> Array:
        """W'ᵀ."""
        return matrix(W).T

    def add_windows(self, dy: Array, W_T: Array, dx: Array, corner: Pair) -> None:
        """dx (N, H, W, C) = the sum of the windows dcols = dy W'ᵀ.

        Pixel (0, 0) of dx is pixel `corner` of the padded image.
        """
        N, H, W, C = dx.shape
        OH, OW = self.out
        whole = dx if self.size == (H, W) else scratch("whole", (N, *self.size, C), dx)
        dcols = scratch("cols", (N * OH * OW, W_T.shape[1]), dx)
        dot(dy, W_T, out=dcols)
        whole[...] = 0
        col2im(dcols.reshape(N, OH, OW, *self.kernel, C), self.stride, whole)
        if whole is not dx:
            dx[...] = whole[:, corner[0] : corner[0] + H, corner[1] : corner[1] + W]


def way(rows: Array, O: int, kernel: Pair, stride: Pair) -> Columns | Winograd:
    """The faster way for images `rows` (N, H, W, C) and O kernels."""
    kind = Winograd if pays(rows, O, kernel, stride) else Columns
    H, W = rows.shape[1:3]
    return kind((H, W), kernel, stride)


def parts_of(rows: Array, way: Columns | Winograd, outputs: int) -> list[slice]:
    """Cut the batch. What a part needs, with `outputs` numbers for each window, fits the cache."""
    return parts(len(rows), way.numbers(rows.shape[3], outputs) * rows.itemsize, rows)
