"""Convolution as products of matrices: its value and its tangent.

Write all windows of x into the rows of a matrix `cols` (N·OH·OW, KH·KW·C). Write the O kernels into
the columns of a matrix W' (KH·KW·C, O). Then every output pixel is one entry of cols W' + b.
The plain forms compute exactly this. The fast forms take one or a few images at a time. Their part
of `cols` then stays in the cache. In float32 they use `winograd` where it is faster. Its results
differ from the plain ones in the last digits. The gradients: see gradients_of_convolution.

x, y, dx, dy are (N, C, H, W). W and dW are (O, C, KH, KW). `rows` is x, padded, with its channels
last: (N, H + 2ph, W + 2pw, C). A tangent that is None is 0.
"""

from __future__ import annotations

from minigrad.backend import Array, Tangent, array_module
from minigrad.kernels import device
from minigrad.kernels.columns import parts_of, way
from minigrad.kernels.device import convolved
from minigrad.kernels.device.layout import given
from minigrad.kernels.gradients_of_convolution import gradients, image_gradient, kernel_gradients
from minigrad.kernels.memory import scratch
from minigrad.kernels.parts import share
from minigrad.kernels.recording import dot
from minigrad.kernels.switch import kernel
from minigrad.kernels.windows import (
    Padding,
    Pair,
    all_cols,
    channels_first,
    channels_last,
    images,
    matrix,
)

__all__ = [
    "convolve",
    "convolve_jvp",
    "convolve_with_tangent",
    "gradients",
    "image_gradient",
    "kernel_gradients",
]


@kernel
def convolve(x: Array, W: Array, b: Tangent, stride: Pair, padding: Padding) -> tuple[Array, Array]:
    """(y, rows) with y = cols(x) W' + b. The derivatives need `rows`."""
    if device.ready(*given(x, W, b)):
        return convolved.convolve(x, W, b, stride, padding)
    rows = channels_last(x, padding)
    return _convolutions([(rows, [(W, 0)])], [b], stride)[0], rows


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
    terms = [] if x_dot is None else [(channels_last(x_dot, padding), [(W, 0)])]
    if W_dot is not None:
        terms.append((rows, [(W_dot, 0)]))
    return _convolutions(terms, [b_dot], stride)[0]


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

    cols(x) is made once.
    """
    if device.ready(*given(x, x_dot, W, W_dot, b, b_dot)):
        return convolved.convolve_with_tangent(x, x_dot, W, W_dot, b, b_dot, stride, padding)
    rows = channels_last(x, padding)
    terms = [(rows, [(W, 0), (W_dot, 1)])]
    if x_dot is not None:
        terms.append((channels_last(x_dot, padding), [(W, 1)]))
    y, y_dot = _convolutions(terms, [b, b_dot], stride)
    return y, y_dot


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


def _convolutions(
    terms: list[tuple[Array, list[tuple[Array, int]]]], biases: list[Tangent], stride: Pair
) -> list[Array]:
    """[y_0, y_1 ...], (N, O, OH, OW) each: y_i = its bias + the sum of its terms cols(rows) W'.

    terms  [(rows, [(W, i), ...]), ...]: cols(rows) is made once, for all its W
    """
    rows, ((W, _), *_) = terms[0]
    O, _, *kernel_size = W.shape
    by = way(rows, O, (kernel_size[0], kernel_size[1]), stride)
    ys = [array_module(rows).empty((len(rows), *by.out, O), rows.dtype) for _ in biases]
    factors = [(rows, [(by.matrix(W), i) for W, i in Ws]) for rows, Ws in terms]

    def work(part: slice) -> None:
        sums: dict[int, Array] = {}
        for rows, Ws in factors:
            cols = by.columns(rows[part])
            for W, i in Ws:
                if i in sums:
                    sums[i] += dot(cols, W, out=scratch("more", sums[i].shape, cols))
                else:
                    sums[i] = dot(cols, W, out=by.products(f"products {i}", ys[i][part]))
        for i, total in sums.items():
            by.finish(total, biases[i], ys[i][part], f"products {i}")

    share(work, parts_of(rows, by, len(ys) * O), rows)
    return [channels_first(y) for y in ys]
