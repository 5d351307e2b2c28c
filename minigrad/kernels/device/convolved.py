"""Convolution on a GPU: a launch for the windows, one product, a launch for b.

Plain forms: kernels/convolution.

x, y, dx, dy are (N, C, H, W), W and dW are (O, C, KH, KW). In memory the channels come last, and W'
(KH·KW·C, O) lies in memory as it is: no product needs a copy of its factors. A large batch is cut
into parts, so that `cols` needs a bounded amount of memory. There is no Winograd form here.
"""

from __future__ import annotations

from minigrad.backend import Array, Tangent
from minigrad.kernels import device
from minigrad.kernels.device import sums
from minigrad.kernels.device.convolution import col2im, im2col
from minigrad.kernels.parts import parts
from minigrad.kernels.recording import dot
from minigrad.kernels.windows import (
    Padding,
    Pair,
    both_sides,
    channels_first,
    channels_last,
    kernels,
    matrix,
    output_size,
)

Part = slice | None  # a part of the batch. None: all of it


def convolve(x: Array, W: Array, b: Tangent, stride: Pair, padding: Padding) -> tuple[Array, Array]:
    """(y, rows)."""
    rows = channels_last(x, padding)
    return _sum_of_convolutions([(rows, W)], b, stride), rows


def convolve_jvp(
    rows: Array,
    x_dot: Tangent,
    W: Array,
    W_dot: Tangent,
    b_dot: Tangent,
    stride: Pair,
    padding: Padding,
) -> Array:
    terms = [] if x_dot is None else [(channels_last(x_dot, padding), W)]
    if W_dot is not None:
        terms.append((rows, W_dot))
    return _sum_of_convolutions(terms, b_dot, stride)


def convolve_with_tangent(
    x: Array,
    x_dot: Tangent,
    W: Array,
    W_dot: Array,
    b: Tangent,
    b_dot: Tangent,
    stride: Pair,
    padding: Padding,
) -> tuple[Array, Array]:
    """(y, y_dot). cols(x) is made once."""
    xp = device.module(x)
    rows = channels_last(x, padding)
    rows_dot = None if x_dot is None else channels_last(x_dot, padding)
    kernel = W.shape[2:]
    O = len(W)
    size = output_size(rows.shape[1:3], kernel, stride)
    shape = len(x), *size, O
    y, y_dot = (xp.empty((len(x) * size[0] * size[1], O), x.dtype) for _ in range(2))
    W = matrix(W)
    W_dot = matrix(W_dot)

    def work(part: Part) -> None:
        cols = _cols(part, rows, kernel, stride, size)
        dot(cols, W, out=_windows(part, y, size))
        moved = _windows(part, y_dot, size)
        dot(cols, W_dot, out=moved)
        if rows_dot is not None:
            del cols
            cols = _cols(part, rows_dot, kernel, stride, size)
            sums.add_terms(moved, dot(cols, W), b_dot)

    for part in _parts(rows, kernel, size, 2 * O):
        work(part)
    if b is not None:
        sums.add_row(y, b)
    if rows_dot is None and b_dot is not None:
        sums.add_row(y_dot, b_dot)
    return channels_first(y.reshape(shape)), channels_first(y_dot.reshape(shape))


def kernel_gradients(dy: Array, rows: Array, kernel: Pair, stride: Pair) -> tuple[Array, Array]:
    """(dW, db)."""
    xp = device.module(dy)
    dys = channels_last(dy)
    _, OH, OW, O = dys.shape
    dys = dys.reshape(-1, O)

    def work(part: Part) -> Array:
        cols = _cols(part, rows, kernel, stride, (OH, OW))
        return dot(cols.T, _windows(part, dys, (OH, OW)))

    products = [work(part) for part in _parts(rows, kernel, (OH, OW), O)]
    if not products:  # no example
        products = [xp.zeros((kernel[0] * kernel[1] * rows.shape[3], O), dy.dtype)]
    return kernels(sum(products[1:], products[0]), kernel), sums.column_sums(dys)


def image_gradient(dy: Array, rows: Array, W: Array, stride: Pair, padding: Padding) -> Array:
    """dx, without the padding."""
    dys = channels_last(dy)
    _, OH, OW, O = dys.shape
    dys = dys.reshape(-1, O)
    kernel = W.shape[2:]
    edges = both_sides(padding)
    N, C, H, W_ = channels_first(rows, padding).shape
    W = matrix(W)
    dx = device.module(dy).empty((N, H, W_, C), dy.dtype)

    def work(part: Part) -> None:
        dcols = dot(_windows(part, dys, (OH, OW)), W.T)
        col2im(dcols, kernel, stride, (OH, OW), edges, dx if part is None else dx[part])

    for part in _parts(rows, kernel, (OH, OW), O):
        work(part)
    return channels_first(dx)


def _sum_of_convolutions(terms: list[tuple[Array, Array]], b: Tangent, stride: Pair) -> Array:
    """Σ cols(rows) W' + b over one or two terms (rows, W), as (N, O, OH, OW)."""
    rows, W = terms[0]
    N = len(rows)
    O = len(W)
    kernel = W.shape[2:]
    xp = device.module(rows)
    size = output_size(rows.shape[1:3], kernel, stride)
    y = xp.empty((N * size[0] * size[1], O), rows.dtype)

    def work(part: Part, i: int, rows: Array, W: Array) -> None:
        cols = _cols(part, rows, kernel, stride, size)
        out = _windows(part, y, size)
        if i == 0:
            dot(cols, W, out=out)
        else:
            sums.add_terms(out, dot(cols, W), b)

    factors = [(i, rows, matrix(W)) for i, (rows, W) in enumerate(terms)]
    for part in _parts(rows, kernel, size, O):
        for factor in factors:
            work(part, *factor)
    if len(terms) == 1 and b is not None:
        sums.add_row(y, b)
    return channels_first(y.reshape(N, *size, O))


def _cols(part: Part, rows: Array, kernel: Pair, stride: Pair, size: Pair) -> Array:
    """cols (n·OH·OW, KH·KW·C) of n images. Windows of one pixel are the pixels themselves."""
    if part is not None:
        rows = rows[part]
    if kernel == (1, 1) and stride == (1, 1):
        return rows.reshape(-1, rows.shape[3])
    return im2col(rows, kernel, stride, size)


def _windows(part: Part, y: Array, size: Pair) -> Array:
    """The rows of y (N·OH·OW, O) that belong to these images."""
    if part is None:
        return y
    each = size[0] * size[1]
    return y[part.start * each : part.stop * each]


def _parts(rows: Array, kernel: Pair, size: Pair, outputs: int) -> list[Part]:
    """Cut the batch, so that a part's cols and products need a bounded amount of memory."""
    numbers = size[0] * size[1] * (kernel[0] * kernel[1] * rows.shape[3] + outputs)
    found = parts(len(rows), numbers * rows.itemsize, rows)
    return [None] if len(found) == 1 else [*found]
