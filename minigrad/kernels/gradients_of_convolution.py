"""The gradients of a convolution: of its kernels, and of its images.

dW' = colsᵀ dy, db = Σ dy, and dx from dcols = dy W'ᵀ: each window is added to its own pixels of x.
The fast forms take a few images at a time, and in float32 `winograd` where it is faster, as in
kernels/convolution. The names and shapes are the same there.
"""

from __future__ import annotations

from collections.abc import Sequence

from minigrad.backend import Array, Tangent, array_module
from minigrad.kernels import device
from minigrad.kernels.columns import parts_of, way
from minigrad.kernels.device import convolved
from minigrad.kernels.memory import scratch
from minigrad.kernels.parts import groups, share
from minigrad.kernels.recording import long_dot
from minigrad.kernels.switch import kernel
from minigrad.kernels.windows import (
    Padding,
    Pair,
    all_cols,
    both_sides,
    channels_first,
    channels_last,
    col2im,
    kernels,
    matrix,
)


@kernel
def kernel_gradients(
    dy: Array, rows: Array, kernel_size: Pair, stride: Pair
) -> tuple[Array, Array]:
    """(dW, db): dW' = colsᵀ dy, db = Σ dy. Each group of parts is summed first, then the groups."""
    if device.ready(dy, rows):
        return convolved.kernel_gradients(dy, rows, kernel_size, stride)
    return _gradients(dy, rows, None, kernel_size, stride, (0, 0))[:2]


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
    N, H, W_, C = rows.shape
    (above, below), (left, right) = both_sides(padding)
    dx = array_module(dy, W).empty((N, H - above - below, W_ - left - right, C), rows.dtype)
    by = way(rows, len(W), (W.shape[2], W.shape[3]), stride)
    W = by.turned(W)

    def work(part: slice) -> None:
        by.add_windows(by.upstream(dys[part]), W, dx[part], (above, left))

    share(work, parts_of(rows, by, dys.shape[3]), rows)
    return channels_first(dx)


@image_gradient.plain
def image_gradient_plain(dy: Array, rows: Array, W: Array, stride: Pair, padding: Padding) -> Array:
    N, O, OH, OW = dy.shape
    dx = array_module(dy, W).zeros_like(rows)
    # dcols = dy W'ᵀ
    dcols = channels_last(dy).reshape(-1, O) @ matrix(W).T
    col2im(dcols.reshape(N, OH, OW, *W.shape[2:], W.shape[1]), stride, dx)
    return channels_first(dx, padding)


@kernel
def gradients(
    dy: Array, rows: Array, W: Array, stride: Pair, padding: Padding
) -> tuple[Array, Array, Array]:
    """(dW, db, dx). dy is brought into the form for the products once, while it is in the cache."""
    if device.ready(dy, rows, W):
        kernel_size = W.shape[2], W.shape[3]
        dW, db = convolved.kernel_gradients(dy, rows, kernel_size, stride)
        return dW, db, convolved.image_gradient(dy, rows, W, stride, padding)
    return _gradients(dy, rows, W, (W.shape[2], W.shape[3]), stride, padding)


@gradients.plain
def gradients_plain(
    dy: Array, rows: Array, W: Array, stride: Pair, padding: Padding
) -> tuple[Array, Array, Array]:
    dW, db = kernel_gradients_plain(dy, rows, (W.shape[2], W.shape[3]), stride)
    return dW, db, image_gradient_plain(dy, rows, W, stride, padding)


def _gradients(
    dy: Array, rows: Array, W: Tangent, kernel_size: Pair, stride: Pair, padding: Padding
) -> tuple[Array, Array, Tangent]:
    """(dW, db, dx). W None: dx is not computed."""
    dys = channels_last(dy)
    xp = array_module(dy, rows)
    N, H, W_, C = rows.shape
    O = dys.shape[3]
    by = way(rows, O, kernel_size, stride)
    (above, below), (left, right) = both_sides(padding)
    dx: Tangent = None
    turned: Tangent = None
    if W is not None:
        dx = xp.empty((N, H - above - below, W_ - left - right, C), rows.dtype)
        turned = by.turned(W)

    def work(group: Sequence[slice]) -> tuple[Array, Array]:
        total = xp.zeros(by.shape(C, O), dy.dtype)
        product = scratch("product", total.shape, dy)
        db = xp.zeros(O, dy.dtype)
        for part in group:
            cols = by.columns(rows[part])
            cols = cols.T if cols.ndim == 2 else cols.swapaxes(1, 2)
            upstream = by.upstream(dys[part])
            total += long_dot(cols, upstream, out=product)
            dy_part = dys[part].reshape(-1, O)
            db += long_dot(xp.ones(len(dy_part), dy.dtype), dy_part)
            if dx is not None:  # cols are not needed any more: their memory is used again
                by.add_windows(upstream, turned, dx[part], (above, left))
        return by.kernels(total), db

    cut = groups(parts_of(rows, by, O)) or [[]]
    dWs, dbs = zip(*share(work, cut, rows), strict=True)
    dW = kernels(sum(dWs[1:], dWs[0]), kernel_size)
    return dW, sum(dbs[1:], dbs[0]), dx if dx is None else channels_first(dx)
