"""Features brought to mean 0 and standard deviation 1, with the numbers of the training part."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from minigrad.backend import Array, array_module
from minigrad.data.arrays import is_array
from minigrad.data.dataset import Dataset


def standardize(train: Dataset, *others: Dataset | Array) -> tuple[Any, ...]:
    """(train, *others) with x' = (x - μ) / σ, μ and σ of `train` alone, one pair for each feature.

        train, test = mg.data.standardize(train, test)

    x is (N, D), or (N, C, H, W) with one pair for each channel. A feature that is constant in
    `train` has σ = 0: it is only shifted. The targets stay. New examples, whose targets nobody
    knows, may be an array (K, D), and come back as one: `_, x = mg.data.standardize(train, x)`,
    with the same unscaled `train`.

    The other sets must not help to choose μ and σ: then a test would no longer show how the
    network does on examples that it has never seen. ValueError for other shapes, TypeError for
    integer x.
    Source: LeCun, Bottou, Orr, Müller 1998, "Efficient backprop", §4.3.
    """
    if not isinstance(train, Dataset):
        raise TypeError(f"standardize takes data sets, got {_type(train)} for train")
    if train.x.ndim not in (2, 4):
        raise ValueError(
            f"standardize is for x (N, D), or (N, C, H, W), got {tuple(train.x.shape)}: which of "
            "its axes are features is not known. Grey pictures are x[:, None]"
        )
    for part in (train, *others):
        if not isinstance(part, Dataset) and not is_array(part):
            raise TypeError(
                f"standardize takes data sets, and arrays of new examples, got {_type(part)}"
            )
        x = _examples(part)
        if x.dtype.kind != "f":
            raise TypeError(f"standardize is for floating-point x, got {x.dtype}")
        if x.ndim == train.x.ndim and x.ndim not in (2, 4):
            raise ValueError(
                f"standardize is for x (N, D), or (N, C, H, W), got {tuple(x.shape)}: which of "
                "its axes are features is not known. Grey pictures are x[:, None]"
            )
        if x.shape[1:] != train.x.shape[1:] or x.ndim == 0:
            row = x.shape == train.x.shape[1:]
            raise ValueError(
                f"each example must have the shape {tuple(train.x.shape[1:])}, as in the train "
                f"set; got {tuple(x.shape[1:])}{'; for one example write x[None]' * row}"
            )
    if len(train) == 0:
        raise ValueError("the train set is empty: it has no mean")
    xp = array_module(train.x, *map(_examples, others))
    axes = tuple(axis for axis in range(train.x.ndim) if axis != 1)
    mu = train.x.mean(axis=axes, keepdims=True, dtype=np.float64)
    sigma = train.x.astype(np.float64).std(axis=axes, keepdims=True)
    # The std of equal floats is not 0 to the last bit.
    constant = train.x.max(axis=axes, keepdims=True) == train.x.min(axis=axes, keepdims=True)
    sigma = xp.where(constant, 1, sigma)
    scaled = []
    for part in (train, *others):
        x = _examples(part)
        x = ((x - mu) / sigma).astype(x.dtype)
        scaled.append(replace(part, x=x) if isinstance(part, Dataset) else x)
    return tuple(scaled)


def _examples(part: Dataset | Array) -> Array:
    return part.x if isinstance(part, Dataset) else part


def _type(value: Any) -> str:
    return type(value).__name__
