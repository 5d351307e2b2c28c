"""ReLU, the sigmoid and their derivatives, each in one launch. Plain forms: kernels/elementwise.

    relu                 y = max(x, 0), on = [x > 0]
    relu_with_tangent    y = max(x, 0), y_dot = x_dot where x > 0, else 0
    masked               v where `on` is True, else 0
    sigmoid              y = 1 / (1 + e^(-x)), with -x at most ln(largest float)
    sigmoid_slope        v y (1 - y)
    tanh_slope           v (1 - y²)
    error_function       y = erf(x)

All arrays have any shape. The results have x's order in memory: images keep their channels last.
"""

from __future__ import annotations

from minigrad.backend import Array
from minigrad.kernels import device
from minigrad.kernels.device.elementwise import Elementwise
from minigrad.kernels.device.layout import dense, in_order_of

# NaN is neither above nor below 0: y stays NaN.
RELU = Elementwise("relu", "T x", "T y, bool on", "on = x > 0; y = x <= 0 ? (T)0 : x;")
RELU_WITH_TANGENT = Elementwise(
    "relu_with_tangent",
    "T x, T x_dot",
    "T y, T y_dot",
    "y = x <= 0 ? (T)0 : x; y_dot = x > 0 ? x_dot : (T)0;",
)
MASKED = Elementwise("masked", "T v, bool on", "T y", "y = on ? v : (T)0;")
SIGMOID = Elementwise(
    "sigmoid",
    "T x",
    "T y",
    "T v = -x; if (v > (T)largest) v = (T)largest; y = 1 / (1 + exp(v));",
    "double largest",
)
SIGMOID_SLOPE = Elementwise("sigmoid_slope", "T v, T y", "T out", "out = v * (y * (1 - y));")
TANH_SLOPE = Elementwise("tanh_slope", "T v, T y", "T out", "out = v * (1 - y * y);")
ERROR_FUNCTION = Elementwise("error_function", "T x", "T y", "y = erf(x);")


def relu(x: Array) -> tuple[Array, Array]:
    xp = device.module(x)
    x = dense(x)
    y = xp.empty_like(x)
    on = xp.empty_like(x, dtype=bool)
    RELU((x,), (y, on))
    return y, on


def relu_with_tangent(x: Array, x_dot: Array) -> tuple[Array, Array]:
    xp = device.module(x)
    x = dense(x)
    y = xp.empty_like(x)
    y_dot = xp.empty_like(x)
    RELU_WITH_TANGENT((x, in_order_of(x, x_dot)), (y, y_dot))
    return y, y_dot


def masked(v: Array, on: Array) -> Array:
    on = dense(on)
    v = in_order_of(on, v)
    y = device.module(v).empty_like(v)
    MASKED((v, on), (y,))
    return y


def sigmoid(x: Array, largest: float) -> Array:
    return _new(SIGMOID, x, largest)


def sigmoid_slope(v: Array, y: Array) -> Array:
    return _slope(SIGMOID_SLOPE, v, y)


def tanh_slope(v: Array, y: Array) -> Array:
    return _slope(TANH_SLOPE, v, y)


def error_function(x: Array) -> Array:
    return _new(ERROR_FUNCTION, x)


def _new(function: Elementwise, x: Array, *extras: float) -> Array:
    x = dense(x)
    y = device.module(x).empty_like(x)
    function((x,), (y,), *extras)
    return y


def _slope(function: Elementwise, v: Array, y: Array) -> Array:
    y = dense(y)
    out = device.module(v).empty_like(y)
    function((in_order_of(y, v), y), (out,))
    return out
