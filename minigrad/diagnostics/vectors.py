"""Gradients as vectors: products, lengths, angles. A vector is an array, or a dict of arrays."""

from __future__ import annotations

from collections.abc import Mapping
from math import acos, degrees, nan, sqrt
from typing import Any

from minigrad.backend import Array, array_module

Vector = Any  # an array of any shape, or {name: array}


def product(a: Vector, b: Vector) -> float:
    """<a, b> = Σ_i a_i b_i, in float64. Dicts: over the names of a; b must have them all.

    ValueError for other shapes, KeyError for names that b has not got.
    """
    if isinstance(a, Mapping) != isinstance(b, Mapping):
        raise TypeError("two vectors are two arrays, or two dicts of arrays; got one of each")
    if isinstance(a, Mapping):
        return sum(product(array, b[name]) for name, array in a.items())
    array_module(a, b)
    if a.shape != b.shape:
        raise ValueError(f"expected two arrays of one shape, got {a.shape} and {b.shape}")
    return float((a.astype("float64") * b).sum())


def norm(a: Vector) -> float:
    """|a| = √<a, a>."""
    return sqrt(product(a, a))


def cosine(a: Vector, b: Vector) -> float:
    """<a, b>/(|a| |b|): 1 for the same direction, 0 for a right angle. NaN if one of them is 0."""
    squares = product(a, a) * product(b, b)
    return product(a, b) / sqrt(squares) if squares else nan


def angle(a: Vector, b: Vector) -> float:
    """arccos of the cosine, in degrees: 0 for the same direction. NaN if one of them is 0."""
    return degrees(acos(min(max(cosine(a, b), -1.0), 1.0)))  # in this order a NaN stays one


def along(factor: float, a: Mapping[str, Array]) -> dict[str, Array]:
    """factor · a, in float64."""
    return {name: factor * array.astype("float64") for name, array in a.items()}
