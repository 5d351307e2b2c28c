"""Checks of a rule's saved state. Each raises an error that says what does not fit."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

import numpy as np

from minigrad import backend
from minigrad.checks import check_state, count
from minigrad.generators import Known, restored


def check_names(who: str, state: Any, needed: Collection[str], known: Collection[str]) -> None:
    """KeyError unless the state has all `needed` names, and no others than the `known`."""
    check_state(who, state)
    if missing := sorted(set(needed) - state.keys()):
        raise KeyError(f"this is no state of a {who}: {missing} missing")
    if unknown := sorted(map(str, state.keys() - set(needed) - set(known))):
        raise KeyError(f"this is no state of a {who}, which has no {unknown[:5]}")


def check_settings(given: Any, own: str, how: str = "made") -> None:
    """ValueError if a state was made with other settings."""
    settings = str(given)
    if settings != own:
        raise ValueError(f"the state was {how} with {settings:.300}, not {own}")


def steps_of(who: str, state: Any, seed: int) -> int:
    """The steps of a state that has them and a seed alone. ValueError if it is of another seed."""
    check_names(who, state, ("seed", "steps"), ())
    given = count("seed", state["seed"])
    steps = count("steps", state["steps"])
    if given != seed:
        raise ValueError(f"the state is of seed {given}, this rule of {seed}")
    return steps


def counts(name: str, values: Any, size: int | None = None) -> list[int]:
    """Whole numbers >= 0 as a list. `size` is how many there must be; None: any number."""
    array = np.asarray(values) if isinstance(values, list | tuple | np.ndarray) else None
    if array is None or array.ndim != 1 or array.dtype.kind not in "iu" or (array < 0).any():
        raise ValueError(f"{name} must be a list of whole numbers >= 0, got {values!r:.60}")
    if size is not None and len(array) != size:
        raise ValueError(f"{name} must have {size} numbers, got {len(array)}")
    return [int(value) for value in array]


def fitting_array(name: str, value: Any, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """An array on the host. ValueError unless it has this shape and dtype."""
    array = backend.to_host(value)
    if array.shape != shape:
        raise ValueError(f"{name}: expected shape {shape}, got {array.shape}")
    if array.dtype != np.dtype(dtype):
        raise ValueError(f"{name}: expected {np.dtype(dtype)}, got {array.dtype}")
    return array


def check_finite(name: str, array: np.ndarray) -> None:
    """ValueError if a number of the array is NaN or infinite."""
    if not np.isfinite(array).all():
        raise ValueError(
            f"{name} has numbers that are NaN or infinite: the training had diverged; take "
            "an earlier state"
        )


def generator_from(name: str, text: Any) -> Known:
    """A NumPy generator from its state as JSON."""
    text = text.item() if getattr(text, "shape", None) == () else text
    try:
        state = json.loads(text)
    except (TypeError, ValueError):
        state = None
    if not isinstance(state, dict):
        raise ValueError(f"{name} must be the state of a generator as JSON, got {text!r:.60}")
    return restored({"kind": "numpy.Generator"} | state, name)
