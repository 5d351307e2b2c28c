"""Convolution on a GPU: a launch for the windows, one product, a launch for b.

Plain forms: kernels/convolution.

x, y, dx, dy are (N, C, H, W), W and dW are (O, C, KH, KW). In memory the channels come last, and W'
(KH·KW·C, O) lies in memory as it is: no product needs a copy of its factors. A large batch is cut
into parts, so that `cols` needs a bounded amount of memory. There is no Winograd form here.
"""

from __future__ import annotations

from minigrad.backend import Array, Tangent, array_module
from minigrad.kernels.device import sums
from minigrad.kernels.device.convolution import col2im, im2col
from minigrad.kernels.parts import parts
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
    xp = array_module(x, W_dot)
    rows = channels_last(x, padding)
    rows_dot = None if x_dot is None else channels_last(x_dot, padding)
    kernel = W.shape[2:]
    O = len(W)
    size = output_size(rows.shape[1:3], kernel, stride)
    y = xp.empty((len(x), *size, O), x.dtype)
    y_dot = xp.empty(y.shape, x.dtype)
    W = matrix(W)
    W_dot = matrix(W_dot)
    for part in _parts(rows, kernel, size, 2 * O):
        cols = _cols(rows[part], kernel, stride, size)
        xp.matmul(cols, W, out=y[part].reshape(-1, O))
        moved = y_dot[part].reshape(-1, O)
        xp.matmul(cols, W_dot, out=moved)
        if rows_dot is not None:
            cols = _cols(rows_dot[part], kernel, stride, size)
            sums.add_terms(moved, cols @ W, b_dot)
    if b is not None:
        sums.add_row(y, b)
    if rows_dot is None and b_dot is not None:
        sums.add_row(y_dot, b_dot)
    return channels_first(y), channels_first(y_dot)


def kernel_gradients(dy: Array, rows: Array, kernel: Pair, stride: Pair) -> tuple[Array, Array]:
    """(dW, db)."""
    dys = channels_last(dy)
    _, OH, OW, O = dys.shape
    dW = None
    for part in _parts(rows, kernel, (OH, OW), O):
        cols = _cols(rows[part], kernel, stride, (OH, OW))
        product = cols.T @ dys[part].reshape(-1, O)
        dW = product if dW is None else dW + product
    if dW is None:  # no example
        dW = array_module(dy).zeros((kernel[0] * kernel[1] * rows.shape[3], O), dy.dtype)
    return kernels(dW, kernel), sums.column_sums(dys.reshape(-1, O))


def image_gradient(dy: Array, rows: Array, W: Array, stride: Pair, padding: Padding) -> Array:
    """dx, without the padding."""
    dys = channels_last(dy)
    _, OH, OW, O = dys.shape
    kernel = W.shape[2:]
    edges = both_sides(padding)
    shape = channels_first(rows, padding).shape
    W = matrix(W)
    dx = array_module(dy, W).empty((len(dy), *shape[2:], shape[1]), dy.dtype)
    for part in _parts(rows, kernel, (OH, OW), O):
        dcols = dys[part].reshape(-1, O) @ W.T
        col2im(dcols, kernel, stride, (OH, OW), edges, dx[part])
    return channels_first(dx)


def _sum_of_convolutions(terms: list[tuple[Array, Array]], b: Tangent, stride: Pair) -> Array:
    """Σ cols(rows) W' + b over one or two terms (rows, W), as (N, O, OH, OW)."""
    rows, W = terms[0]
    kernel = W.shape[2:]
    O = len(W)
    xp = array_module(rows, W)
    size = output_size(rows.shape[1:3], kernel, stride)
    y = xp.empty((len(rows), *size, O), rows.dtype)
    factors = [(rows, matrix(W)) for rows, W in terms]
    for part in _parts(rows, kernel, size, O):
        out = y[part].reshape(-1, O)
        for i, (rows, W) in enumerate(factors):
            cols = _cols(rows[part], kernel, stride, size)
            if i == 0:
                xp.matmul(cols, W, out=out)
            else:
                sums.add_terms(out, cols @ W, b)
    if len(terms) == 1 and b is not None:
        sums.add_row(y, b)
    return channels_first(y)


def _cols(rows: Array, kernel: Pair, stride: Pair, size: Pair) -> Array:
    """cols (N·OH·OW, KH·KW·C). Windows of one pixel are the pixels themselves."""
    if kernel == (1, 1) and stride == (1, 1):
        return rows.reshape(-1, rows.shape[3])
    return im2col(rows, kernel, stride, size)


def _parts(rows: Array, kernel: Pair, size: Pair, outputs: int) -> list[slice]:
    """Cut the batch, so that a part's cols and products need a bounded amount of memory."""
    numbers = size[0] * size[1] * (kernel[0] * kernel[1] * rows.shape[3] + outputs)
    return parts(len(rows), numbers * rows.itemsize, rows)
