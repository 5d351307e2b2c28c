"""How images lie in memory, and the windows that convolution and pooling cut out of them.

The API has images as (N, C, H, W); in memory the channels come last, (N, H, W, C), and the
API's array is a view of that. A window is then KH runs of KW·C neighbouring numbers, and
element-wise layers, pooling and the matrix products of a convolution all stream through memory.
(NumPy keeps this order through element-wise operations. CuPy does not: there a copy restores it.)
"""

from __future__ import annotations

from minigrad.backend import Array, array_module
from minigrad.kernels.parallel import scratch

Pair = tuple[int, int]
SHORT_RUN = 16  # numbers in a row of a window below which im2col copies image rows instead


def channels_last(x: Array, padding: Pair = (0, 0)) -> Array:
    """x (N, C, H, W) as contiguous (N, H + 2ph, W + 2pw, C), zeros around the image.

    No copy where x already lies so and nothing is padded.
    """
    xp = array_module(x)
    rows = x.transpose(0, 2, 3, 1)
    if padding == (0, 0):
        return xp.ascontiguousarray(rows)
    (N, H, W, C), (ph, pw) = rows.shape, padding
    padded = xp.zeros((N, H + 2 * ph, W + 2 * pw, C), x.dtype)
    padded[:, ph : ph + H, pw : pw + W] = rows
    return padded


def channels_first(rows: Array) -> Array:
    """(N, H, W, C) seen as (N, C, H, W): a view, no copy."""
    return rows.transpose(0, 3, 1, 2)


def output_size(size: Pair, kernel: Pair, stride: Pair) -> Pair:
    """How many windows fit into (H, W): (H - KH)/s + 1, rounded down; W likewise."""
    return (size[0] - kernel[0]) // stride[0] + 1, (size[1] - kernel[1]) // stride[1] + 1


def windows(rows: Array, kernel: Pair, stride: Pair) -> Array:
    """All windows of rows (N, H, W, C) as a view (N, OH, OW, KH, KW, C)."""
    (N, H, W, C), (sn, sh, sw, sc) = rows.shape, rows.strides
    OH, OW = output_size((H, W), kernel, stride)
    return array_module(rows).lib.stride_tricks.as_strided(
        rows,
        shape=(N, OH, OW, *kernel, C),
        strides=(sn, sh * stride[0], sw * stride[1], sh, sw, sc),
    )


def im2col(rows: Array, kernel: Pair, stride: Pair, cols: Array) -> Array:
    """Every window of rows (N, H, W, C) as one row of a matrix (N·OH·OW, KH·KW·C), in `cols`.

    The plain form is `windows(rows, kernel, stride).reshape(len(cols), -1)`. Where a window's rows
    are short (KW·C numbers, few channels), `cols` is filled as its transpose, whose rows are made
    of whole image rows: a matrix product takes either.
    """
    view = windows(rows, kernel, stride)
    if kernel[1] * rows.shape[3] >= SHORT_RUN:
        cols.reshape(view.shape)[...] = view
        return cols
    N, OH, OW, KH, KW, C = view.shape
    turned = cols.reshape(KH, KW, C, N, OH, OW)
    for k in range(KH):
        for l in range(KW):
            turned[k, l] = view[:, :, :, k, l].transpose(3, 0, 1, 2)
    return turned.reshape(KH * KW * C, N * OH * OW).T


def col2im(dcols: Array, stride: Pair, dx: Array) -> None:
    """Add every window of dcols (N, OH, OW, KH, KW, C) to the pixels of dx that it was cut from.

    The plain form is `dx[:, i·s + k, j·s + l] += dcols[:, i, j, k, l]` for all i, j, k, l. Here
    the windows of one image column are added up first, then the columns: fewer, longer sums.
    """
    (N, OH, OW, KH, KW, C), (sh, sw) = dcols.shape, stride
    sums = scratch("sums", (N, dx.shape[1], OW, KW, C), dx)
    sums[...] = 0
    for k in range(KH):
        sums[:, k : k + sh * (OH - 1) + 1 : sh] += dcols[:, :, :, k]
    for l in range(KW):
        dx[:, :, l : l + sw * (OW - 1) + 1 : sw] += sums[:, :, :, l]
