"""What the checker finds outside the main table, and functions to find it with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minigrad import backend
from minigrad.backend import Array
from minigrad.gradcheck.function import Function
from minigrad.gradcheck.report import Row, wrong

LAST_DIGITS = 16  # in units of EPS


@dataclass
class Findings:
    """Rows for faults, and lines of text for the report."""

    rows: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    points: int = 1  # at how many points the derivatives were compared with differences

    def fault(self, name: str, detail: str) -> None:
        """Add a fault. Each name keeps its first two: the others mostly follow from them."""
        known = [row.detail for row in self.rows if row.name == name]
        if detail not in known and len(known) < 2:
            self.rows.append(wrong(name, detail))

    def attempt(self, name: str, examine: Callable[[], None]) -> None:
        """Call `examine`. An error in the layer's code is a fault as well."""
        try:
            examine()
        except Exception as error:  # the layer's own code may raise anything
            self.fault(name, f"stopped by {type(error).__name__}: {error}")


def results(
    f: Function, x: Array, dy: Array, tangents: Mapping[str, Array] | None
) -> dict[str, np.ndarray]:
    """Copies on the host of y, of all gradients for dy, and of y_dot, at x."""
    y = f.output(x)
    found = {"y": y} | f.backward(dy)
    if tangents is not None:
        found["y_dot"] = f.jvp(tangents)
    return copies(found)


def upstream(f: Function, y: np.ndarray, rng: np.random.Generator, like: Array) -> Array:
    """A random upstream gradient for y. Its size is about 10, not 1. For a loss it is 1."""
    dy = np.ones(y.shape) if f.is_loss else 10 * rng.standard_normal(y.shape)
    return backend.to_device(dy.astype(y.dtype), like=like)


def on_device(
    arrays: Mapping[str, np.ndarray], x: Array, dtype: Any = np.float64
) -> dict[str, Array]:
    """The arrays where x lives."""
    return {
        name: backend.to_device(np.array(array, dtype), like=x) for name, array in arrays.items()
    }


def copies(arrays: Mapping[str, Array]) -> dict[str, np.ndarray]:
    """Copies on the host."""
    return {name: backend.to_host(array).copy() for name, array in arrays.items()}


def same(array: Array, copy: np.ndarray) -> bool:
    """Whether the array still holds the numbers of its copy, bit for bit."""
    return np.array_equal(backend.to_host(array), copy, equal_nan=True)


def close(
    ours: np.ndarray, reference: np.ndarray, rtol: float = 1e-9, rounding: float = 0.0
) -> bool:
    """Whether two arrays agree, up to rtol of the largest entry, or up to `rounding`."""
    if ours.shape != reference.shape:
        return False
    both = np.isfinite(ours) & np.isfinite(reference)
    if not np.array_equal(ours[~both], reference[~both], equal_nan=True):
        return False
    largest = np.abs(reference[both]).max(initial=0.0)
    with np.errstate(all="ignore"):
        gap = np.abs(ours[both] / (largest or 1.0) - reference[both] / (largest or 1.0))
        same_but_for_rounding = np.abs(ours[both] - reference[both]) <= rounding
    return bool(((gap <= rtol) | same_but_for_rounding).all())


def differing(
    ours: Mapping[str, np.ndarray], reference: Mapping[str, np.ndarray], rtol: float = 1e-9
) -> list[str]:
    """The names of arrays that differ, or that only one side has.

    A gradient that is zero in exact arithmetic is the rounding of larger numbers, which another
    order of the same sums changes. So the last digits of the largest array count for all.
    """
    finite = (np.abs(a[np.isfinite(a)]).max(initial=0.0) for a in reference.values())
    rounding = LAST_DIGITS * float(np.finfo(np.float64).eps) * max(finite, default=0.0)
    return [
        name
        for name in sorted(ours.keys() | reference.keys())
        if name not in ours
        or name not in reference
        or not close(ours[name], reference[name], rtol, rounding)
    ]
