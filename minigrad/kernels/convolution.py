"""Convolution as products of matrices: its value, its gradients and its tangent.

Write all windows of x into the rows of a matrix `cols` (N·OH·OW, KH·KW·C). Write the O kernels into
the columns of a matrix W' (KH·KW·C, O). Then every output pixel is one entry of cols W' + b.
The plain forms compute exactly this. The fast forms take one or a few images at a time. Their part
of `cols` then stays in the cache.

x, y, dx, dy are (N, C, H, W). W and dW are (O, C, KH, KW). `rows` is x, padded, with its channels
last: (N, H + 2ph, W + 2pw, C). A tangent that is None is 0.
"""

from __future__ import annotations

from collections.abc import Sequence

from minigrad.backend import Array, Tangent, array_module
from minigrad.kernels import device, winograd
from minigrad.kernels.device import convolved
from minigrad.kernels.device.layout import given
from minigrad.kernels.memory import scratch
from minigrad.kernels.parts import groups, parts, share
from minigrad.kernels.recording import dot
from minigrad.kernels.switch import kernel
from minigrad.kernels.windows import (
    Padding,
    Pair,
    all_cols,
    channels_first,
    channels_last,
    col2im,
    im2col,
    images,
    kernels,
    matrix,
    output_size,
)


@kernel
def convolve(x: Array, W: Array, b: Tangent, stride: Pair, padding: Padding) -> tuple[Array, Array]:
    """(y, rows) with y = cols(x) W' + b. The derivatives need `rows`."""
    if device.ready(*given(x, W, b)):
        return convolved.convolve(x, W, b, stride, padding)
    rows = channels_last(x, padding)
    return _sum_of_convolutions([(rows, W)], b, stride), rows


@convolve.plain
def convolve_plain(
    x: Array, W: Array, b: Tangent, stride: Pair, padding: Padding
) -> tuple[Array, Array]:
    rows = channels_last(x, padding)
    cols = all_cols(rows, W.shape[2:], stride)
    # y = cols W' + b
    y = cols @ matrix(W)
    if b is not None:
        y = y + b
    return images(y, rows, W.shape[2:], stride), rows


@kernel
def convolve_jvp(
    rows: Array,
    x_dot: Tangent,
    W: Array,
    W_dot: Tangent,
    b_dot: Tangent,
    stride: Pair,
    padding: Padding,
) -> Array:
    """y_dot = cols(x_dot) W' + cols(x) W_dot' + b_dot."""
    if device.ready(*given(rows, x_dot, W, W_dot, b_dot)):
        return convolved.convolve_jvp(rows, x_dot, W, W_dot, b_dot, stride, padding)
    terms = [] if x_dot is None else [(channels_last(x_dot, padding), W)]
    if W_dot is not None:
        terms.append((rows, W_dot))
    return _sum_of_convolutions(terms, b_dot, stride)


@convolve_jvp.plain
def convolve_jvp_plain(
    rows: Array,
    x_dot: Tangent,
    W: Array,
    W_dot: Tangent,
    b_dot: Tangent,
    stride: Pair,
    padding: Padding,
) -> Array:
    kernel_size = W.shape[2:]
    terms = []
    if x_dot is not None:
        terms.append(all_cols(channels_last(x_dot, padding), kernel_size, stride) @ matrix(W))
    if W_dot is not None:
        terms.append(all_cols(rows, kernel_size, stride) @ matrix(W_dot))
    if b_dot is not None:
        terms.append(b_dot)
    return images(sum(terms[1:], terms[0]), rows, kernel_size, stride)


@kernel
def kernel_gradients(
    dy: Array, rows: Array, kernel_size: Pair, stride: Pair
) -> tuple[Array, Array]:
    """(dW, db): dW' = colsᵀ dy, db = Σ dy. Each group of parts is summed first, then the groups."""
    if device.ready(dy, rows):
        return convolved.kernel_gradients(dy, rows, kernel_size, stride)
    dys = channels_last(dy)
    xp = array_module(dy, rows)
    C = rows.shape[3]
    O = dys.shape[3]
    K = kernel_size[0] * kernel_size[1] * C

    def work(group: Sequence[slice]) -> tuple[Array, Array]:
        dW = xp.zeros((K, O), dy.dtype)
        db = xp.zeros(O, dy.dtype)
        product = scratch("product", (K, O), dy)
        for part in group:
            cols = _cols(rows[part], kernel_size, stride)
            dy_part = dys[part].reshape(-1, O)
            dW += dot(cols.T, dy_part, out=product)
            db += dot(xp.ones(len(cols), dy.dtype), dy_part)
        return dW, db

    cut = groups(_parts(rows, kernel_size, stride, O)) or [[]]
    dWs, dbs = zip(*share(work, cut, rows), strict=True)
    return kernels(sum(dWs[1:], dWs[0]), kernel_size), sum(dbs[1:], dbs[0])


@kernel_gradients.plain
def kernel_gradients_plain(
    dy: Array, rows: Array, kernel_size: Pair, stride: Pair
) -> tuple[Array, Array]:
    cols = all_cols(rows, kernel_size, stride)
    dys = channels_last(dy).reshape(-1, dy.shape[1])
    # dW' = colsᵀ dy,  db = Σ dy
    return kernels(cols.T @ dys, kernel_size), dys.sum(axis=0)


@kernel
def image_gradient(dy: Array, rows: Array, W: Array, stride: Pair, padding: Padding) -> Array:
    """dx from dcols = dy W'ᵀ: each window of dcols is added to its own pixels of x."""
    if device.ready(dy, rows, W):
        return convolved.image_gradient(dy, rows, W, stride, padding)
    dys = channels_last(dy)
    xp = array_module(dy, W)
    _, OH, OW, O = dys.shape
    C = W.shape[1]
    kernel_size = W.shape[2:]
    W = matrix(W)
    dx = xp.zeros_like(rows)

    def work(part: slice) -> None:
        n = len(dys[part])
        dcols = scratch("cols", (n * OH * OW, len(W)), dx)
        dot(dys[part].reshape(-1, O), W.T, out=dcols)
        col2im(dcols.reshape(n, OH, OW, *kernel_size, C), stride, dx[part])

    share(work, _parts(rows, kernel_size, stride, O), rows)
    return channels_first(dx, padding)


@image_gradient.plain
def image_gradient_plain(dy: Array, rows: Array, W: Array, stride: Pair, padding: Padding) -> Array:
    N, O, OH, OW = dy.shape
    dx = array_module(dy, W).zeros_like(rows)
    # dcols = dy W'ᵀ
    dcols = channels_last(dy).reshape(-1, O) @ matrix(W).T
    col2im(dcols.reshape(N, OH, OW, *W.shape[2:], W.shape[1]), stride, dx)
    return channels_first(dx, padding)


@kernel
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
    """y = cols(x) W' + b and y_dot = cols(x) W_dot' + cols(x_dot) W' + b_dot.

    cols(x) is made once. If it is faster, `winograd` computes the products.
    """
    if device.ready(*given(x, x_dot, W, W_dot, b, b_dot)):
        return convolved.convolve_with_tangent(x, x_dot, W, W_dot, b, b_dot, stride, padding)
    rows = channels_last(x, padding)
    rows_dot = None if x_dot is None else channels_last(x_dot, padding)
    xp = array_module(x, W_dot)
    kernel_size = W.shape[2:]
    O = len(W)
    OH, OW = output_size(rows.shape[1:3], kernel_size, stride)
    y = xp.empty((len(x), OH, OW, O), x.dtype)
    y_dot = xp.empty_like(y)
    m = winograd.rows_at_once(rows.shape[1:3], kernel_size, stride, x.shape[1])
    W = matrix(W)
    W_dot = matrix(W_dot)
    if m:
        W = winograd.kernels(W, m)
        W_dot = winograd.kernels(W_dot, m)

    def columns(rows: Array) -> Array:
        if m:
            return winograd.columns(rows, m, kernel_size[1], stride[1])
        return _cols(rows, kernel_size, stride)

    def place(name: str, y: Array) -> Array:
        """The array for the products. Without `winograd` it is y itself."""
        return scratch(name, (m + 2, y.size // (m * O), O), y) if m else y.reshape(-1, O)

    def finish(products: Array, b: Tangent, y: Array) -> None:
        if m:
            winograd.add_up(products, b, y)
        elif b is not None:
            products += b

    def work(part: slice) -> None:
        own = place("products", y[part])
        own_dot = place("products_dot", y_dot[part])
        cols = columns(rows[part])
        dot(cols, W, out=own)
        dot(cols, W_dot, out=own_dot)
        if rows_dot is not None:
            cols = columns(rows_dot[part])
            own_dot += dot(cols, W, out=scratch("more", own_dot.shape, y))
        finish(own, b, y[part])
        finish(own_dot, b_dot, y_dot[part])

    share(work, _parts(rows, kernel_size, stride, 2 * O, m), rows)
    return channels_first(y), channels_first(y_dot)


@convolve_with_tangent.plain
def convolve_with_tangent_plain(
    x: Array,
    x_dot: Tangent,
    W: Array,
    W_dot: Array,
    b: Tangent,
    b_dot: Tangent,
    stride: Pair,
    padding: Padding,
) -> tuple[Array, Array]:
    y, rows = convolve_plain(x, W, b, stride, padding)
    return y, convolve_jvp_plain(rows, x_dot, W, W_dot, b_dot, stride, padding)


def _cols(rows: Array, kernel_size: Pair, stride: Pair) -> Array:
    """cols for a few images. It lies in this thread's scratch memory."""
    OH, OW = output_size(rows.shape[1:3], kernel_size, stride)
    K = kernel_size[0] * kernel_size[1] * rows.shape[3]
    cols = scratch("cols", (len(rows) * OH * OW, K), rows)
    return im2col(rows, kernel_size, stride, cols)


def _sum_of_convolutions(terms: list[tuple[Array, Array]], b: Tangent, stride: Pair) -> Array:
    """Σ cols(rows) W' + b over the terms (rows, W), as (N, O, OH, OW)."""
    rows, W = terms[0]
    kernel_size = W.shape[2:]
    O = len(W)
    xp = array_module(rows)
    y = xp.empty((len(rows), *output_size(rows.shape[1:3], kernel_size, stride), O), rows.dtype)
    products = [(rows, matrix(W)) for rows, W in terms]

    def work(part: slice) -> None:
        out = y[part].reshape(-1, O)
        for i, (rows, W) in enumerate(products):
            cols = _cols(rows[part], kernel_size, stride)
            if i == 0:
                dot(cols, W, out=out)
            else:
                out += dot(cols, W)
        if b is not None:
            out += b

    share(work, _parts(rows, kernel_size, stride, O), rows)
    return channels_first(y)


def _parts(rows: Array, kernel_size: Pair, stride: Pair, outputs: int, m: int = 0) -> list[slice]:
    """Cut the batch. A part's cols, and `outputs` numbers for each window, fit the cache."""
    OH, OW = output_size(rows.shape[1:3], kernel_size, stride)
    KH, KW = kernel_size
    if m:  # the m of `winograd`. Its windows have one row
        OH = OH // m * (m + 2)
        KH = 1
    numbers = OH * OW * (KH * KW * rows.shape[3] + outputs)
    return parts(len(rows), numbers * rows.itemsize, rows)
