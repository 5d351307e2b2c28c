"""ReLU's relatives, each in one launch. Plain forms: kernels/rectifiers.

    leaky      m = 1 where x > 0, else a;  y = m x
    gelu       z = x between -30 and 30, Φ = (1 + erf(z/√2))/2, or with tanh;  y = x Φ
    silu       s = σ(x);  y = x s
    softplus   z = βx, y = ln(1 + e^z)/β, or x where z > threshold

Each but `leaky` has a slope: the derivative times v.
"""

from __future__ import annotations

import math

from minigrad.backend import Array
from minigrad.kernels import device
from minigrad.kernels.device.elementwise import Elementwise
from minigrad.kernels.device.layout import dense, in_order_of

ROOT = math.sqrt(2 / math.pi)
CUBIC = 0.044715

LEAKY = Elementwise("leaky", "T x", "T y, T m", "m = x > 0 ? (T)1 : (T)a; y = m * x;", "double a")

# NaN is neither below nor above a limit: z stays NaN.
LIMITED = "z = x < -30 ? (T)-30 : x > 30 ? (T)30 : x;"
U = f"(T){ROOT!r} * (z + (T){CUBIC} * z * z * z)"
GELU = {
    approximate: Elementwise(
        f"gelu_{approximate}",
        "T x",
        "T y, T z, T Phi",
        f"{LIMITED} Phi = (1 + {inner}) / 2; y = x * Phi;",
    )
    for approximate, inner in (
        ("none", f"erf(z / (T){math.sqrt(2)!r})"),
        ("tanh", f"tanh({U})"),
    )
}
GELU_SLOPE = {
    approximate: Elementwise(
        f"gelu_slope_{approximate}",
        "T v, T z, T Phi",
        "T out",
        f"T density = {density}; out = v * (Phi + z * density);",
    )
    for approximate, density in (
        ("none", f"exp(-z * z / 2) / (T){math.sqrt(2 * math.pi)!r}"),
        ("tanh", f"2 * Phi * (1 - Phi) * ((T){ROOT!r} * (1 + (T){3 * CUBIC} * z * z))"),
    )
}

# e^(min(x, 0))/(1 + e^(-|x|))
SIGMA = "exp(x > 0 ? (T)0 : x) / (1 + exp(-fabs(x)))"
SILU = Elementwise("silu", "T x", "T y, T s", f"s = {SIGMA}; y = x * s;")
SILU_SLOPE = Elementwise(
    "silu_slope", "T v, T x, T s", "T out", "out = v * (s * (1 + x * (1 - s)));"
)
SOFTPLUS = Elementwise(
    "softplus",
    "T x",
    "T y, T z, bool linear",
    """z = (T)beta * x;
    linear = z > (T)threshold;
    y = linear ? x : ((z < 0 ? (T)0 : z) + log1p(exp(-fabs(z)))) / (T)beta;""",
    "double beta, double threshold",
)
SOFTPLUS_SLOPE = Elementwise(
    "softplus_slope", "T v, T x, bool linear", "T out", f"out = v * (linear ? (T)1 : {SIGMA});"
)


def leaky(x: Array, a: float) -> tuple[Array, Array]:
    y, m = _new(LEAKY, x, 2, float(a))
    return y, m


def gelu(x: Array, approximate: str) -> tuple[Array, Array, Array]:
    y, z, Phi = _new(GELU[approximate], x, 3)
    return y, z, Phi


def gelu_slope(v: Array, z: Array, Phi: Array, approximate: str) -> Array:
    return _slope(GELU_SLOPE[approximate], v, z, Phi)


def silu(x: Array) -> tuple[Array, Array]:
    y, s = _new(SILU, x, 2)
    return y, s


def silu_slope(v: Array, x: Array, s: Array) -> Array:
    return _slope(SILU_SLOPE, v, x, s)


def softplus(x: Array, beta: float, threshold: float) -> tuple[Array, Array, Array]:
    xp = device.module(x)
    x = dense(x)
    y = xp.empty_like(x)
    z = xp.empty_like(x)
    linear = xp.empty_like(x, dtype=bool)
    SOFTPLUS((x,), (y, z, linear), float(beta), float(threshold))
    return y, z, linear


def softplus_slope(v: Array, z: Array, linear: Array) -> Array:
    return _slope(SOFTPLUS_SLOPE, v, z, linear)


def _new(function: Elementwise, x: Array, count: int, *extras: float) -> list[Array]:
    """New arrays like x with the outputs."""
    x = dense(x)
    found = [device.module(x).empty_like(x) for _ in range(count)]
    function((x,), tuple(found), *extras)
    return found


def _slope(function: Elementwise, v: Array, *kept: Array) -> Array:
    """One new array from v and from what the function has kept."""
    first, *others = map(dense, kept)
    out = device.module(v).empty_like(first)
    inputs = in_order_of(first, v), first, *(in_order_of(first, each) for each in others)
    function(inputs, (out,))
    return out
