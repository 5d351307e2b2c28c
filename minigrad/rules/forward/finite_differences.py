"""Slopes by finite differences: the loss at two points, divided by their distance."""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt
from typing import Any

import numpy as np

from minigrad.backend import Array
from minigrad.rules.forward.directions import squared_norm
from minigrad.rules.renamed import old_name


def quotient(at: Callable[[float], Any], epsilon: float, here: Any = None) -> Any:
    """One-sided (L(ε) - L(0)) / ε if L(0) is given as `here`; else central (L(ε) - L(-ε)) / 2ε.

    at: L at an offset. L is a number, or an array with one number for each example.
    """
    if here is not None:
        return (at(epsilon) - here) / epsilon
    return (at(epsilon) - at(-epsilon)) / (2 * epsilon)


def default_epsilon(arrays: list[Array], scheme: str) -> float:
    r"""ε = √u |θ|/|v|, or u^(1/3) |θ|/|v| for central differences in float64, with |v| = √n.

    u = 2^-24 in float32 (2^-53 in float64) is the rounding of 1. The error has two parts. One grows
    with ε (one-sided: ε/2 vᵀHv; central: ε²/6 D³L). The other falls with ε (u |L|/ε). This ε makes
    them about equal. In float32 both schemes take √u: once a ReLU switches between the two points,
    a central difference is no better than a one-sided one.
    """
    n = sum(a.size for a in arrays)
    dtype = arrays[0].dtype
    length = sqrt(sum(squared_norm(a) for a in arrays)) or 1.0
    third = scheme == "central" and dtype == np.float64
    return float(np.finfo(dtype).eps / 2) ** (1 / 3 if third else 1 / 2) * length / sqrt(n)


def __getattr__(name: str) -> Any:
    return old_name(__name__, name, {"step_size": default_epsilon})
