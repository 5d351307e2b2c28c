"""The step of an optimiser: it changes an array in place."""

from __future__ import annotations

import numpy as np

from minigrad.backend import Array, array_module
from minigrad.kernels.memory import in_memory_order, is_dense, scratch
from minigrad.kernels.parts import WORTH_A_THREAD, parts, share
from minigrad.kernels.switch import kernel


@kernel
def add_scaled(y: Array, a: float, x: Array) -> None:
    """y += a x. A large y is changed part by part, so that a x stays in the cache."""
    large = array_module(y, x) is np and y.nbytes >= 2 * WORTH_A_THREAD
    if not large or y.strides != x.strides or not is_dense(y):
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
