"""ReLU's relatives, and their derivatives times v. All arrays have one shape.

What a function returns after y, its slope needs.
"""

from __future__ import annotations

import math

from minigrad.backend import Array, array_module
from minigrad.kernels import device
from minigrad.kernels.device import rectifiers as on_device
from minigrad.kernels.erf import erf
from minigrad.kernels.switch import kernel

ROOT = math.sqrt(2 / math.pi)
CUBIC = 0.044715  # Hendrycks and Gimpel's factor: √(2/π)(x + 0.044715 x³) follows tanh⁻¹ erf(x/√2)


@kernel
def leaky(x: Array, a: float) -> tuple[Array, Array]:
    """(m x, m), m = 1 where x > 0, else a."""
    return on_device.leaky(x, a) if device.ready(x) else leaky_plain(x, a)


@leaky.plain
def leaky_plain(x: Array, a: float) -> tuple[Array, Array]:
    m = array_module(x).where(x > 0, x.dtype.type(1), x.dtype.type(a))
    return m * x, m


@kernel
def gelu(x: Array, approximate: str) -> tuple[Array, Array, Array]:
    """(x Φ, z, Φ), z = x between -30 and 30, Φ = P(Z <= z) for a normal Z."""
    return on_device.gelu(x, approximate) if device.ready(x) else gelu_plain(x, approximate)


@gelu.plain
def gelu_plain(x: Array, approximate: str) -> tuple[Array, Array, Array]:
    xp = array_module(x)
    z = xp.clip(x, -30, 30)  # beyond, Φ is 0 or 1, and z³ does not overflow
    if approximate == "none":
        inner = erf(z / math.sqrt(2))
    else:
        inner = xp.tanh(ROOT * (z + CUBIC * z * z * z))
    Phi = (1 + inner) / 2
    return x * Phi, z, Phi


@kernel
def gelu_slope(v: Array, z: Array, Phi: Array, approximate: str) -> Array:
    """v (Φ + z Φ')."""
    if device.ready(v, z, Phi):
        return on_device.gelu_slope(v, z, Phi, approximate)
    return gelu_slope_plain(v, z, Phi, approximate)


@gelu_slope.plain
def gelu_slope_plain(v: Array, z: Array, Phi: Array, approximate: str) -> Array:
    if approximate == "none":
        density = array_module(z).exp(-z * z / 2) / math.sqrt(2 * math.pi)
    else:
        # (1 - tanh² u) u'/2,  with tanh u = 2Φ - 1
        density = 2 * Phi * (1 - Phi) * (ROOT * (1 + 3 * CUBIC * z * z))
    return v * (Phi + z * density)


@kernel
def silu(x: Array) -> tuple[Array, Array]:
    """(x s, s), s = σ(x)."""
    return on_device.silu(x) if device.ready(x) else silu_plain(x)


@silu.plain
def silu_plain(x: Array) -> tuple[Array, Array]:
    s = _sigmoid(x)
    return x * s, s


@kernel
def silu_slope(v: Array, x: Array, s: Array) -> Array:
    """v s (1 + x (1 - s))."""
    return on_device.silu_slope(v, x, s) if device.ready(v, x, s) else silu_slope_plain(v, x, s)


@silu_slope.plain
def silu_slope_plain(v: Array, x: Array, s: Array) -> Array:
    return v * (s * (1 + x * (1 - s)))


@kernel
def softplus(x: Array, beta: float, threshold: float) -> tuple[Array, Array, Array]:
    """(y, z, linear): z = βx, y = ln(1 + e^z)/β, or x where z > threshold, which is `linear`."""
    if device.ready(x):
        return on_device.softplus(x, beta, threshold)
    return softplus_plain(x, beta, threshold)


@softplus.plain
def softplus_plain(x: Array, beta: float, threshold: float) -> tuple[Array, Array, Array]:
    xp = array_module(x)
    z = beta * x
    linear = z > threshold
    # ln(1 + e^z) = max(z, 0) + ln(1 + e^(-|z|))
    y = (xp.maximum(z, 0) + xp.log1p(xp.exp(-abs(z)))) / beta
    return xp.where(linear, x, y), z, linear


@kernel
def softplus_slope(v: Array, z: Array, linear: Array) -> Array:
    """v σ(z), or v where it is linear."""
    if device.ready(v, z):
        return on_device.softplus_slope(v, z, linear)
    return softplus_slope_plain(v, z, linear)


@softplus_slope.plain
def softplus_slope_plain(v: Array, z: Array, linear: Array) -> Array:
    return v * array_module(z).where(linear, z.dtype.type(1), _sigmoid(z))


def _sigmoid(x: Array) -> Array:
    """σ(x) = e^(min(x, 0))/(1 + e^(-|x|)). Unlike `kernels.sigmoid` it goes to 0 on the left."""
    xp = array_module(x)
    return xp.exp(xp.minimum(x, 0)) / (1 + xp.exp(-abs(x)))
