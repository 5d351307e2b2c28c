"""Gates f(ρ): a gradient is multiplied by f of its signal-to-noise ratio ρ."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from minigrad.backend import Array, array_module
from minigrad.checks import positive_int

Gate = Callable[[Array], Array]


def none(snr: Array) -> Array:
    """f(ρ) = 1: gradients stay as they are."""
    return array_module(snr).ones_like(snr)


def hard(snr: Array) -> Array:
    """f(ρ) = 1 where ρ ≥ 1, else 0."""
    return (snr >= 1).astype(snr.dtype)


def linear(snr: Array) -> Array:
    """f(ρ) = min(1, ρ), as in the original code."""
    return array_module(snr).minimum(snr, 1)


def wiener(snr: Array) -> Array:
    """f(ρ) = ρ²/(1 + ρ²): the f that minimises E(f g - true g)² if ρ is known exactly."""
    power = array_module(snr).minimum(snr, 1e9) ** 2  # so that ρ = ∞ gives 1, not NaN
    return power / (1 + power)


def james_stein(snr: Array) -> Array:
    """f(ρ) = max(0, 1 - 1/ρ²).

    This is Wiener's f with ρ² - 1 in the place of ρ²: noise adds 1 to ρ² on average.
    """
    return 1 - 1 / array_module(snr).maximum(snr * snr, 1)


GATES: dict[str, Gate] = {
    "none": none,
    "hard": hard,
    "linear": linear,
    "wiener": wiener,
    "james-stein": james_stein,
}


def null_fraction(batches: float, size: int = 1, unbiased: bool = False) -> float:
    r"""P(ρ < 1) if gradients are pure noise: B normal numbers with mean 0 and one variance.

    One weight: ρ is |Student's t| with B - 1 degrees of freedom, times √(B/(B - 1)) unless
    `unbiased`. `size` independent weights that share a ρ: ρ² is Fisher's F(size, size (B - 1)),
    times B/(B - 1) unless `unbiased`. Put tan²θ = F/(B - 1): F's density becomes a product of
    powers of sin θ and cos θ.

        P = 2 Γ((k + m)/2) / (Γ(k/2) Γ(m/2)) ∫₀^θ₁ sin^(k-1) θ cos^(m-1) θ dθ,
        k = size, m = size (B - 1), tan²θ₁ = 1/B, or 1/(B - 1) if unbiased

    For one weight P is .632 at B = 10, .678 at B = 100, .683 for many. It is NaN at B = 1. For an
    exponential average B is the effective number of batches, and P is approximate.
    Source: Student 1908; Fisher 1924.
    """
    positive_int("size", size)
    if not batches > 1:
        return math.nan
    k, m = size, size * (batches - 1)
    end = math.atan(math.sqrt(1 / (batches - 1 if unbiased else batches)))
    n = 20_000
    theta = (np.arange(n) + 0.5) * (end / n)  # the midpoint rule
    log = (k - 1) * np.log(np.sin(theta)) + (m - 1) * np.log(np.cos(theta))
    scale = math.lgamma((k + m) / 2) - math.lgamma(k / 2) - math.lgamma(m / 2)
    return float(2 * np.exp(log + scale).sum() * end / n)
