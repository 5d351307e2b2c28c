"""What a saved state of WellTempered contains, and the check that it fits a model."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad import backend
from minigrad.backend import Array
from minigrad.checks import number
from minigrad.layers import Layer
from minigrad.rules.loading import check_finite, check_names, fitting_array

MEASURED = ("snr", "dead", "batches")  # of the last window
SUMS = ("mean", "sum", "weight", "squares")  # of the present one
LARGEST = 1e100  # of a sum of weights; its square is a number, too
NUMBERS = ("batches", "weight", "squares")  # the others are arrays


def parts_of(state: Any, model: Layer) -> dict[str, dict[str, Any]]:
    """{kind: {parameter: array or number}}, each checked and copied to the parameter's device."""
    plain = {name for name in state if str(name).partition("/")[0] not in (*MEASURED, *SUMS)}
    check_names("WellTempered rule", dict.fromkeys(plain, 0), ("settings", "steps", "examples"), ())
    params = dict(model.params)
    parts: dict[str, dict[str, Any]] = {kind: {} for kind in (*MEASURED, *SUMS)}
    for full, value in state.items():
        if full not in plain:
            kind, _, key = full.partition("/")
            if key not in params:
                raise KeyError(f"{full!r} is of no parameter of the model")
            parts[kind][key] = fitting(full, kind, value, params[key])
    for kinds in (MEASURED, SUMS):
        names = set().union(*(parts[kind] for kind in kinds))
        for kind in kinds:
            if missing := sorted(names - parts[kind].keys()):
                raise KeyError(f"the state has no {kind}/{missing[0]}")
    return parts


def fitting(name: str, kind: str, value: Any, like: Array) -> Any:
    """One value of a state, if it fits: a number, or a copy of the array where `like` is."""
    if kind in NUMBERS:
        value = number(name, value)
        if not 0 < value < LARGEST:
            raise ValueError(f"{name} must be a number above 0, below {LARGEST}, got {value!r}")
        return float(value)
    array = backend.to_host(value)
    shape = like.shape
    if kind == "snr" and array.ndim == like.ndim:  # weights may share one ρ
        shape = tuple(1 if a == 1 else b for a, b in zip(array.shape, like.shape, strict=True))
    dtype = {"snr": like.dtype, "dead": "bool"}.get(kind, "float64")
    array = fitting_array(name, array, shape, dtype)
    if kind == "snr" and np.isnan(array).any():  # ρ = ∞: there is a signal and no noise
        raise ValueError(f"{name} has numbers that are NaN: the training had diverged")
    if kind != "snr":
        check_finite(name, array)
    if kind in ("snr", "sum") and (array < 0).any():
        raise ValueError(f"{name} must not be negative, and has numbers below 0")
    return backend.to_device(array.copy(), like)
