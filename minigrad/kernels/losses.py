"""Cross-entropy of classes, from logits, and of yes or no, from probabilities.

z, p, z_dot, dz are (N, C). target t (N,) has a label, a number of a class, for each row.
For yes or no, p and t have one shape, and all t are in [0, 1].
"""

from __future__ import annotations

import numpy as np

from minigrad.backend import Array, array_module
from minigrad.kernels import device
from minigrad.kernels.device import losses as on_device
from minigrad.kernels.elementwise import row_max
from minigrad.kernels.rows import arange, pick
from minigrad.kernels.switch import kernel


@kernel
def cross_entropy(z: Array, target: Array) -> tuple[Array, Array]:
    """(L_n, p): L_n = -ln p[n, t_n], p = softmax(z). L_n is NaN if t_n is no class."""
    xp = array_module(z, target)
    if xp is not np and device.ready(z):
        return on_device.cross_entropy(z, target)
    z = z - row_max(z)
    p = xp.exp(z)
    sums = p.sum(axis=1) if xp is not np else np.add.reduce(p, axis=1)
    losses = xp.log(sums)
    losses -= pick(z, target)
    p /= sums[:, None]
    return losses, p


@cross_entropy.plain
def cross_entropy_plain(z: Array, target: Array) -> tuple[Array, Array]:
    xp = array_module(z, target)
    # ln p = z - ln Σ_k e^(z_k). Each row's largest z is subtracted first: no e^z overflows
    z = z - z.max(axis=1, keepdims=True)
    sums = xp.exp(z).sum(axis=1)
    return xp.log(sums) - pick(z, target), xp.exp(z) / sums[:, None]


@kernel
def cross_entropy_gradient(p: Array, target: Array) -> Array:
    """dz = (p - onehot(t)) / N."""
    if array_module(p, target) is not np and device.ready(p):
        return on_device.cross_entropy_gradient(p, target)
    return cross_entropy_gradient_plain(p, target)


@cross_entropy_gradient.plain
def cross_entropy_gradient_plain(p: Array, target: Array) -> Array:
    N = len(p)
    dz = p / N
    dz[arange(p), target] -= 1 / N
    return dz


@kernel
def cross_entropy_tangent(p: Array, target: Array, z_dot: Array) -> Array:
    """L_n_dot = Σ_c p[n, c] z_dot[n, c] - z_dot[n, t_n]."""
    if array_module(p, z_dot) is not np and device.ready(p, z_dot):
        return on_device.cross_entropy_tangent(p, target, z_dot)
    return cross_entropy_tangent_plain(p, target, z_dot)


@cross_entropy_tangent.plain
def cross_entropy_tangent_plain(p: Array, target: Array, z_dot: Array) -> Array:
    right = z_dot[arange(p), target]
    return (p * z_dot).sum(axis=1) - right


@kernel
def binary_cross_entropy(p: Array, target: Array) -> Array:
    """f = -(t ln p + (1 - t) ln(1 - p)), NaN where t is no probability. Logarithms are >= -100."""
    if type(p) is not np.ndarray and device.ready(p, target):
        return on_device.binary_cross_entropy(p, target)
    return binary_cross_entropy_plain(p, target)


@binary_cross_entropy.plain
def binary_cross_entropy_plain(p: Array, target: Array) -> Array:
    xp = array_module(p, target)
    with np.errstate(divide="ignore", invalid="ignore"):  # ln 0 = -inf, ln -1 = NaN
        log_p = xp.log(p)
        log_q = xp.log(1 - p)
        xp.maximum(log_p, -100, out=log_p)
        xp.maximum(log_q, -100, out=log_q)
        rest = 1 - target
        inside = xp.sqrt(target * rest)  # NaN unless 0 <= target <= 1
        return 0 * inside - (target * log_p + rest * log_q)


@kernel
def binary_slope(p: Array, target: Array, divisor: int) -> Array:
    """(p - t) / (p (1 - p)) / divisor, with p (1 - p) at least 1e-12: ∂f/∂p."""
    if type(p) is not np.ndarray and device.ready(p, target):
        return on_device.binary_slope(p, target, divisor)
    return binary_slope_plain(p, target, divisor)


@binary_slope.plain
def binary_slope_plain(p: Array, target: Array, divisor: int) -> Array:
    return (p - target) / (array_module(p).maximum(p * (1 - p), 1e-12) * divisor)
