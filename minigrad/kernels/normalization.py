"""The two slowest parts of batch normalisation: x̂, and the derivative through μ and σ²."""

from __future__ import annotations

from minigrad.backend import Array, Tangent, array_module
from minigrad.kernels.switch import kernel


@kernel
def standardise(
    x: Array, eps: float, mean: Tangent = None, var: Tangent = None
) -> tuple[Array, Array, Array, Array]:
    """(x̂, 1/s, μ, σ²) with x̂ = (x - μ)/s, s = √(σ² + ε), for x (N, D).

    mean, var: μ and σ². If they are None, they are computed over the rows of x.
    """
    xp = array_module(x)
    if mean is None:
        mean = x.mean(axis=0)
        x_hat = x - mean
        var = (x_hat * x_hat).mean(axis=0)  # E[x²] - E[x]² has larger rounding errors
    else:
        x_hat = x - mean
    inv_std = 1 / xp.sqrt(var + eps)
    x_hat *= inv_std
    return x_hat, inv_std, mean, var


@standardise.plain
def standardise_plain(
    x: Array, eps: float, mean: Tangent = None, var: Tangent = None
) -> tuple[Array, Array, Array, Array]:
    if mean is None:
        mean = x.mean(axis=0)
        var = ((x - mean) ** 2).mean(axis=0)
    inv_std = 1 / array_module(x).sqrt(var + eps)
    return (x - mean) * inv_std, inv_std, mean, var


@kernel
def project(v: Array, x_hat: Array, scale: Array, sums: tuple[Array, Array] | None = None) -> Array:
    """scale · P v, with P v = v - mean(v) - x̂ mean(v x̂). The means are over the rows.

    sums: Σ v and Σ v x̂, if they are known. In the backward pass they are dβ and dγ.
    """
    if sums is None:
        result = v - v.mean(axis=0)
        result -= x_hat * (v * x_hat).mean(axis=0)
    else:
        v_sum, v_x_hat_sum = sums
        result = x_hat * (v_x_hat_sum / -len(v))
        result += v
        result -= v_sum / len(v)
    result *= scale
    return result


@project.plain
def project_plain(
    v: Array, x_hat: Array, scale: Array, sums: tuple[Array, Array] | None = None
) -> Array:
    return scale * (v - v.mean(axis=0) - x_hat * (v * x_hat).mean(axis=0))
