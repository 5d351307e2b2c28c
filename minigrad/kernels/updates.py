"""Steps: they change arrays in place."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from minigrad.backend import Array, array_module
from minigrad.kernels.device.update import apply
from minigrad.kernels.memory import in_memory_order, is_dense, scratch
from minigrad.kernels.parts import WORTH_A_THREAD, parts, share
from minigrad.kernels.switch import kernel


@kernel
def add_scaled(y: Array, a: float, x: Array) -> None:
    """y += a x. A large y is changed part by part, so that a x stays in the cache."""
    if y.nbytes < 2 * WORTH_A_THREAD or array_module(y, x) is not np:
        y += a * x
        return
    if y.strides != x.strides or not is_dense(y):
        y += a * x
        return
    a = y.dtype.type(a)
    y = in_memory_order(y)
    x = in_memory_order(x)

    def work(part: slice) -> None:
        y[part] += np.multiply(x[part], a, out=scratch("scaled", x[part].shape, x))

    share(work, parts(y.size, 2 * y.itemsize, y), y)


@add_scaled.plain
def add_scaled_plain(y: Array, a: float, x: Array) -> None:
    y += a * x


def add_scaled_to_all(ys: Sequence[Array], a: float, xs: Sequence[Array]) -> None:
    """y += a x for each pair of arrays. On a GPU one launch changes all."""
    for y, x in apply("add_scaled", (ys, xs), (a,)):
        add_scaled(y, a, x)


def times(xs: Sequence[Array], a: float) -> list[Array]:
    """New arrays a x. On a GPU one launch makes all."""
    if any(array_module(x) is np for x in xs):
        return [x * a for x in xs]
    ys = [array_module(x).empty_like(x) for x in xs]
    for y, x in apply("scale", (ys, xs), (a,)):
        y[...] = x * a
    return ys


def scale_all(ys: Sequence[Array], a: float) -> None:
    """y *= a for each array. On a GPU one launch changes all."""
    for y, _ in apply("scale", (ys, ys), (a,)):
        y *= a


def move_towards(ys: Sequence[Array], a: float, xs: Sequence[Array]) -> None:
    """y += a (x - y) for each pair of arrays. On a GPU one launch changes all."""
    for y, x in apply("average", (ys, xs), (a,)):
        y += a * (x - y)
