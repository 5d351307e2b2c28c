"""The weights that a layer starts with."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad import backend
from minigrad.backend import Array


def initial_uniform(
    rng: np.random.Generator, shape: tuple[int, ...], fan_in: int, dtype: Any
) -> Array:
    """Weights from U(-1/√fan_in, 1/√fan_in), PyTorch's default. They are drawn on the host."""
    bound = 1.0 / np.sqrt(fan_in)
    return backend.to_device(rng.uniform(-bound, bound, shape).astype(dtype))
