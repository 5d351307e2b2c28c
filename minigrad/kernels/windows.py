"""The order of images in memory, and the windows that convolution and pooling take from them.

For the user an image batch is (N, C, H, W). In memory its channels come last: (N, H, W, C). The
user's array is a view of this memory. A window then has KH runs of KW·C neighbouring numbers.
Element-wise layers, pooling and matrix products can read memory from front to back.
(Element-wise operations of NumPy keep this order. Those of CuPy do not. A copy then restores it.)
"""

from __future__ import annotations

import numpy as np

from minigrad.backend import Array, array_module
from minigrad.kernels import device
from minigrad.kernels.device import convolution
from minigrad.kernels.memory import copy_pixels, scratch
from minigrad.kernels.switch import kernel

Pair = tuple[int, int]
Padding = Pair | tuple[Pair, Pair]  # (ph, pw), or ((above, below), (left, right))
ALL = slice(None)
SHORT_RUN = 16  # numbers. If a window's row has fewer, im2col copies image rows instead


def channels_last(x: Array, padding: Padding = (0, 0)) -> Array:
    """x (N, C, H, W) as contiguous (N, H + 2ph, W + 2pw, C), with zeros around the image.

    There is no copy if x already has this order in memory and there is no padding.
    """
    xp = array_module(x)
    rows = x.transpose(0, 2, 3, 1)
    if padding == (0, 0):
        return xp.ascontiguousarray(rows)
    if xp is not np and device.ready(x):
        return convolution.pad(x, both_sides(padding))
    N, H, W, C = rows.shape
    (above, below), (left, right) = both_sides(padding)
    padded = xp.zeros((N, above + H + below, left + W + right, C), x.dtype)
    padded[:, above : above + H, left : left + W] = rows
    return padded


def both_sides(padding: Padding) -> tuple[Pair, Pair]:
    """((above, below), (left, right)) from either form of a padding."""
    down, right = ((p, p) if isinstance(p, int) else p for p in padding)
    return down, right


def channels_first(rows: Array, padding: Padding = (0, 0)) -> Array:
    """rows (N, H + 2ph, W + 2pw, C) as (N, C, H, W), without the padding: a view."""
    if padding == (0, 0):
        return rows.transpose(0, 3, 1, 2)
    H, W = rows.shape[1:3]
    (above, below), (left, right) = both_sides(padding)
    return rows[:, above : H - below, left : W - right].transpose(0, 3, 1, 2)


def output_size(size: Pair, kernel: Pair, stride: Pair) -> Pair:
    """(OH, OW), the number of windows: OH = (H - KH)/s + 1, rounded down, OW likewise."""
    return (size[0] - kernel[0]) // stride[0] + 1, (size[1] - kernel[1]) // stride[1] + 1


def pooled_size(
    size: Pair, kernel: Pair, stride: Pair, padding: Pair = (0, 0), ceil_mode: bool = False
) -> Pair:
    """(OH, OW) for pooling: OH = (H + 2p - KH)/s + 1, rounded down, or up with ceil_mode.

    A window that would start behind the image and the padding above it is left out.
    """
    if padding == (0, 0) and not ceil_mode:
        return output_size(size, kernel, stride)
    up = (stride[0] - 1, stride[1] - 1) if ceil_mode else (0, 0)
    OH, OW = (
        min((n + 2 * p - k + r) // s, (n + p - 1) // s) + 1
        for n, k, s, p, r in zip(size, kernel, stride, padding, up, strict=True)
    )
    return OH, OW


def reach(size: int, k: int, stride: int, padding: int, n: int) -> tuple[slice, slice]:
    """(windows, pixels) along one axis: the windows whose element k is in the image, and which.

    The image has `size` pixels, there are n windows. Window i has the pixels i·s - p + k.
    """
    if padding == 0 and k + stride * (n - 1) < size:
        return ALL, slice(k, k + stride * (n - 1) + 1, stride)
    first = max(0, -((k - padding) // stride))
    end = max(first, min(n, (size - 1 + padding - k) // stride + 1))
    start = first * stride + k - padding
    return slice(first, end), slice(start, start + stride * (end - first), stride)


def reach_2d(
    size: Pair, k: int, l: int, stride: Pair, padding: Pair, n: Pair
) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """The same for element (k, l) of windows on images: two indices, for (N, ., ., C)."""
    rows, its_rows = reach(size[0], k, stride[0], padding[0], n[0])
    columns, its_columns = reach(size[1], l, stride[1], padding[1], n[1])
    return (slice(None), rows, columns), (slice(None), its_rows, its_columns)


def windows(rows: Array, kernel: Pair, stride: Pair) -> Array:
    """All windows of rows (N, H, W, C) as a view (N, OH, OW, KH, KW, C)."""
    N, H, W, C = rows.shape
    sn, sh, sw, sc = rows.strides
    shape = (N, *output_size((H, W), kernel, stride), *kernel, C)
    strides = (sn, sh * stride[0], sw * stride[1], sh, sw, sc)
    if type(rows) is np.ndarray and rows.flags.c_contiguous:
        return np.ndarray(shape, rows.dtype, rows, strides=strides)  # as_strided takes 5 µs more
    return array_module(rows).lib.stride_tricks.as_strided(rows, shape=shape, strides=strides)


def pixel(rows: Array, k: int, l: int, stride: Pair, size: Pair) -> Array:
    """Pixel (k, l) of every window of rows (N, H, W, C): a view. size = (OH, OW)."""
    sh, sw = stride
    OH, OW = size
    return rows[:, k : k + sh * (OH - 1) + 1 : sh, l : l + sw * (OW - 1) + 1 : sw]


def matrix(W: Array) -> Array:
    """W' (KH·KW·C, O). Each column is one kernel."""
    return W.transpose(2, 3, 1, 0).reshape(-1, len(W))


def kernels(matrix: Array, kernel_size: Pair) -> Array:
    """W (O, C, KH, KW), a view of W' (KH·KW·C, O)."""
    return matrix.reshape(*kernel_size, -1, matrix.shape[1]).transpose(3, 2, 0, 1)


def all_cols(rows: Array, kernel_size: Pair, stride: Pair) -> Array:
    """cols (N·OH·OW, KH·KW·C). Each row is one window."""
    view = windows(rows, kernel_size, stride)
    N, OH, OW, KH, KW, C = view.shape
    return view.reshape(N * OH * OW, KH * KW * C)


def add_to_pixels(y: Array, b: Array) -> None:
    """y += b, in place, for y (N, OH, OW, O) without gaps and b (O,).

    b is repeated for a whole row of pixels. NumPy is slow where its innermost loop is short.
    """
    N, OH, OW, O = y.shape
    rows = y.reshape(N * OH, OW * O)
    rows += array_module(y, b).concatenate([b] * OW)


def images(y: Array, rows: Array, kernel_size: Pair, stride: Pair) -> Array:
    """y (N·OH·OW, O), with one row for each window of `rows`, as (N, O, OH, OW)."""
    size = output_size(rows.shape[1:3], kernel_size, stride)
    return channels_first(y.reshape(len(rows), *size, y.shape[1]))


@kernel
def im2col(rows: Array, kernel: Pair, stride: Pair, cols: Array) -> Array:
    """cols (N·OH·OW, KH·KW·C). Each row is one window of rows (N, H, W, C).

    A row of a window has KW·C numbers. If these are few, the transpose of cols is filled instead:
    its rows consist of long runs of image rows. The result is then a transposed view.
    """
    view = windows(rows, kernel, stride)
    if kernel[1] * rows.shape[3] >= SHORT_RUN:
        cols.reshape(view.shape)[...] = view
        return cols
    N, OH, OW, KH, KW, C = view.shape
    turned = cols.reshape(KH, KW, C, N, OH, OW)
    copy_pixels(turned, view.transpose(3, 4, 5, 0, 1, 2))  # at once: threads wait less
    return turned.reshape(KH * KW * C, N * OH * OW).T


@im2col.plain
def im2col_plain(rows: Array, kernel: Pair, stride: Pair, cols: Array) -> Array:
    cols[...] = windows(rows, kernel, stride).reshape(cols.shape)
    return cols


@kernel
def col2im(dcols: Array, stride: Pair, dx: Array) -> None:
    """dx[n, i·s + k, j·s + l] += dcols[n, i, j, k, l] for all windows (i, j) and all k, l.

    dcols is (N, OH, OW, KH, KW, C). The sum over i and k comes first, then the sum over j and l.
    """
    N, OH, OW, KH, KW, C = dcols.shape
    sh, sw = stride
    sums = scratch("sums", (N, dx.shape[1], OW, KW, C), dx)
    sums[...] = 0
    for k in range(KH):
        sums[:, k : k + sh * (OH - 1) + 1 : sh] += dcols[:, :, :, k]
    for l in range(KW):
        dx[:, :, l : l + sw * (OW - 1) + 1 : sw] += sums[:, :, :, l]


@col2im.plain
def col2im_plain(dcols: Array, stride: Pair, dx: Array) -> None:
    # dx[n, i·s + k, j·s + l] += dcols[n, i, j, k, l]
    _, OH, OW, KH, KW, _ = dcols.shape
    for k in range(KH):
        for l in range(KW):
            place = pixel(dx, k, l, stride, (OH, OW))
            place += dcols[:, :, :, k, l]
