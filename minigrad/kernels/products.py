"""Products of matrices, and the value and tangent of x W + b. A tangent that is None is 0."""

from __future__ import annotations

import math

import numpy as np

from minigrad.backend import Array, Tangent, array_module
from minigrad.kernels import device
from minigrad.kernels.device import sums
from minigrad.kernels.device.layout import given
from minigrad.kernels.parts import SHARES, pieces, share
from minigrad.kernels.recording import dot
from minigrad.kernels.switch import kernel
from minigrad.threads import local

WORTH_A_PIECE = 2**22  # multiplications in a piece: they take less than a millisecond


@kernel
def matmul(a: Array, b: Array) -> Array:
    """a b.

    Within `one_blas_thread`, minigrad's threads share a large product.
    """
    if local.passes:
        return in_pieces((a, b))[0]
    return np.matmul(a, b) if type(a) is np.ndarray else dot(a, b)


@matmul.plain
def matmul_plain(a: Array, b: Array) -> Array:
    return dot(a, b)


@kernel
def affine(x: Array, W: Array, b: Tangent) -> Array:
    """y = x W + b. b is a row (M,), or None."""
    y = matmul(x, W)
    if b is None:
        return y
    if type(y) is np.ndarray:
        y += b
    else:
        add_row(y, b)
    return y


@affine.plain
def affine_plain(x: Array, W: Array, b: Tangent) -> Array:
    return x @ W if b is None else x @ W + b


@kernel
def sum_rows(x: Array, axes: int = 1) -> Array:
    """Σ over all axes of x but the last ones, of which `axes` stay."""
    if type(x) is not np.ndarray and device.ready(x):
        kept = x.shape[x.ndim - axes :]
        return sums.column_sums(x.reshape(-1, math.prod(kept))).reshape(kept)
    if x.ndim == axes + 1:
        return np.add.reduce(x, axis=0) if type(x) is np.ndarray else x.sum(axis=0)
    return x.sum(axis=tuple(range(x.ndim - axes)))


@sum_rows.plain
def sum_rows_plain(x: Array, axes: int = 1) -> Array:
    return x.sum(axis=tuple(range(x.ndim - axes)))


def add_row(y: Array, b: Array) -> None:
    """y += b, in place, for y (N, M) without gaps in memory and b (M,)."""
    if type(y) is not np.ndarray and device.ready(y, b):
        sums.add_row(y, b)
    else:
        y += b


def add_terms(y: Array, more: Array, b: Tangent) -> None:
    """y += more + b, in place, for y and more (N, M) without gaps. b: (M,) or None."""
    if type(y) is not np.ndarray and device.ready(*given(y, more, b)):
        sums.add_terms(y, more, b)
        return
    y += more
    if b is not None:
        y += b


@kernel
def affine_jvp(x: Array, x_dot: Tangent, W: Array, W_dot: Tangent, b_dot: Tangent) -> Array:
    """y_dot = x_dot W + x W_dot + b_dot. Threads share both products."""
    terms = [] if W_dot is None else [(x, W_dot)]
    if x_dot is not None:
        terms.append((x_dot, W))
    y_dot, *others = in_pieces(*terms)
    if others:
        add_terms(y_dot, others[0], b_dot)
    elif b_dot is not None:
        add_row(y_dot, b_dot)
    return y_dot


@affine_jvp.plain
def affine_jvp_plain(x: Array, x_dot: Tangent, W: Array, W_dot: Tangent, b_dot: Tangent) -> Array:
    y_dot: Tangent = 0 if x_dot is None else x_dot @ W
    if W_dot is not None:
        y_dot = y_dot + x @ W_dot
    if b_dot is not None:
        y_dot = y_dot + b_dot
    return y_dot


@kernel
def affine_with_tangent(
    x: Array, x_dot: Tangent, W: Array, W_dot: Tangent, b: Tangent, b_dot: Tangent
) -> tuple[Array, Tangent]:
    """y = x W + b and y_dot = x_dot W + x W_dot + b_dot.

    One product gives x W and x_dot W: [x; x_dot] W. Then b, x W_dot and b_dot are added.
    """
    if type(x) is not np.ndarray and device.ready(*given(x, x_dot, W, W_dot, b, b_dot)):
        return _affine_with_tangent_on_device(x, x_dot, W, W_dot, b, b_dot)
    both = x if x_dot is None else array_module(x, x_dot).concatenate((x, x_dot))
    products = [(both, W)]
    if W_dot is not None:
        products.append((x, W_dot))
    y, *moved = in_pieces(*products)
    y_dot = None if x_dot is None else y[len(x) :]
    y = y[: len(x)]
    for term in moved:
        if b_dot is not None:
            term += b_dot
        if y_dot is not None:
            term += y_dot
        y_dot = term
    if b is not None:
        y += b
    return y, y_dot


def _affine_with_tangent_on_device(
    x: Array, x_dot: Tangent, W: Array, W_dot: Tangent, b: Tangent, b_dot: Tangent
) -> tuple[Array, Tangent]:
    """The same, with a product for each term: there is no copy of x and x_dot."""
    y = dot(x, W)
    if b is not None:
        sums.add_row(y, b)
    terms = [dot(u, V) for u, V in ((x, W_dot), (x_dot, W)) if u is not None and V is not None]
    if not terms:
        return y, None
    y_dot, *more = terms
    if more:
        sums.add_terms(y_dot, more[0], b_dot)
    elif b_dot is not None:
        sums.add_row(y_dot, b_dot)
    return y, y_dot


@affine_with_tangent.plain
def affine_with_tangent_plain(
    x: Array, x_dot: Tangent, W: Array, W_dot: Tangent, b: Tangent, b_dot: Tangent
) -> tuple[Array, Tangent]:
    y = x @ W if b is None else x @ W + b
    moving = x_dot is not None or W_dot is not None
    return y, affine_jvp_plain(x, x_dot, W, W_dot, b_dot) if moving else None


def in_pieces(*products: tuple[Array, Array]) -> list[Array]:
    """[a b for each (a, b)]. Within `one_blas_thread`, large products are cut into pieces.

    a is (M, K), b is (K, N). The largest of M, K, N is cut. If it is K, the results are added up.
    Threads share the pieces of all products.
    """
    if not local.passes or array_module(*products[0]) is not np:
        return [dot(a, b) for a, b in products]
    results: list[list[Array]] = []
    work: list[tuple[Array, Array, Array]] = []
    for a, b in products:
        M, K = a.shape
        N = b.shape[1]
        count = min(SHARES // len(products), M * K * N // WORTH_A_PIECE)
        if count < 2:
            results.append([dot(a, b)])
        elif max(M, N) <= K:
            cuts = pieces(K, count)
            results.append([np.empty((M, N), a.dtype) for _ in cuts])
            work += [(a[:, c], b[c], y) for c, y in zip(cuts, results[-1], strict=True)]
        else:
            y = np.empty((M, N), a.dtype)
            results.append([y])
            if M > N:
                work += [(a[c], b, y[c]) for c in pieces(M, count)]
            else:
                work += [(a, b[:, c], y[:, c]) for c in pieces(N, count)]
    share(lambda item: np.matmul(item[0], item[1], out=item[2]), work, products[0][0])
    return [sum(summands[1:], summands[0]) for summands in results]
