"""One run of a search: the call, and the row that says what came of it."""

from __future__ import annotations

import math
import numbers
import platform
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import Any

import numpy as np

from minigrad import backend, threads
from minigrad.history import History
from minigrad.version import __version__

_limit_lock = threading.Lock()
_limit = 0  # the number of threads that this worker process was last set to


def carry_out(run: Callable[..., Any], settings: dict[str, Any], seed: int) -> dict[str, Any]:
    """The row of run(seed=seed, **settings): what it returned, or why it failed.

    It raises nothing but KeyboardInterrupt, after Ctrl-C. This holds also if `run` returned after
    Ctrl-C, as `fit` does: the run was cut short, so its numbers are not those asked for.
    MemoryError and sys.exit() are failures of this run.
    """
    row: dict[str, Any] = {"settings": settings, "seed": seed, "status": "done", "results": {}}
    started = time.perf_counter()
    with _interrupts_seen() as interrupts:
        try:
            answer = run(seed=seed, **settings)
            row["results"] = measured(answer)
            if _stopped(answer, "interrupted"):
                interrupts.append(answer)
            if not all(map(math.isfinite, row["results"].values())):
                row["status"] = "diverged"
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # also sys.exit(): it must not end the search
            row |= {"status": "failed", "results": {}, "error": _said(error)}
            row["traceback"] = traceback.format_exc()
    if interrupts:
        raise KeyboardInterrupt

    return ended(row, started)


def ended(row: dict[str, Any], started: float) -> dict[str, Any]:
    """The row of a run that has just ended, with when, where and by which versions it was done."""
    return row | {
        "seconds": time.perf_counter() - started,
        "time": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "threads": threads.threads(),
        "backend": backend.name(),
        "versions": {
            "minigrad": __version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
    }


def died(task: dict[str, Any], why: str, started: float, number: int) -> dict[str, Any]:
    """The row of a run that ended its process, which used this number of threads."""
    row = {"settings": task["settings"], "seed": task["seed"], "status": "failed", "results": {}}
    return ended(row | {"error": f"WorkerDied: {why}"}, started) | {"threads": number}


def _said(error: BaseException) -> str:
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:  # its own text fails
        return f"{type(error).__name__}: without a readable message"


def carry_out_in_a_worker(
    run: Callable[..., Any], settings: dict[str, Any], seed: int, number: int, arrays: str
) -> dict[str, Any]:
    """`carry_out` in another process, with this number of threads and the parent's backend."""
    global _limit
    with _limit_lock:
        if _limit != number or threads.threads() != number:
            threads.set_threads(number)
            _limit = number
        if backend.name() != arrays:
            backend.use(arrays)
    return carry_out(run, settings, seed)


def measured(answer: Any) -> dict[str, float]:
    """What a run returned, as numbers by name. Of a History: its last and its best values."""
    if isinstance(answer, History):
        return _of_history(answer)
    if not isinstance(answer, dict) or not answer:
        raise TypeError(
            "run must return numbers by name, such as {'validation_loss': 0.3}, or a History; "
            f"it returned {answer!r:.200}"
        )
    for name, value in answer.items():
        if not isinstance(name, str) or not isinstance(value, numbers.Real):
            raise TypeError(
                f"run must return real numbers by name; it returned {name!r}: {value!r:.200}"
            )
    return {name: _plain(value) for name, value in answer.items()}


def _stopped(answer: Any, how: str) -> bool:
    return isinstance(answer, History) and (answer.stopped or "").startswith(how)


def _plain(value: Any) -> float:
    return int(value) if isinstance(value, numbers.Integral) else float(value)


def _of_history(history: History) -> dict[str, float]:
    """The last values, NaN if the run diverged; the best losses and accuracies of all epochs."""
    result: dict[str, float] = {}
    lost = _stopped(history, "diverged")
    kinds = [("train", history.train_loss, history.train_accuracy)]
    if history.validation_loss:
        kinds.append(("validation", history.validation_loss, history.validation_accuracy))
    elif history.test_loss or not history.epoch:  # no epoch: it diverged before its evaluation
        kinds.append(("validation", history.test_loss, history.test_accuracy))
    for kind, loss, accuracy in kinds:
        for name, values in (("loss", loss), ("accuracy", accuracy)):
            result[f"{kind}_{name}"] = math.nan if lost or not values else float(values[-1])
        finite = [i for i, value in enumerate(loss) if math.isfinite(value)]
        rights = [accuracy[i] for i in finite] if accuracy else []  # none, where it has no meaning
        result[f"best_{kind}_loss"] = min((loss[i] for i in finite), default=math.nan)
        result[f"best_{kind}_accuracy"] = max(rights, default=math.nan)
    of_validation = "validation" if history.validation_loss else "test"
    for kind, name in (("train", "train"), ("validation", of_validation)):
        for key, values in history.metrics.items():
            metric = f"{kind}_{key.removeprefix(f'{name}_')}"
            if key.startswith(f"{name}_") and metric not in result:
                result[metric] = math.nan if lost or not values else float(values[-1])
    return result | {"epochs": max(history.epoch, default=0), "steps": len(history.step_loss)}


@contextmanager
def limited(number: int) -> Iterator[None]:
    """Within it, this process uses this number of threads."""
    before = threads.threads()
    threads.set_threads(number)
    try:
        yield
    finally:
        threads.set_threads(before)


@contextmanager
def _interrupts_seen() -> Iterator[list[Any]]:
    """Gives a list that gets an entry for each Ctrl-C, also for one that `run` caught."""
    seen: list[Any] = []
    before = signal.getsignal(signal.SIGINT)
    if not callable(before) or threading.current_thread() is not threading.main_thread():
        yield seen  # Ctrl-C is ignored in this process, or another thread receives it
        return

    def note(number: int, frame: Any) -> None:
        seen.append(number)
        before(number, frame)

    signal.signal(signal.SIGINT, note)
    try:
        yield seen
    finally:
        signal.signal(signal.SIGINT, before)
