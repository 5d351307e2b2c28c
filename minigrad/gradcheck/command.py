"""`minigrad check my_layer.py:MyLayer --input 4,3`: the checker on a student's own file.

The file runs in a process of its own (`worker`). It may call sys.exit there, or loop
forever. Then there is no verdict, and the command says that nothing has been checked.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import signal
import subprocess
import sys
from math import inf, prod
from typing import Any

import numpy as np

from minigrad import backend

LARGEST = 10**7  # numbers in x: more are no help in a check
AXES = 32  # of x: CuPy has no more
LONGEST = 1e6  # seconds: 11 days
BOOT = """\
import sys
sys.path[:] = {path!r}
from minigrad.gradcheck.worker import main
main()
"""


class UsageError(Exception):
    """Something about the file, the name or the options, in words for the student."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `minigrad check`."""
    parser.description = (
        "Compare the hand-written backward and jvp of a layer, a model or a loss with central "
        "differences and with each other. Exit status 0 when all is right, 1 when something is "
        "wrong, 2 when it could not be checked. What your file prints goes to the standard error."
    )
    add = parser.add_argument
    add("target", metavar="FILE:NAME", help='my_layer.py:MyLayer, or "my_layer.py:MyLayer(3, 5)"')
    add("--input", required=True, metavar="N,D", help="shape of x, the batch first: 4,3")
    add("--range", metavar="LOW,HIGH", help="draw x uniformly from there (else normal numbers)")
    add("--classes", action="store_true", help="for a loss: integer labels as the target")
    add("--eval", action="store_true", help="the table is for evaluation mode (train=False)")
    add("--no-jvp", action="store_true", help="check backward alone")
    add("--zeros", metavar="dA,dB", default="", help="gradients that must be zero: d0.b,d3.b")
    add("--seed", type=int, default=0, help="of x and of the random directions (default 0)")
    add("--rtol", type=float, default=1e-6, help="largest relative error that passes")
    add("--backend", choices=backend.NAMES, default=None, help="where to compute")
    add(
        "--time-limit",
        type=float,
        default=300.0,
        metavar="SECONDS",
        help="then give up: an endless loop, perhaps (default 300)",
    )


def check(arguments: argparse.Namespace) -> int:
    """Print the table; 0 when all is right, 1 when something is wrong, 2 when it cannot be told."""
    try:
        _check_options(arguments)
        verdict = _verdict(arguments)
        if "error" in verdict:
            raise UsageError(verdict["error"])
    except UsageError as error:
        print(f"minigrad check: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("minigrad check: interrupted, not checked", file=sys.stderr)
        return 130
    print(verdict["report"])
    return 0 if verdict["right"] else 1


def _check_options(arguments: argparse.Namespace) -> None:
    try:
        if arguments.backend is not None:
            backend.use(arguments.backend)
        backend.current()  # MINIGRAD_BACKEND may name one that cannot run
    except (ValueError, backend.BackendError) as error:
        raise UsageError(str(error)) from error
    if arguments.seed < 0:
        raise UsageError(f"--seed must be at least 0, got {arguments.seed}")
    if not 0 < arguments.time_limit <= LONGEST:
        raise UsageError(
            f"--time-limit takes seconds above 0, {LONGEST:,.0f} at most, "
            f"got {arguments.time_limit}"
        )
    if not 0 < arguments.rtol < 1:
        raise UsageError(f"--rtol: rtol must lie between 0 and 1, got {arguments.rtol}")
    draw(arguments)


def draw(arguments: argparse.Namespace) -> np.ndarray:
    """x of the shape and range that the options ask for."""
    shape = _numbers(arguments.input, int)
    if not shape or min(shape) < 1:
        raise UsageError(
            f"--input takes a shape such as 4,3 (batch first), got {arguments.input!r:.80}"
        )
    if len(shape) > AXES or prod(shape) > LARGEST:
        raise UsageError(
            f"--input asks for too large an x: at most {LARGEST:,} numbers and {AXES} axes, "
            f"got {arguments.input!r:.80}"
        )
    rng = np.random.default_rng(arguments.seed)
    if arguments.range is None:
        return rng.standard_normal(shape)
    limits = _numbers(arguments.range, float)
    if len(limits) != 2 or not 0 < limits[1] - limits[0] < inf:
        raise UsageError(f"--range takes two numbers such as 0.1,0.9, got {arguments.range!r:.80}")
    return rng.uniform(*limits, shape)


def _numbers(text: str, kind: type) -> tuple:
    try:
        return tuple(kind(part) for part in text.split(","))
    except ValueError:
        return ()


def _verdict(arguments: argparse.Namespace) -> dict[str, Any]:
    """What the worker says: {"report": ..., "right": ...} or {"error": ...}."""
    token = secrets.token_hex(16)
    request = json.dumps({"token": token, "arguments": vars(arguments)})
    path = [os.path.abspath(folder) for folder in sys.path]
    environment = {name: v for name, v in os.environ.items() if name != "PYTHONOPTIMIZE"}
    worker = subprocess.Popen(
        [sys.executable, "-c", BOOT.format(path=path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
        start_new_session=os.name == "posix",  # then it can be ended with all that it started
    )
    try:
        answer, _ = worker.communicate(request.encode(), timeout=arguments.time_limit)
    except subprocess.TimeoutExpired:
        raise UsageError(
            f"not checked: no verdict after {arguments.time_limit:g} s. Is there an endless loop? "
            "Else give it more time with --time-limit, or a smaller --input"
        ) from None
    finally:
        _end(worker)
    return _read(answer, token, worker.returncode)


def _read(answer: bytes, token: str, status: int | None) -> dict[str, Any]:
    """The verdict that the worker wrote. UsageError if there is none."""
    try:
        verdict = json.loads(answer)
        if verdict.pop("token") == token:
            return verdict
    except (ValueError, KeyError, AttributeError, TypeError):
        pass
    raise UsageError(
        f"not checked: the process that ran your file ended without a verdict (exit status "
        f"{status}). Does the file call os._exit, or close or write to files that are not its own?"
    )


def _end(worker: subprocess.Popen[bytes]) -> None:
    """End the worker, and what it has started."""
    try:
        if os.name == "posix":
            os.killpg(worker.pid, signal.SIGKILL)
        else:
            worker.kill()
    except (ProcessLookupError, PermissionError):
        pass  # it has ended
    for pipe in (worker.stdin, worker.stdout):
        if pipe is not None:
            pipe.close()
    worker.wait()
