"""Functions of single numbers: ReLU and its derivative, the sigmoid, and masks. Also row_max."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.backend import Array, array_module
from minigrad.kernels import device
from minigrad.kernels.device import activations
from minigrad.kernels.memory import level
from minigrad.kernels.parts import WORTH_A_THREAD, over_batch
from minigrad.kernels.switch import kernel

# ln(largest finite float), rounded down: exp of it is finite
LARGEST_EXPONENT = {np.dtype("float32"): 88.0, np.dtype("float64"): 709.0}
# {bytes of a float: the integer type of the same size}
INTEGERS: dict[int, np.dtype[Any]] = {4: np.dtype("int32"), 8: np.dtype("int64")}


@kernel
def relu(x: Array) -> tuple[Array, Array]:
    """(max(x, 0), the mask [x > 0]). The mask needs a quarter of x's memory, or less."""
    xp = array_module(x)
    if xp is not np and device.ready(x):
        return activations.relu(x)
    if xp is not np or x.nbytes < WORTH_A_THREAD:
        return xp.maximum(x, level(0, x)), x > 0
    y = np.empty_like(x)
    on = np.empty_like(x, dtype=bool)

    def work(part: slice) -> None:
        np.greater(x[part], 0, out=on[part])
        np.maximum(x[part], level(0, x[part]), out=y[part])

    over_batch(work, x)
    return y, on


@relu.plain
def relu_plain(x: Array) -> tuple[Array, Array]:
    return array_module(x).maximum(x, 0), x > 0


@kernel
def masked(v: Array, on: Array) -> Array:
    """v where the mask is True, 0 elsewhere, even where v is infinite or NaN.

    The bits of v, as integers, are multiplied by 0 or 1. NumPy's `where` takes ten times as long.
    """
    if array_module(v, on) is not np and device.ready(v) and on.dtype == bool:
        return activations.masked(v, on)
    if array_module(v, on) is not np or v.nbytes < WORTH_A_THREAD or on.dtype != bool:
        return masked_bits(v, on)
    result = np.empty_like(v)

    def work(part: slice) -> None:
        np.multiply(bits(v[part]), on[part], out=bits(result[part]))

    over_batch(work, v)
    return result


@masked.plain
def masked_plain(v: Array, on: Array) -> Array:
    return array_module(v, on).where(on, v, 0)


@kernel
def relu_with_tangent(x: Array, x_dot: Array) -> tuple[Array, Array]:
    """max(x, 0) and x_dot ⊙ [x > 0]. x is read once. The mask is not kept."""
    xp = array_module(x, x_dot)
    if xp is not np and device.ready(x, x_dot):
        return activations.relu_with_tangent(x, x_dot)
    y = xp.empty_like(x)
    y_dot = xp.empty_like(x_dot)

    def work(part: slice) -> None:
        xp.multiply(bits(x_dot[part]), x[part] > 0, out=bits(y_dot[part]))
        xp.maximum(x[part], level(0, x[part]), out=y[part])

    over_batch(work, x)
    return y, y_dot


@relu_with_tangent.plain
def relu_with_tangent_plain(x: Array, x_dot: Array) -> tuple[Array, Array]:
    xp = array_module(x, x_dot)
    return xp.maximum(x, 0), xp.where(x > 0, x_dot, 0)


@kernel
def sigmoid(x: Array) -> Array:
    """1 / (1 + e^(-x)), in one array. -x is at most ln(largest float), so e^(-x) is finite."""
    xp = array_module(x)
    if xp is not np and device.ready(x):
        return activations.sigmoid(x, LARGEST_EXPONENT[x.dtype])
    y = xp.negative(x)
    xp.minimum(y, level(LARGEST_EXPONENT[y.dtype], y), out=y)
    xp.exp(y, out=y)
    y += 1
    return xp.reciprocal(y, out=y)


@sigmoid.plain
def sigmoid_plain(x: Array) -> Array:
    xp = array_module(x)
    return 1 / (1 + xp.exp(xp.minimum(-x, LARGEST_EXPONENT[x.dtype])))


@kernel
def sigmoid_slope(v: Array, y: Array) -> Array:
    """v ⊙ y(1 - y), y = σ(x): the sigmoid's derivative times v."""
    if array_module(v, y) is not np and device.ready(v, y):
        return activations.sigmoid_slope(v, y)
    return v * (y * (1 - y))


@sigmoid_slope.plain
def sigmoid_slope_plain(v: Array, y: Array) -> Array:
    return v * (y * (1 - y))


@kernel
def tanh_slope(v: Array, y: Array) -> Array:
    """v ⊙ (1 - y²), y = tanh(x): the derivative of tanh times v."""
    if array_module(v, y) is not np and device.ready(v, y):
        return activations.tanh_slope(v, y)
    return v * (1 - y * y)


@tanh_slope.plain
def tanh_slope_plain(v: Array, y: Array) -> Array:
    return v * (1 - y * y)


@kernel
def row_max(x: Array) -> Array:
    """max_c x[n, c], (N, 1). NumPy is slow along a short axis, so x is transposed first."""
    if type(x) is not np.ndarray and device.ready(x):
        return x.max(axis=1, keepdims=True)
    if type(x) is np.ndarray:
        return np.maximum.reduce(np.ascontiguousarray(x.T), axis=0)[:, None]
    return array_module(x).ascontiguousarray(x.T).max(axis=0)[:, None]


@row_max.plain
def row_max_plain(x: Array) -> Array:
    return x.max(axis=1, keepdims=True)


def bits(array: Array) -> Array:
    """The bits of the floats as integers, a view. Bits times 0 are the number 0.0."""
    return array.view(INTEGERS[array.itemsize])


def masked_bits(v: Array, on: Array) -> Array:
    """v where the mask is True, 0 elsewhere."""
    return (bits(v) * on).view(v.dtype)
