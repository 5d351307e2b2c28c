"""`save` and `load`: a whole training in one file."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from minigrad import threads
from minigrad.checkpoint import archive
from minigrad.checkpoint.error import CheckpointError
from minigrad.checkpoint.packing import pack
from minigrad.checkpoint.parts import Parts
from minigrad.checkpoint.places import rotated
from minigrad.checkpoint.reading import AS_TEXT, FORMAT, KIND, Checkpoint, put, read
from minigrad.history import History, strict
from minigrad.layers import Layer
from minigrad.losses import Loss
from minigrad.optim import Optimizer, Schedule
from minigrad.rules import Rule
from minigrad.version import __version__


def save(
    path: str | Path,
    model: Layer | None = None,
    *,
    optimizer: Optimizer | None = None,
    schedule: Schedule | None = None,
    rule: Rule | None = None,
    loss: Loss | None = None,
    history: History | None = None,
    extra: Mapping[str, Any] | None = None,
    finite: bool = True,
    keep: int = 1,
) -> None:
    """Write a training to one file. `load` sets it up again, and it goes on bit for bit.

    path       the file, "run.npz". After a crash in mid-write the old file is still there
    model      its parameters, its buffers, and the random numbers of its layers
    optimizer  its learning rate, and its state for each parameter
    schedule   its position, and its first learning rate
    rule       what it has learned and measured, and its random numbers
    loss       its random numbers, if it draws any
    history    the measurements so far
    extra      data of your own: numbers, text, arrays, and lists and dicts of these
    finite     True: a model or an optimiser with NaN or infinite numbers is refused
    keep       how many files are kept: this one, and the ones before as "run.earlier-1.npz",
               "run.earlier-2.npz" and so on. The highest number is the last one before this

    The file is an .npz without pickle; see `minigrad.checkpoint.archive`.
    Call it between two steps: after `optimizer.step`, and before the next `rule.estimate`.
    TypeError for what cannot be saved. The file is then as it was before.
    """
    parts = _checked(path, Parts(model, optimizer, schedule, rule, loss))
    if not (parts.given() or history or extra):
        raise ValueError("there is nothing to save: give a model, as in mg.save('run.npz', model)")
    parts.warn_of_unsaved()
    write(path, parts, history, dict(extra or {}), finite=finite, keep=keep)


def write(
    path: str | Path,
    parts: Parts,
    history: History | None,
    extra: Mapping[str, Any],
    *,
    finite: bool = True,
    keep: int = 1,
    run: Mapping[str, Any] | None = None,
) -> None:
    """`save`, for parts. run: of `fit` only: where its run is, and the settings of the call."""
    state = parts.state()
    said = parts.said()
    if isinstance(state.get("schedule"), dict):
        said.setdefault("schedule", state["schedule"].pop("said", ""))
    if finite:
        try:
            parts.check_finite(state)
        except ValueError as error:
            advice = "; save with finite=False if you mean it" if run is None else ""
            raise ValueError(f"{path} was not written: {error}{advice}") from None
    arrays: dict[str, np.ndarray] = {}
    meta: dict[str, Any] = {"kind": KIND, "format": FORMAT, "versions": versions(parts)}
    meta["said"] = said
    for name, value in state.items():
        meta[name] = pack(value, name, arrays)
    if history is not None:
        meta["history"] = pack(_with_arrays(history), "history", arrays)
    if run is not None:
        meta["run"] = pack(run, "run", arrays)
    meta["extra"] = pack(extra, "extra", arrays)
    with rotated(path, keep):
        archive.write(path, arrays, meta)


def load(
    path: str | Path,
    model: Layer | None = None,
    *,
    optimizer: Optimizer | None = None,
    schedule: Schedule | None = None,
    rule: Rule | None = None,
    loss: Loss | None = None,
    history: History | None = None,
    finite: bool = True,
    strict: bool = True,
) -> Checkpoint:
    """Set a training up as it was when `save` wrote the file.

    Each part that is given gets its state from the file. Make it as for the first run: the same
    layers, the same settings. A schedule may also be made after loading the optimiser: it then goes
    on from the file's position.

    history  a History. It becomes the one in the file. (`load(...).history` is one, too.)
    finite   True: NaN and infinite weights are refused
    strict   True: a part that was made with other settings is refused. False: it is loaded if the
             names and shapes of its arrays are the same

    Everything is checked before anything changes. CheckpointError, with one sentence, if the file
    is damaged, or does not fit. All parts are then as they were before. FileNotFoundError if there
    is no such file.
    """
    if rule is not None and model is None:
        raise TypeError("the state of a rule is loaded together with its model: give the model")
    parts = _checked(path, Parts(model, optimizer, schedule, rule, loss))
    found, run = read(path)
    if history is not None and found.history is None:
        raise CheckpointError(f"{path} has no history")
    if found.history is not None and run is not None:
        _mark_middle(found.history, run["position"])

    def then() -> None:
        if history is not None:
            vars(history).update(vars(found.history))

    put(found, parts, finite=finite, strict=strict, then=then)
    return found


def _checked(path: Any, parts: Parts) -> Parts:
    """The parts. TypeError unless each argument is of the kind that its name says."""
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"path must be the name of a file, got {path!r:.60}; as 'run.npz', model")
    kinds = {"model": Layer, "optimizer": Optimizer, "schedule": Schedule, "rule": Rule}
    for name, part in parts.given().items():
        if not isinstance(part, kinds.get(name, object)):
            raise TypeError(f"{name} must be of the kind {kinds[name].__name__}, got {part!r:.60}")
    return parts


def _mark_middle(history: History, position: Mapping[str, Any]) -> None:
    """Say in `stopped` that the weights are from the middle of an epoch: `fit` then refuses it."""
    if position["batch"] or position["phase"]:
        history.stopped = f"saved in epoch {position['epoch']}, after step {len(history.step_loss)}"


def versions(parts: Parts) -> dict[str, Any]:
    """What bit for bit the same results depend on."""
    return {
        "minigrad": __version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "device": parts.device(),
        "threads": threads.threads(),
    }


def _with_arrays(history: History) -> dict[str, Any]:
    """The history's lists of floats as arrays: smaller and faster than text."""
    values = {f.name: getattr(history, f.name) for f in fields(history)}
    metrics = {name: np.array(value, "float64") for name, value in values.pop("metrics").items()}
    return {
        name: np.array(value, "float64") if name not in AS_TEXT else strict(value)
        for name, value in values.items()
    } | {"metrics": metrics}
