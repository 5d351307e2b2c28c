"""ReLU, the sigmoid and their derivatives, each in one launch. Plain forms: kernels/elementwise.

    relu                 y = max(x, 0), on = [x > 0]
    relu_with_tangent    y = max(x, 0), y_dot = x_dot where x > 0, else 0
    masked               v where `on` is True, else 0
    sigmoid              y = 1 / (1 + e^(-x)), with -x at most ln(largest float)
    sigmoid_slope        v y (1 - y)
    tanh_slope           v (1 - y²)
    error_function       y = erf(x)
    leaky                m = 1 where x > 0, else a;  y = m x

All arrays have any shape. The results have x's order in memory: images keep their channels last.
"""

from __future__ import annotations

from minigrad.backend import Array, array_module
from minigrad.kernels import device
from minigrad.kernels.device.layout import EACH, dense, in_order_of

RELU = f"""{EACH}
extern "C" __global__ void relu(const T* x, T* y, bool* on, long long n) {{
    EACH(i, n) {{
        T v = x[i];
        on[i] = v > 0;
        y[i] = v <= 0 ? (T)0 : v;  // NaN stays NaN
    }}
}}
"""

RELU_WITH_TANGENT = f"""{EACH}
extern "C" __global__ void relu_with_tangent(
    const T* x, const T* x_dot, T* y, T* y_dot, long long n
) {{
    EACH(i, n) {{
        T v = x[i];
        y[i] = v <= 0 ? (T)0 : v;
        y_dot[i] = v > 0 ? x_dot[i] : (T)0;
    }}
}}
"""

MASKED = f"""{EACH}
extern "C" __global__ void masked(const T* v, const bool* on, T* y, long long n) {{
    EACH(i, n) y[i] = on[i] ? v[i] : (T)0;
}}
"""

SIGMOID = f"""{EACH}
extern "C" __global__ void sigmoid(const T* x, T* y, double largest, long long n) {{
    EACH(i, n) {{
        T v = -x[i];
        if (v > (T)largest) v = (T)largest;
        y[i] = 1 / (1 + exp(v));
    }}
}}
"""

SIGMOID_SLOPE = f"""{EACH}
extern "C" __global__ void sigmoid_slope(const T* v, const T* y, T* out, long long n) {{
    EACH(i, n) out[i] = v[i] * (y[i] * (1 - y[i]));
}}
"""

TANH_SLOPE = f"""{EACH}
extern "C" __global__ void tanh_slope(const T* v, const T* y, T* out, long long n) {{
    EACH(i, n) out[i] = v[i] * (1 - y[i] * y[i]);
}}
"""

ERF = f"""{EACH}
extern "C" __global__ void error_function(const T* x, T* y, long long n) {{
    EACH(i, n) y[i] = erf(x[i]);
}}
"""

LEAKY = f"""{EACH}
extern "C" __global__ void leaky(const T* x, T* y, T* m, double a, long long n) {{
    EACH(i, n) {{
        T slope = x[i] > 0 ? (T)1 : (T)a;
        m[i] = slope;
        y[i] = slope * x[i];
    }}
}}
"""


def relu(x: Array) -> tuple[Array, Array]:
    xp = array_module(x)
    x = dense(x)
    y = xp.empty_like(x)
    on = xp.empty_like(x, dtype=bool)
    _run("relu", RELU, x, x, y, on)
    return y, on


def relu_with_tangent(x: Array, x_dot: Array) -> tuple[Array, Array]:
    xp = array_module(x, x_dot)
    x = dense(x)
    x_dot = in_order_of(x, x_dot)
    y = xp.empty_like(x)
    y_dot = xp.empty_like(x)
    _run("relu_with_tangent", RELU_WITH_TANGENT, x, x, x_dot, y, y_dot)
    return y, y_dot


def masked(v: Array, on: Array) -> Array:
    on = dense(on)
    v = in_order_of(on, v)
    y = array_module(v).empty_like(v)
    _run("masked", MASKED, v, v, on, y)
    return y


def sigmoid(x: Array, largest: float) -> Array:
    x = dense(x)
    y = array_module(x).empty_like(x)
    _run("sigmoid", SIGMOID, x, x, y, largest)
    return y


def sigmoid_slope(v: Array, y: Array) -> Array:
    return _slope("sigmoid_slope", SIGMOID_SLOPE, v, y)


def tanh_slope(v: Array, y: Array) -> Array:
    return _slope("tanh_slope", TANH_SLOPE, v, y)


def error_function(x: Array) -> Array:
    x = dense(x)
    y = array_module(x).empty_like(x)
    _run("error_function", ERF, x, x, y)
    return y


def leaky(x: Array, a: float) -> tuple[Array, Array]:
    xp = array_module(x)
    x = dense(x)
    y = xp.empty_like(x)
    m = xp.empty_like(x)
    _run("leaky", LEAKY, x, x, y, m, a)
    return y, m


def _slope(name: str, source: str, v: Array, y: Array) -> Array:
    y = dense(y)
    v = in_order_of(y, v)
    result = array_module(v, y).empty_like(y)
    _run(name, source, v, v, y, result)
    return result


def _run(name: str, source: str, like: Array, *arguments: Array | float) -> None:
    """One launch with a thread for each number of `like`. None if there is no number."""
    n = like.size
    if n:
        run = device.kernel(name, source, like)
        run(device.blocks(n), (device.THREADS,), (*arguments, n))
