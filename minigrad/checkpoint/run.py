"""The checkpoint file of one run of `fit`: written now and then, and read to go on."""

from __future__ import annotations

import os
import warnings
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from minigrad import streams
from minigrad.backend import to_host
from minigrad.checkpoint.error import CheckpointError
from minigrad.checkpoint.every import Every
from minigrad.checkpoint.parts import Parts, warn_of_hidden
from minigrad.checkpoint.places import earlier
from minigrad.checkpoint.reading import Checkpoint, put, read
from minigrad.checkpoint.saved import versions, write
from minigrad.checkpoint.unsaved import attributes
from minigrad.checks import positive_int
from minigrad.data import Dataset
from minigrad.generators import common_from, common_state, set_common
from minigrad.history import History

# Settings that are among the others only if they are not the default
OPTIONAL = ("augment", "drop_last", "sampling", "metrics", "early_stopping")


class RunFile:
    """The file of a run. It is the same run if all of its settings are the same."""

    def __init__(
        self,
        path: str | Path,
        parts: Parts,
        settings: Mapping[str, Any],
        *,
        every: Any = None,
        keep: int = 1,
        resume: bool = False,
        sets: Mapping[str, Dataset | None],
        functions: Mapping[str, Any] | None = None,
    ):
        """
        path      the file
        parts     what is saved
        settings  numbers and text that must be the same when the run goes on
        every     how often to save, see `Every`
        keep      how many files are kept
        resume    go on with the file if it is there. False: FileExistsError if it is
        sets      the data sets: they must be the same, and their random numbers are saved
        functions the augmentation's: their attributes must stay what they are
        """
        if not isinstance(path, str | os.PathLike):
            raise TypeError(
                f'checkpoint must be the path of a file, got {path!r:.60}; as "run.npz"'
            )
        self.path = Path(os.path.abspath(path))  # a callback may change the folder
        if self.path.is_dir():
            raise IsADirectoryError(f"{path} is a folder: name a file in it, as {path}/run.npz")
        self.parts = parts
        self.every = Every(every)
        self.keep = positive_int("keep", keep)
        self.sets = dict(sets)
        self.settings = dict(settings)
        self.settings |= {name: fingerprint(dataset) for name, dataset in self.sets.items()}
        self.lr = _first_lr(parts)
        self.functions = dict(functions or {})
        self.attributes = self._attributes()  # at the start of the run
        self.resume = resume
        self._told: list[str] = []  # attributes that have been named in a warning
        self._written: Any = None  # the position in the file

    def begin(self, history: History, epochs: int) -> dict[str, Any] | None:
        """Set the parts and the history to those in the file. Returns the position in the run.

        None if there is no file: the run begins. After an error nothing has changed.

        history  of the call. The one in the file must go on from it
        epochs   of the whole run: ValueError if more are done
        """
        if not self.path.exists():
            self._check_none_earlier()
            warn_of_hidden(self._owners())
            return None
        if not self.resume:
            raise FileExistsError(
                f"{self.path} is there already: if it is the checkpoint of this run, resume=True "
                "goes on with it; name another file to begin anew"
            )
        try:
            found, run = read(self.path)
        except CheckpointError as error:
            others = self._earlier()
            if not others:
                raise
            raise CheckpointError(
                f"{error} (earlier ones beside it: {others}; rename the last one to "
                f"{self.path.name} to go on from there)"
            ) from error
        if run is None or found.history is None:
            raise CheckpointError(
                f"{self.path} was written by mg.save, not by fit: load it with mg.load, and go on "
                "with fit(history=...)"
            )
        self._check_same(found, run)
        self._check_history(history, found.history)
        done = run["position"]["epoch"] - 1 - run["position"]["first"]
        if done > epochs:
            raise ValueError(
                f"{self.path} has {done} epochs done, this call asks for {epochs}: ask for {done} "
                "or more, or name another file to begin anew"
            )
        warn_of_hidden(self._owners())
        common = common_from(run["random"], str(self.path))
        drawing = self._drawing(run)
        theirs = vars(found.history)

        def then() -> None:
            streams.run(drawing)
            set_common(common)
            vars(history).update(theirs)

        advice = "make it with the same settings to go on, or name another file to begin anew"
        put(found, self.parts, then=then, advice=advice)
        self.lr = float(run["lr"])
        self._written = _key(run["position"])
        return dict(run["position"])

    def _check_none_earlier(self) -> None:
        """FileNotFoundError if there are earlier checkpoints: a new run would remove them."""
        others = self._earlier()
        if others:
            raise FileNotFoundError(
                f"{self.path} is missing, and earlier checkpoints of it are there ({others}): "
                f"rename the last one to {self.path.name} to go on from it, or name another file "
                "to begin anew"
            )

    def _earlier(self) -> str:
        """The names of the earlier checkpoints, the last one at the end. "" if there are none."""
        return ", ".join(file.name for _, file in sorted(earlier(self.path).items()))

    def _owners(self) -> dict[str, Any]:
        """All that may have attributes of its own: {"model": ..., "train": ..., ...}."""
        return self.parts.given() | {n: s for n, s in self.sets.items() if s is not None}

    def _drawing(self, run: Mapping[str, Any]) -> list[streams.Action]:
        """The actions that set the random numbers of the data sets, after all checks."""
        try:
            return [
                action
                for name, dataset in self.sets.items()
                if dataset is not None
                for action in streams.prepared(dataset, run["sets"][name])
            ]
        except (KeyError, ValueError) as error:
            raise CheckpointError(f"{self.path} does not fit: {error}") from error

    def _check_history(self, ours: History, theirs: History) -> None:
        """ValueError if the call's history is of another run than the one in the file."""
        pairs = zip(ours.step_loss, theirs.step_loss, strict=False)
        if ours.step_loss and any(a != b and not (a != a and b != b) for a, b in pairs):
            raise ValueError(
                f"{self.path} is of another run: the losses in the history that was given are not "
                "those in the file. Give the history of the run, or a new one; or name another "
                "file to begin anew"
            )

    def _check_same(self, found: Checkpoint, run: Mapping[str, Any]) -> None:
        """ValueError if the file is of a run with other settings."""
        before = dict(run["settings"])
        left_out = [name for name in OPTIONAL if name in before and name not in self.settings]
        for name in [*self.settings, *left_out]:
            value = self.settings.get(name)
            if name not in before or before[name] != value:
                raise ValueError(
                    f"{self.path} is of another run: {name} was {before.get(name)}, now it is "
                    f"{value}. Make the same call to go on, or name another file to begin anew"
                )
        lr = _first_lr(self.parts)
        reached = found.state["optimizer"].get("lr") if "optimizer" in found.state else None
        if lr not in (run["lr"], reached):
            raise ValueError(
                f"{self.path} is of another run: lr was {run['lr']} at its start and is {reached} "
                f"now, this call has {lr}. Make the same call to go on; a callback may then set "
                "optimizer.lr, and with a schedule schedule.start"
            )
        words = self.parts.said()
        same = all(found.said.get(name) == text for name, text in words.items())
        for name, value in run["attributes"].items() if same else ():  # else `put` says it
            if self.attributes.get(name, value) != value:
                raise ValueError(
                    f"{self.path} is of another run: {name} was {value} at its start, now it is "
                    f"{self.attributes[name]}. Make the same call with new parts to go on, or "
                    "name another file to begin anew"
                )
        now = versions(self.parts)
        other = [
            f"{name} {then}, now {now.get(name)}"
            for name, then in found.versions.items()
            if now.get(name) != then
        ]
        if other:
            warnings.warn(
                f"{self.path} was written with {'; '.join(other)}: the last digits of the results "
                "may differ from those of an unbroken run",
                stacklevel=4,
            )

    def save(self, history: History, position: Mapping[str, Any]) -> None:
        """Write the file, if the run has moved on since it was written last.

        If the disk is full, or a weight is NaN, a warning says so, and the last file stays.
        """
        if _key(position) == self._written:
            return
        try:
            self.write(history, position)
        except (OSError, ValueError) as error:
            warnings.warn(
                f"no checkpoint was written ({error}); the one before stays",
                RuntimeWarning,
                stacklevel=3,
            )
            self.every.saved()

    def write(self, history: History, position: Mapping[str, Any]) -> None:
        """Write the file. OSError if the disk is full, ValueError if a weight is NaN."""
        run = {"position": dict(position), "settings": self.settings, "lr": self.lr}
        run["random"] = common_state()
        run["sets"] = {n: {} if s is None else s.rng_state() for n, s in self.sets.items()}
        run["attributes"] = self._constant()
        write(self.path, self.parts, history, {}, keep=self.keep, run=run)
        self._written = _key(position)
        self.every.saved()

    def _attributes(self) -> dict[str, str]:
        return attributes(self._owners() | self.functions)

    def _constant(self) -> dict[str, str]:
        """The attributes that are as at the start. A warning names those that have changed."""
        now = self._attributes()
        changed = [n for n, value in now.items() if self.attributes.get(n) != value]
        if news := [name for name in changed if name not in self._told]:
            self._told += news
            warnings.warn(
                f"these attributes change in the training, and a checkpoint does not contain "
                f"them: {news}. A run that goes on has their first values. Keep a layer's numbers "
                "in arrays in self.buffers, and what only backward needs in self.cache; other "
                "parts write state_dict and load_state_dict",
                stacklevel=4,
            )
        return {n: value for n, value in self.attributes.items() if n not in changed}


def run_file(
    path: str | Path | None, parts: Parts, settings: Mapping[str, Any], **options: Any
) -> RunFile | None:
    """The RunFile of a call. None without a path: then the other arguments must not be given."""
    if path is not None:
        return RunFile(path, parts, settings, **options)
    if options["resume"] or options["every"] is not None or options["keep"] != 1:
        raise ValueError("resume, every and keep are for a checkpoint: give checkpoint='run.npz'")
    return None


def _key(position: Mapping[str, Any]) -> tuple[Any, ...]:
    """What tells two positions of a run apart. The seconds of training do not count."""
    return tuple(position.get(name) for name in ("epoch", "batch", "phase", "finished"))


def fingerprint(dataset: Dataset | None) -> str | None:
    """A short text that two data sets share if all of their numbers are the same."""
    if dataset is None:
        return None
    code = 0
    arrays = (dataset.x, dataset.y, dataset.clean_y)  # values have no clean_y
    for array in (a for a in arrays if a is not None):
        code = zlib.crc32(np.ascontiguousarray(to_host(array)).data, code)
    said = f"{len(dataset)} examples of {tuple(dataset.x.shape[1:])}, checksum {code:08x}"
    ignored = dataset.ignore_index
    return said if ignored is None else f"{said}, ignore_index={ignored}"


def _first_lr(parts: Parts) -> float | None:
    """The learning rate at the start of the run."""
    if parts.schedule is not None:
        return parts.schedule.start
    return parts.optimizer.lr if parts.optimizer is not None else None
