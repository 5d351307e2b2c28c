"""`save` and `load`: a whole training in one file."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from minigrad import threads
from minigrad.checkpoint import archive
from minigrad.checkpoint.error import CheckpointError
from minigrad.checkpoint.packing import pack, unpack
from minigrad.checkpoint.parts import Parts
from minigrad.checkpoint.places import rotated
from minigrad.history import History, strict
from minigrad.layers import Layer
from minigrad.losses import Loss
from minigrad.optim import Optimizer, Schedule
from minigrad.rules import Rule
from minigrad.version import __version__

FORMAT = 1
KIND = "minigrad checkpoint"
AS_TEXT = ("epoch", "settings", "stopped")  # of a history


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
    keep       how many files are kept: this one, and the ones before as "run.earlier-1.npz", ...

    The file is an .npz without pickle; see `minigrad.checkpoint.archive`.
    TypeError for what cannot be saved. The file is then as it was before.
    """
    parts = Parts(model, optimizer, schedule, rule, loss)
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
    parts = Parts(model, optimizer, schedule, rule, loss)
    found, _ = read(path)
    if history is not None and found.history is None:
        raise CheckpointError(f"{path} has no history")

    def then() -> None:
        if history is not None:
            vars(history).update(vars(found.history))

    put(found, parts, finite=finite, strict=strict, then=then)
    return found


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
    for name, part in parts.given().items():
        if name not in found.said:
            raise CheckpointError(f"{path} has no {name}: it was saved without one")
        now = parts.said()[name]
        if name == "schedule":
            same_schedule = found.said[name] == now
        if strict and found.said[name] != now:
            was, now = _first_difference(str(found.said[name]), now)
            raise CheckpointError(
                f"{path} was written with another {name}: it has {was}, this one has {now}; make "
                "it with the same settings, or load with strict=False"
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
    return {
        name: np.array(value, "float64") if name not in AS_TEXT else strict(value)
        for name, value in values.items()
    }


def _without_arrays(history: Mapping[str, Any]) -> dict[str, Any]:
    """The arrays from `_with_arrays` as lists again."""
    return {
        name: value.tolist() if isinstance(value, np.ndarray) else value
        for name, value in history.items()
    }


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
