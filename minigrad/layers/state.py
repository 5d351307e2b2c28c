"""A saved state, held against the arrays of a model before any of it is copied."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from minigrad import backend
from minigrad.backend import Array


def checked_state(
    own: Mapping[str, Array],
    state: Mapping[str, Any],
    finite: bool = False,
    not_negative: Collection[str] = (),
) -> dict[str, np.ndarray]:
    """The arrays of `state` on the host, by name, if they fit the model's arrays `own`.

    Raises KeyError for missing or unknown names, ValueError for a wrong shape, TypeError for a
    wrong dtype, and ValueError if `state` has two values for one shared array, if one of the names
    in `not_negative` has a number below 0, or, with `finite`, if a number is NaN or infinite.
    """
    if not isinstance(state, Mapping):
        raise TypeError(f"a state is a dict of arrays, got {state!r:.60}")
    missing = sorted(own.keys() - state.keys())
    unknown = sorted(map(str, state.keys() - own.keys()))
    if missing or unknown:
        raise KeyError(f"state does not fit the model: missing {missing}, unknown {unknown}")
    new = {key: backend.to_host(value) for key, value in state.items()}
    for key, array in own.items():
        if new[key].shape != array.shape:
            raise ValueError(f"{key}: expected shape {array.shape}, got {new[key].shape}")
        if new[key].dtype != array.dtype:
            raise TypeError(
                f"{key}: expected {array.dtype}, got {new[key].dtype}; cast it with "
                f".astype('{array.dtype}') if you mean it"
            )
        if finite and not np.isfinite(new[key]).all():
            bad = int((~np.isfinite(new[key])).sum())
            raise ValueError(
                f"{key}: {bad} of {new[key].size} numbers are NaN or infinite: the training that "
                "was saved had diverged; take an earlier state"
            )
        if key in not_negative and (new[key] < 0).any():
            raise ValueError(f"{key} must not be negative, and has numbers below 0")
    first: dict[int, str] = {}
    for key, array in own.items():
        other = first.setdefault(id(array), key)
        if other != key and not np.array_equal(new[key], new[other], equal_nan=True):
            raise ValueError(
                f"{other} and {key} are one array in this model, and the state has different "
                "values for them: give both the same values"
            )
    return new
