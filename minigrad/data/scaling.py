"""Features brought to mean 0 and standard deviation 1, with the numbers of the training part."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from minigrad.backend import array_module
from minigrad.data.dataset import Dataset


def standardize(train: Dataset, *others: Dataset) -> tuple[Dataset, ...]:
    """(train, *others) with x' = (x - μ) / σ, μ and σ of `train` alone, one pair for each feature.

        train, test = mg.data.standardize(train, test)

    x is (N, D), or (N, C, H, W) with one pair for each channel. A feature that is constant in
    `train` has σ = 0: it is only shifted. The targets stay. New examples later:
    `mg.data.standardize(train, new)[1]`, with the same unscaled `train`.

    The other sets must not help to choose μ and σ: then a test would no longer show how the
    network does on examples that it has never seen. ValueError for other shapes, TypeError for
    integer x.
    """
    for part in (train, *others):
        if not isinstance(part, Dataset):
            raise TypeError(f"standardize takes data sets, got {type(part).__name__}")
        if part.x.dtype.kind != "f":
            raise TypeError(f"standardize is for floating-point x, got {part.x.dtype}")
        if part.x.ndim not in (2, 4):
            raise ValueError(
                f"standardize is for x (N, D), or (N, C, H, W), got {tuple(part.x.shape)}: which "
                "of its axes are features is not known. Grey pictures are x[:, None]"
            )
        if part.x.shape[1:] != train.x.shape[1:]:
            raise ValueError(
                f"each example must have the shape {tuple(train.x.shape[1:])}, as in the train "
                f"set; got {tuple(part.x.shape[1:])}"
            )
    if len(train) == 0:
        raise ValueError("the train set is empty: it has no mean")
    xp = array_module(train.x)
    axes = tuple(axis for axis in range(train.x.ndim) if axis != 1)
    mu = train.x.mean(axis=axes, keepdims=True, dtype=np.float64)
    sigma = train.x.astype(np.float64).std(axis=axes, keepdims=True)
    # The std of equal floats is not 0 to the last bit.
    constant = train.x.max(axis=axes, keepdims=True) == train.x.min(axis=axes, keepdims=True)
    sigma = xp.where(constant, 1, sigma)
    return tuple(replace(p, x=((p.x - mu) / sigma).astype(p.x.dtype)) for p in (train, *others))
