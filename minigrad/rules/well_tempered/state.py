"""What a saved state of WellTempered contains, and the check that it fits a model."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad import backend
from minigrad.backend import Array

STATE = ("snr", "dead", "mean", "sum", "batches", "weight", "squares")  # arrays first


def fitting(name: str, value: Any, like: Array | None, is_array: bool) -> Any:
    """Check one value of a state: returns a number, or a copy of the array where `like` is."""
    if like is None:
        raise KeyError(f"{name!r} is of no parameter of the model")
    if not is_array:
        return float(value)
    value = np.array(value)
    small = value.ndim == like.ndim and all(
        a in (1, b) for a, b in zip(value.shape, like.shape, strict=True)
    )
    if not (value.shape == like.shape or (small and name.startswith("snr/"))):
        raise ValueError(f"{name}: expected shape {like.shape}, got {value.shape}")
    return backend.to_device(value, like)
