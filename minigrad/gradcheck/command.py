"""`minigrad check my_layer.py:MyLayer --input 4,3`: the checker on a student's own file."""

from __future__ import annotations

import argparse
import importlib.util
import sys
import traceback
from pathlib import Path

import numpy as np

from minigrad import backend, gradcheck
from minigrad.layers import Layer
from minigrad.losses import Loss


class UsageError(Exception):
    """Something about the file, the name or the options, in words for the student."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `minigrad check`."""
    parser.description = (
        "Compare the hand-written backward and jvp of a layer, a model or a loss with central "
        "differences and with each other. Exit status 1 when one is wrong."
    )
    add = parser.add_argument
    add("target", metavar="FILE:NAME", help='my_layer.py:MyLayer, or "my_layer.py:MyLayer(3, 5)"')
    add("--input", required=True, metavar="N,D", help="shape of x, the batch first: 4,3")
    add("--range", metavar="LOW,HIGH", help="draw x uniformly from there (else normal numbers)")
    add("--classes", action="store_true", help="for a loss: integer labels as the target")
    add("--eval", action="store_true", help="check it in evaluation mode (train=False)")
    add("--no-jvp", action="store_true", help="check backward alone")
    add("--zeros", metavar="dA,dB", default="", help="gradients that must be zero: d0.b,d3.b")
    add("--seed", type=int, default=0, help="of x and of the random directions (default 0)")
    add("--rtol", type=float, default=1e-6, help="largest relative error that passes")
    add("--backend", choices=backend.NAMES, default=None, help="where to compute")


def check(arguments: argparse.Namespace) -> int:
    """Print the table; 0 when all is right, 1 when something is wrong, 2 when it cannot be told."""
    try:
        _use_backend(arguments.backend)
        if arguments.seed < 0:
            raise UsageError(f"--seed must be at least 0, got {arguments.seed}")
        x = draw(arguments)
        subject = load(arguments.target)
        report = _check(subject, x, arguments)
    except UsageError as error:
        print(f"minigrad check: {error}", file=sys.stderr)
        return 2
    print(report)
    return 0 if report else 1


def _use_backend(name: str | None) -> None:
    try:
        if name is not None:
            backend.use(name)
        backend.current()  # MINIGRAD_BACKEND may name one that cannot run
    except (ValueError, backend.BackendError) as error:
        raise UsageError(str(error)) from error


def draw(arguments: argparse.Namespace) -> np.ndarray:
    """x of the shape and range that the options ask for."""
    shape = _numbers(arguments.input, int)
    if not shape or min(shape) < 1:
        raise UsageError(
            f"--input takes a shape such as 4,3 (batch first), got {arguments.input!r}"
        )
    rng = np.random.default_rng(arguments.seed)
    if arguments.range is None:
        return rng.standard_normal(shape)
    limits = _numbers(arguments.range, float)
    if len(limits) != 2 or not limits[0] < limits[1]:
        raise UsageError(f"--range takes two numbers such as 0.1,0.9, got {arguments.range!r}")
    return rng.uniform(*limits, shape)


def _numbers(text: str, kind: type) -> tuple:
    try:
        return tuple(kind(part) for part in text.split(","))
    except ValueError:
        return ()


def load(target: str) -> Layer | Loss:
    """The layer, model or loss that FILE:NAME or "FILE:NAME(arguments)" makes."""
    file, colon, expression = target.partition(".py:")
    if not colon or not expression.strip():
        raise UsageError(f"expected FILE:NAME, as in my_layer.py:MyLayer, got {target!r}")
    path = Path(file + ".py")
    if not path.is_file():
        raise UsageError(f"there is no file {path}")
    spec = importlib.util.spec_from_file_location(f"student_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    sys.path.insert(0, str(path.resolve().parent))
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise UsageError(f"{path} does not import:\n{_where(error, path)}") from error
    finally:
        sys.path.pop(0)
    name = expression.partition("(")[0].strip()
    if not hasattr(module, name):
        own = [n for n, v in vars(module).items() if getattr(v, "__module__", None) == spec.name]
        raise UsageError(f"{path} has no {name!r}; it defines {', '.join(own) or 'nothing'}")
    try:
        # The student's own file has just been run; the expression is one more line of it.
        subject = eval(expression, vars(module))
        if isinstance(subject, type) or not isinstance(subject, Layer | Loss):
            subject = subject()
    except Exception as error:
        raise UsageError(
            f"{name} could not be made: {error}; give its arguments, as in "
            f'"{path.name}:{name}(3, 5)"'
        ) from error
    if not isinstance(subject, Layer | Loss):
        raise UsageError(f"{name} is a {type(subject).__name__}, not a minigrad Layer or Loss")
    return subject


def _check(subject: Layer | Loss, x: np.ndarray, arguments: argparse.Namespace) -> gradcheck.Report:
    target, hint = None, ""
    if isinstance(subject, Loss):
        rng = np.random.default_rng(arguments.seed)
        classes = rng.integers(0, x.shape[-1], len(x))
        target = backend.to_device(classes if arguments.classes else rng.random(x.shape))
        hint = "\n(--classes gives integer labels, --range 0.1,0.9 probabilities)"
    try:
        return gradcheck.check(
            subject,
            backend.to_device(x),
            target,
            train=not arguments.eval,
            seed=arguments.seed,
            rtol=arguments.rtol,
            jvp=not arguments.no_jvp,
            zeros=[name for name in arguments.zeros.split(",") if name],
        )
    except Exception as error:
        path = Path(arguments.target.partition(".py:")[0] + ".py")
        raise UsageError(
            f"{type(subject).__name__} with x of shape {x.shape} could not be checked:\n"
            f"{_where(error, path)}{hint}"
        ) from error


def _where(error: BaseException, path: Path) -> str:
    """The student's own line in the traceback, if one is in it, and the error."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if Path(frame.filename).resolve() == path.resolve()]
    lines = traceback.format_list(own[-1:])
    return "".join([*lines, *traceback.format_exception_only(type(error), error)]).rstrip()
