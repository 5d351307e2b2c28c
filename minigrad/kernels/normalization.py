"""Batch normalisation: x̂ and y, the derivative through μ and σ², the running statistics.

x, x̂, y, v are (N, D), all others (D,). γ = gamma and β = beta may be None: 1 and 0.
"""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from typing import Any

import numpy as np

from minigrad.backend import Array, Tangent, array_module
from minigrad.kernels import device
from minigrad.kernels.device import normalization as on_device
from minigrad.kernels.device import projection
from minigrad.kernels.device.layout import given, is_dense
from minigrad.kernels.memory import scratch
from minigrad.kernels.products import sum_rows
from minigrad.kernels.switch import kernel


@kernel
def normalise(
    x: Array,
    eps: float,
    gamma: Tangent,
    beta: Tangent,
    mean: Tangent = None,
    var: Tangent = None,
) -> tuple[Array, Array, Array, Array, Array]:
    """(y, x̂, 1/s, μ, σ²): y = γ x̂ + β, and what `standardise` gives."""
    if type(x) is not np.ndarray and device.ready(*given(x, gamma, beta, mean, var)):
        if mean is None:
            return on_device.normalise(x, eps, gamma, beta)
        return *on_device.normalise_by(x, eps, mean, var, gamma, beta), mean, var
    return _affine(standardise(x, eps, mean, var), gamma, beta)


@normalise.plain
def normalise_plain(
    x: Array,
    eps: float,
    gamma: Tangent,
    beta: Tangent,
    mean: Tangent = None,
    var: Tangent = None,
) -> tuple[Array, Array, Array, Array, Array]:
    return _affine(standardise_plain(x, eps, mean, var), gamma, beta)


def _affine(
    parts: tuple[Array, Array, Array, Array], gamma: Tangent, beta: Tangent
) -> tuple[Array, Array, Array, Array, Array]:
    x_hat = parts[0]
    # y = γ x̂ + β
    y = x_hat.copy() if gamma is None else x_hat * gamma
    if beta is not None:
        y += beta
    return y, *parts


@kernel
def standardise(
    x: Array, eps: float, mean: Tangent = None, var: Tangent = None
) -> tuple[Array, Array, Array, Array]:
    """(x̂, 1/s, μ, σ²) with x̂ = (x - μ)/s, s = √(σ² + ε), for x (N, D).

    mean, var: μ and σ². If they are None, they are computed over the rows of x.
    """
    if type(x) is not np.ndarray and device.ready(*given(x, mean, var)):
        if mean is None:
            return on_device.normalise(x, eps, None, None, affine=False)[1:]
        return *on_device.normalise_by(x, eps, mean, var, None, None, affine=False)[1:], mean, var
    if mean is None:
        mean = _mean(x)
        x_hat = x - mean
        var = _mean(_product(x_hat, x_hat))  # E[x²] - E[x]² has larger rounding errors
    else:
        x_hat = x - mean
    inv_std = 1 / array_module(x).sqrt(var + eps)
    x_hat *= inv_std
    return x_hat, inv_std, mean, var


def _mean(x: Array) -> Array:
    """The mean over the rows. On the host NumPy's `mean` takes three times as long for few rows."""
    if type(x) is not np.ndarray or not len(x):
        return x.mean(axis=0)
    mean = sum_rows(x)
    mean /= len(x)
    return mean


def _product(a: Array, b: Array) -> Array:
    """a b for the next sum, in memory that is used again."""
    if type(a) is not np.ndarray or a.dtype != b.dtype:
        return a * b
    return np.multiply(a, b, out=scratch("product", a.shape, a))


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
    if type(v) is not np.ndarray and device.ready(v, x_hat, scale):
        return projection.project(v, x_hat, None, scale)[0]
    if sums is None:
        result = v - _mean(v)
        result -= _product(x_hat, _mean(_product(v, x_hat)))
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


@kernel
def normalise_gradients(
    dy: Array, x_hat: Array, gamma: Tangent, inv_std: Array, from_batch: bool = True
) -> tuple[Array, Array, Array]:
    """(dx, dγ, dβ): dγ = Σ dy x̂, dβ = Σ dy, dx = γ/s P(dy).

    from_batch: whether μ and σ² are those of the rows. If they are constants, P v = v.
    """
    on_host = type(dy) is np.ndarray
    if from_batch and not on_host and device.ready(*given(dy, x_hat, gamma, inv_std)):
        dx, dbeta, dgamma = projection.project(dy, x_hat, gamma, inv_std)
        return dx, dgamma, dbeta
    dgamma = sum_rows(_product(dy, x_hat))
    dbeta = sum_rows(dy)
    scale = _scale(gamma, inv_std)
    dx = project(dy, x_hat, scale, (dbeta, dgamma)) if from_batch else dy * scale
    return dx, dgamma, dbeta


@normalise_gradients.plain
def normalise_gradients_plain(
    dy: Array, x_hat: Array, gamma: Tangent, inv_std: Array, from_batch: bool = True
) -> tuple[Array, Array, Array]:
    scale = _scale(gamma, inv_std)
    dx = project_plain(dy, x_hat, scale) if from_batch else dy * scale
    return dx, (dy * x_hat).sum(axis=0), dy.sum(axis=0)


@kernel
def normalise_tangent(
    x_dot: Tangent,
    x_hat: Array,
    gamma: Tangent,
    inv_std: Array,
    gamma_dot: Tangent,
    beta_dot: Tangent,
    from_batch: bool = True,
) -> Array:
    """y_dot = γ/s P(x_dot) + γ_dot x̂ + β_dot. What is None does not move.

    from_batch: whether μ and σ² are those of the rows. If they are constants, P v = v.
    """
    if from_batch and device.ready(*given(x_hat, x_dot, gamma, inv_std, gamma_dot, beta_dot)):
        return projection.tangent(x_dot, x_hat, gamma, inv_std, gamma_dot, beta_dot)
    return _tangent(project, x_dot, x_hat, gamma, inv_std, gamma_dot, beta_dot, from_batch)


@normalise_tangent.plain
def normalise_tangent_plain(
    x_dot: Tangent,
    x_hat: Array,
    gamma: Tangent,
    inv_std: Array,
    gamma_dot: Tangent,
    beta_dot: Tangent,
    from_batch: bool = True,
) -> Array:
    return _tangent(project_plain, x_dot, x_hat, gamma, inv_std, gamma_dot, beta_dot, from_batch)


def _tangent(
    project: Callable[[Array, Array, Array], Array],
    x_dot: Tangent,
    x_hat: Array,
    gamma: Tangent,
    inv_std: Array,
    gamma_dot: Tangent,
    beta_dot: Tangent,
    from_batch: bool,
) -> Array:
    y_dot: Any = 0
    if x_dot is not None:
        scale = _scale(gamma, inv_std)
        y_dot = project(x_dot, x_hat, scale) if from_batch else x_dot * scale
    if gamma_dot is not None:
        y_dot = y_dot + gamma_dot * x_hat + (0 if beta_dot is None else beta_dot)
    return y_dot


def _scale(gamma: Tangent, inv_std: Array) -> Array:
    """γ/s."""
    return inv_std if gamma is None else gamma * inv_std


@kernel
def move_running(
    running: MutableMapping[str, Array],
    mean: Array,
    var: Array,
    momentum: float | None,
    unbiased: float,
) -> None:
    """running = (1 - m) running + m new, for μ and `unbiased` σ². In place.

    m is the momentum. momentum=None: m = 1/t at batch t, which gives the mean over t batches.
    """
    arrays = running["running_mean"], running["running_var"]
    on_host = type(mean) is np.ndarray
    if not on_host and device.ready(mean, var, *arrays) and all(map(is_dense, arrays)):
        three = *arrays, running["num_batches_tracked"]
        on_device.move_running(three, mean, var, momentum, unbiased)
    else:
        move_running_plain(running, mean, var, momentum, unbiased)


@move_running.plain
def move_running_plain(
    running: MutableMapping[str, Array],
    mean: Array,
    var: Array,
    momentum: float | None,
    unbiased: float,
) -> None:
    running["num_batches_tracked"] += 1
    m: Any = momentum
    if momentum is None:
        m = (1 / running["num_batches_tracked"]).astype(mean.dtype)
    for name, new in (("running_mean", mean), ("running_var", var * unbiased)):
        old = running[name]
        old += m * (new - old)
