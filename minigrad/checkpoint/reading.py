"""What is in a checkpoint: it is read, checked, and put into the parts of a training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from minigrad.checkpoint import archive
from minigrad.checkpoint.error import CheckpointError
from minigrad.checkpoint.packing import unpack
from minigrad.checkpoint.parts import Parts
from minigrad.history import History

FORMAT = 1
KIND = "minigrad checkpoint"
AS_TEXT = ("epoch", "settings", "stopped", "best_epoch", "ended")  # of a history


@dataclass
class Checkpoint:
    """What `load` has read from a file, apart from what it has put into model and optimiser.

    path      of the file
    history   the History that was saved. None: there is none in the file
    extra     what was saved as `extra`
    said      the repr of each part: {"model": "Sequential(...)", "optimizer": "Adam(...)", ...}
    versions  of minigrad, NumPy and Python when it was written; device and number of threads
    state     the state of each part in the file: {"model": {"0.W": array, ...}, ...}
    """

    path: Path
    history: History | None = None
    extra: dict[str, Any] = field(default_factory=dict)
    said: dict[str, str] = field(default_factory=dict)
    versions: dict[str, Any] = field(default_factory=dict)
    state: dict[str, Any] = field(default_factory=dict, repr=False)


def read(path: str | Path) -> tuple[Checkpoint, dict[str, Any] | None]:
    """What is in a file; and the `run` of `write`, or None if `fit` has not written the file."""
    meta, arrays = archive.read(path)
    if meta.get("kind") != KIND:
        raise CheckpointError(
            f"{path} is no checkpoint of a training, its kind is {meta.get('kind')!r:.40}; weights "
            "alone are loaded with mg.load_weights(path, model)"
        )
    wrote = meta.get("versions")
    version = wrote.get("minigrad") if isinstance(wrote, dict) else None
    archive.check_format(path, meta["format"], FORMAT, version)
    try:
        content = unpack(meta, arrays)
        if arrays:
            raise ValueError(f"the arrays {sorted(arrays)} belong to nothing")
        history = content.pop("history", None)
        if history is not None:
            history = History.from_dict(_without_arrays(history), "its history")
        run = content.pop("run", None)
        for name in ("kind", "format"):
            del content[name]
        checkpoint = Checkpoint(
            Path(path),
            history,
            _a_dict(content.pop("extra")),
            _a_dict(content.pop("said")),
            _a_dict(content.pop("versions")),
            _a_dict(content),
        )
    except Exception as error:  # a part that is missing, or of another kind
        raise CheckpointError(f"{path} is damaged: {_one_line(error)}; {archive.ADVICE}") from error
    return checkpoint, run


def put(
    found: Checkpoint,
    parts: Parts,
    *,
    finite: bool = True,
    strict: bool = True,
    then: Callable[[], Any] | None = None,
    advice: str = "make it with the same settings, or, if the shapes are the same, strict=False",
) -> None:
    """Set the parts to what was read. CheckpointError if it does not fit, and nothing changes.

    then  what else is to be done, at the end
    """
    path = found.path
    state = dict(found.state)
    if parts.schedule is None:  # the optimiser must know whose state it is
        said = found.said.get("schedule")
        saved = state.pop("schedule", None)
        if said and not isinstance(saved, dict):
            raise CheckpointError(f"{path} is damaged: the state of the schedule is missing")
        state["schedule"] = {**saved, "said": said} if said else None
    same_schedule = True
    words = parts.said()
    for name, part in parts.given().items():
        if name not in found.said:
            raise CheckpointError(f"{path} has no {name}: it was saved without one")
        now = words[name]
        if name == "schedule":
            same_schedule = found.said[name] == now
        if strict and found.said[name] != now:
            was, now = _first_difference(str(found.said[name]), now)
            raise CheckpointError(
                f"{path} was written with another {name}: it has {was}, this one has {now}; "
                + advice
            )
        if hasattr(part, "state_dict") and not isinstance(found.state.get(name), dict):
            raise CheckpointError(f"{path} is damaged: the state of the {name} is missing")
    if finite:
        try:
            parts.check_finite(state)
        except ValueError as error:
            raise CheckpointError(
                f"{path} was not loaded: {error}, since the training that was saved had diverged; "
                "load an earlier file, or this one with finite=False if you mean it"
            ) from None
    try:
        parts.load(state, finite, same_schedule, then)
    except Exception as error:  # the parts' own code has refused it
        raise CheckpointError(f"{path} does not fit: {_one_line(error)}") from error


def _without_arrays(history: Mapping[str, Any]) -> dict[str, Any]:
    """The arrays from `_with_arrays` as lists again."""
    lists = {
        name: value.tolist() if isinstance(value, np.ndarray) else value
        for name, value in history.items()
    }
    if isinstance(metrics := lists.get("metrics"), dict):
        lists["metrics"] = _without_arrays(metrics)
    return lists


def _a_dict(value: Any) -> dict[str, Any]:
    """`value`, or ValueError if it is no dict."""
    if not isinstance(value, dict):
        raise ValueError(f"expected a dict, got {value!r:.50}")
    return value


def _first_difference(a: str, b: str) -> tuple[str, str]:
    """The first line in which two texts differ, without spaces around it."""
    for one, other in zip_longest(a.splitlines(), b.splitlines(), fillvalue="nothing"):
        if one != other:
            return one.strip(), other.strip()
    return a, b


def _one_line(error: Exception) -> str:
    """The error's message in one line. A KeyError's has quotes around it."""
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    return " ".join(text.split()) or type(error).__name__
