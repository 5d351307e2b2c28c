"""What a run of a lesson has done, kept in its folder: trainings, and the results of functions."""

from __future__ import annotations

import inspect
import re
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from minigrad import asynchronous, checkpoint
from minigrad.asynchronous.timeline import Timeline
from minigrad.checkpoint.packing import pack, unpack
from minigrad.lesson.notes import Notes

# How often a training is saved: seldom enough for a training of a few seconds
SECONDS = 20
QUICK_SECONDS = 1


class Kept:
    """The trainings and results of one run of a lesson.

    folder  where they are kept. None: they are not kept
    every   seconds between two checkpoints of a training
    """

    def __init__(self, folder: Path | None, every: float = SECONDS):
        self.folder = folder
        self.every = every
        self._functions: dict[str, Callable[..., Any]] = {}  # by name
        self._trainings = 0  # so far
        self._computing = ""  # the function that is at work

    def result(self, function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """function(*arguments, **options), or what this run has kept of the same call before.

        The arguments are numbers and text: with the function's name they are the result's name.
        It is plain data: numbers, text, arrays, lists and dicts, or a SimpleNamespace of these.
        """
        name = _name(function, arguments, options)
        if self._functions.setdefault(function.__name__, function) is not function:
            raise ValueError(f"two functions {function.__name__} are kept: rename one of them")
        path = self.folder / f"{name}.npz" if self.folder is not None else None
        found = _found(path)
        if found is not None:
            return _whole(found.extra)
        self._computing = function.__name__
        value = function(*arguments, **options)
        self._computing = ""
        parts = _plain(value)
        if path is not None:
            checkpoint.save(path, extra=parts)
        return _whole(parts)

    def training(
        self,
        by: Callable[..., Any],
        arguments: Sequence[Any],
        options: dict[str, Any],
        collects: Sequence[list[Any]] = (),
    ) -> Any:
        """What `by`, `fit` or `asynchronous.fit`, returns. It goes on with an interrupted run.

        options   the seed and others, for `by`; every, see `fit`, if it is not to be `self.every`
        collects  lists to which the callbacks append plain data: they, too, are as in an unbroken
                  run
        """
        if self._computing:
            raise ValueError(f"a training within {self._computing}: it keeps itself, call it apart")
        every = options.pop("every", f"{self.every} seconds")
        if self.folder is None:
            return by(*arguments, **options)
        self._trainings += 1
        path = self.folder / f"fit-{self._trainings:02}.npz"
        if by is asynchronous.fit:
            return _asynchronous(path, arguments, options)
        found = _found(path)
        history = found.history if found is not None else None
        if collects:
            notes = Notes(path.with_suffix(".jsonl"), collects)
            if not notes.restore(history, options):
                path.unlink()
                history = None
            options = options | notes.callbacks(options)
        if history is not None and history.epoch[-1:] != [options["epochs"]]:
            print(f"training {self._trainings} goes on after step {len(history.step_loss)}")
        return by(*arguments, **options, checkpoint=path, resume=path.exists(), every=every)


def _found(path: Path | None) -> checkpoint.Checkpoint | None:
    """What a file has, if it is there. A damaged one is removed, with a word: it is made anew."""
    if path is None or not path.exists():
        return None
    try:
        return checkpoint.load(path)
    except checkpoint.CheckpointError as error:
        print(f"{error}. It is removed, and this part of the lesson begins anew")
        path.unlink()
        return None


def _name(function: Callable[..., Any], arguments: Sequence[Any], options: dict[str, Any]) -> str:
    """A name for a call, and for its file."""
    values = [*arguments, *options.values()]
    for value in values:
        if not isinstance(value, str | int | float | None):
            raise TypeError(
                f"{function.__name__} is kept under the name of its call, so its arguments are "
                f"numbers and text; got {value!r:.60}"
            )
    words = [*map(str, arguments), *(f"{name}={value}" for name, value in options.items())]
    readable = re.sub(r"[^A-Za-z0-9=.-]+", "_", " ".join([function.__name__, *words]))[:100]
    # what is not readable in a file's name still tells two calls apart
    return f"{readable}-{zlib.crc32(repr([arguments, options]).encode()):08x}"


def _plain(value: Any) -> dict[str, Any]:
    """The value as it comes back from a file: with lists for tuples."""
    arrays: dict[str, Any] = {}
    namespace = isinstance(value, SimpleNamespace)
    parts = {"namespace": namespace, "value": vars(value) if namespace else value}
    return unpack(pack(parts, "result", arrays), arrays)


def _whole(parts: dict[str, Any]) -> Any:
    return SimpleNamespace(**parts["value"]) if parts["namespace"] else parts["value"]


def _asynchronous(path: Path, arguments: Sequence[Any], options: dict[str, Any]) -> Any:
    """`asynchronous.fit`. A run that was interrupted begins anew, so that its timeline is whole."""
    call = inspect.signature(asynchronous.fit).bind(*arguments, **options).arguments
    parts = {name: call[name] for name in ("optimizer", "schedule", "rule") if name in call}
    found = _found(path)
    if found is not None and found.history is not None:
        checkpoint.load(path, call["model"], **parts)
        return asynchronous.Run(found.history, Timeline(found.extra["events"]))
    run = asynchronous.fit(*arguments, **options)
    if run.history.stopped is None:
        extra = {"events": run.timeline.events}
        checkpoint.save(path, call["model"], history=run.history, extra=extra, **parts)
    return run
