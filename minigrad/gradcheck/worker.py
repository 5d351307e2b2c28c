"""The process in which `minigrad check` runs a student's file.

It reads the request from its standard input. It writes the verdict to the standard output that it
began with. Whatever the file prints goes to the standard error.
"""

from __future__ import annotations

import argparse
import importlib.util
import io
import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any

import numpy as np

from minigrad import backend
from minigrad.gradcheck.check import check
from minigrad.gradcheck.command import UsageError, draw
from minigrad.gradcheck.integrity import Snapshot
from minigrad.gradcheck.report import Report
from minigrad.layers import Layer
from minigrad.losses import Loss

# The student's file may replace what these modules name; these names stay.
_dumps = json.dumps
_write = os.write
_exit = os._exit


def main() -> None:
    """Answer the one request and end at once, so that no exit handler of the file runs."""
    request = json.loads(sys.stdin.readline())
    channel = os.dup(1)
    os.dup2(2, 1)  # also for what prints without sys.stdout
    sys.stdin = io.StringIO()  # input() in the file finds an end
    arguments = argparse.Namespace(**request["arguments"])
    verdict = _verdict(arguments) | {"token": request["token"]}
    answer = _dumps(verdict).encode()
    while answer:
        answer = answer[_write(channel, answer) :]
    _exit(0)


def _verdict(arguments: argparse.Namespace) -> dict[str, Any]:
    try:
        if arguments.backend is not None:
            backend.use(arguments.backend)
        x = draw(arguments)
        snapshot = Snapshot()
        report = _check(load(arguments.target), x, arguments)
        if changed := snapshot.changed():
            raise UsageError(
                f"not checked: {arguments.target.partition(':')[0]} replaces parts of the library "
                f"({', '.join(changed[:3])}), and a verdict would be its own"
            )
        return {"report": str(report), "right": bool(report)}
    except UsageError as error:
        return {"error": str(error)}


def opened(target: str) -> tuple[Path, dict[str, Any], str]:
    """(file, its names, NAME or "NAME(arguments)") of FILE:NAME. The file has been run.

    UsageError, in words for the student, if there is no such file or name.
    """
    file, colon, expression = target.partition(".py:")
    if not colon or not expression.strip():
        raise UsageError(f"expected FILE:NAME, as in my_layer.py:MyLayer, got {target!r}")
    path = Path(file + ".py")
    if not os.path.isfile(path):  # False also for a name that is too long
        raise UsageError(f"there is no file {path}")
    spec = importlib.util.spec_from_file_location(f"student_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise UsageError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    folder = str(path.resolve().parent)
    sys.path.insert(0, folder)
    try:
        spec.loader.exec_module(module)
    except BaseException as error:  # SystemExit too: the file may raise anything
        raise UsageError(f"{path} does not import:\n{where(error, path)}") from error
    finally:
        # An import inside forward still finds the student's files, but looks there last.
        sys.path.remove(folder)
        sys.path.append(folder)
    name = expression.partition("(")[0].strip()
    if not hasattr(module, name):
        own = [n for n, v in vars(module).items() if getattr(v, "__module__", None) == spec.name]
        raise UsageError(f"{path} has no {name!r}; it defines {', '.join(own) or 'nothing'}")
    return path, vars(module), expression


def load(target: str) -> Layer | Loss:
    """The layer, model or loss that FILE:NAME or "FILE:NAME(arguments)" makes."""
    path, names, expression = opened(target)
    name = expression.partition("(")[0].strip()
    try:
        # The student's own file has just been run; the expression is one more line of it.
        subject = eval(expression, names)
        if isinstance(subject, type) or not isinstance(subject, Layer | Loss):
            subject = subject()
    except BaseException as error:
        raise UsageError(
            f"{name} could not be made: {_short(error)}; give its arguments, as in "
            f'"{path.name}:{name}(3, 5)"'
        ) from error
    if not isinstance(subject, Layer | Loss):
        raise UsageError(f"{name} is a {type(subject).__name__}, not a minigrad Layer or Loss")
    return subject


def _check(subject: Layer | Loss, x: np.ndarray, arguments: argparse.Namespace) -> Report:
    target = None
    hint = ""
    if isinstance(subject, Loss):
        rng = np.random.default_rng(arguments.seed)
        classes = rng.integers(0, x.shape[-1], len(x))
        target = backend.to_device(classes if arguments.classes else rng.random(x.shape))
        hint = "\n(--classes gives integer labels, --range 0.1,0.9 probabilities)"
    try:
        return check(
            subject,
            backend.to_device(x),
            target,
            train=not arguments.eval,
            seed=arguments.seed,
            rtol=arguments.rtol,
            jvp=not arguments.no_jvp,
            zeros=[name for name in arguments.zeros.split(",") if name],
        )
    except BaseException as error:
        path = Path(arguments.target.partition(".py:")[0] + ".py")
        raise UsageError(
            f"{type(subject).__name__} with x of shape {x.shape} could not be checked:\n"
            f"{where(error, path)}{hint}"
        ) from error


def where(error: BaseException, path: Path) -> str:
    """The student's own line in the traceback, if one is in it, and the error."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if Path(frame.filename).resolve() == path.resolve()]
    lines = traceback.format_list(own[-1:])
    return "".join([*lines, *traceback.format_exception_only(type(error), error)]).rstrip()


def _short(error: BaseException) -> str:
    """The error in one line. An error without a message is shown with its kind."""
    return str(error) if isinstance(error, Exception) and str(error) else repr(error)
