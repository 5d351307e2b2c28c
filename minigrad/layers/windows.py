"""How images lie in memory, and the windows that convolution and pooling cut out of them.

The API has images as (N, C, H, W); in memory the channels come last, (N, H, W, C), and the
API's array is a view of that. A window is then KH runs of KW·C neighbouring numbers, and
element-wise layers, pooling and the matrix products of a convolution all stream through memory.
(NumPy keeps this order through element-wise operations. CuPy does not: there a copy restores it.)
"""

from __future__ import annotations

from collections.abc import Iterator

from minigrad.backend import Array, array_module

Pair = tuple[int, int]


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


def window_pixels(kernel: Pair, stride: Pair, size: Pair) -> Iterator[tuple[Pair, tuple]]:
    """For each element (k, l) of a window: which pixels of (N, H, W, C) the OH·OW windows see."""
    for k in range(kernel[0]):
        for l in range(kernel[1]):
            rows = slice(k, k + stride[0] * (size[0] - 1) + 1, stride[0])
            columns = slice(l, l + stride[1] * (size[1] - 1) + 1, stride[1])
            yield (k, l), (slice(None), rows, columns)
