"""A saved state of an optimiser, checked against the model before any of it is used."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np

from minigrad import backend
from minigrad.backend import Array
from minigrad.checks import check_state, count, not_negative
from minigrad.layers.sharing import tied

Kept = dict[str, dict[str, Any]]  # {parameter: {name: array or number}}


def checked_lr(flat: Mapping[str, Any], owner: str) -> float:
    """The state's learning rate. KeyError if it is missing."""
    check_state(owner, flat)
    if "lr" not in flat:
        raise KeyError(f"{owner}: this is no state of an optimiser, lr is missing")
    return not_negative("lr", flat["lr"])


def checked_kept(optimizer: Any, flat: Mapping[str, Any], finite: bool) -> Kept:
    """Copies of the state of each parameter, on its device. Raises if one value does not fit."""
    params = dict(optimizer.model.params)
    first = tied(params)
    kept: Kept = defaultdict(dict)
    given: dict[str, dict[str, Any]] = {}  # by the parameter's own name, on the host
    for full, value in flat.items():
        if full == "lr":
            continue
        key, _, name = full.rpartition(".") if isinstance(full, str) else ("", "", "")
        if key not in params:
            raise KeyError(f"optimiser state {full!r} fits none of {sorted(params)}")
        given.setdefault(key, {})[name] = _checked(optimizer, full, name, value, params[key])
    for key, entry in given.items():
        if entry.keys() != set(optimizer.state_names):
            raise KeyError(
                f"{type(optimizer).__name__} keeps {list(optimizer.state_names)} for each "
                f"parameter; this state has {sorted(entry)} for {key}"
            )
        for name, value in entry.items():
            if finite and not np.isfinite(value).all():
                raise ValueError(
                    f"{key}.{name} has numbers that are NaN or infinite: the training that was "
                    "saved had diverged; take an earlier state, or if you mean it "
                    "load_state_dict(state, finite=False) of the optimiser"
                )
            if name in optimizer.not_negative_names and (np.asarray(value) < 0).any():
                raise ValueError(f"{key}.{name} must not be negative, and has numbers below 0")
        own = first.get(key, key)
        if own in kept and not _same(entry, kept[own]):
            raise ValueError(
                f"{own} and {key} are one array in this model, and the state has different values "
                "for them: give both the same values"
            )
        kept[own] = entry
    for key, entry in kept.items():
        like = params[key]
        kept[key] = {name: _placed(value, like) for name, value in entry.items()}
    return kept


def _checked(optimizer: Any, full: str, name: str, value: Any, param: Array) -> Any:
    """The value on the host: a number, or an array of the parameter's shape and dtype."""
    if name in optimizer.count_names:
        return count(full, value)
    plain = isinstance(value, int | float)
    value = backend.to_host(value)
    # A number of each parameter, such as a student's own step size. It is no array of shape ().
    if value.ndim == 0 and name not in optimizer.array_names:
        if value.dtype.kind in "iu":
            return int(value)
        if value.dtype.kind == "f" and (plain or param.ndim):
            return float(value)
    if value.shape != param.shape or value.dtype != param.dtype:
        raise ValueError(
            f"{full}: expected {param.dtype} of shape {param.shape}, got {value.dtype} of "
            f"shape {value.shape}"
        )
    return value


def _same(entry: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return all(
        np.array_equal(np.asarray(value, "float64"), other[name], equal_nan=True)
        for name, value in entry.items()
    )


def _placed(value: Any, like: Array) -> Any:
    """A number as it is; a copy of an array, where the parameter is."""
    if isinstance(value, int | float):
        return value
    return backend.to_device(value.copy(), like=like)


def checked_schedule(state: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of a state from `Optimizer.schedule_state`. Raises if it is none."""
    if not isinstance(state, Mapping) or not {"said", "t", "start"} <= state.keys():
        raise KeyError(f"a schedule's state has said, t and start, got {state!r:.80}")
    said = state["said"]
    if getattr(said, "shape", None) == ():
        said = said.item()
    if not isinstance(said, str):
        raise TypeError(f"said must be the text of a schedule, got {said!r:.60}")
    t = count("t", state["t"])
    start = not_negative("start", state["start"])
    return {**state, "said": said, "t": t, "start": start}
