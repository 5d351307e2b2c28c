"""The processes of a search on this machine: each does one run at a time, and may die of it."""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from minigrad import backend
from minigrad.search.parcel import Parcel, joblibs
from minigrad.search.task import carry_out_in_a_worker, died

# What other libraries read when a process starts: BLAS, OpenMP, Numba, ...
LIMITS = ("OMP", "OPENBLAS", "MKL", "BLIS", "VECLIB", "NUMBA", "NUMEXPR")
PERIOD = 0.5  # seconds between two looks at the parent process


def carried_out(
    run: Callable[..., Any], todo: list[dict[str, Any]], n_jobs: int, threads_per_run: int
) -> Generator[dict[str, Any], None, None]:
    """The rows of these runs, each as soon as it ends.

    Each process is a pool of its own. So it is known which run a process died of: that run has
    failed, a new process takes its place, and all others go on undisturbed.
    """
    waiting = deque(todo)
    pools: list[Any] = []
    running: dict[Future[Any], tuple[Any, dict[str, Any] | None, float]] = {}

    def begin() -> None:
        """A new process. Its first task says that it is there."""
        pool = _new_pool(threads_per_run)
        pools.append(pool)
        running[pool.submit(os.getpid)] = pool, None, time.perf_counter()

    def give(pool: Any) -> None:
        """The next run for this process."""
        if not waiting:
            return
        task = waiting[0]
        arguments = task["settings"], task["seed"], threads_per_run, backend.name()
        try:
            future = pool.submit(_carry_out, parcel, *arguments)
        except BrokenProcessPool:  # it was killed while it had nothing to do
            begin()
            return
        running[future] = pool, waiting.popleft(), time.perf_counter()

    parcel = Parcel(run)
    try:
        for _ in range(min(n_jobs, len(todo))):
            begin()
        while running:
            done, _ = wait(running, timeout=PERIOD, return_when=FIRST_COMPLETED)
            for future in done:
                pool, task, started = running.pop(future)
                row = None
                try:
                    row = future.result()
                except BrokenProcessPool as error:
                    if task is None:
                        raise RuntimeError(
                            "a process for the runs ended before its first run; the runs that "
                            "ended are in the file: make the same call again, or take n_jobs=1"
                        ) from error
                    row = died(task, _why(error), started, threads_per_run)
                    pools.remove(pool)
                    pool.shutdown(kill_workers=True)
                    if waiting:
                        begin()
                else:
                    give(pool)  # before this run is written: no process waits for the disk
                if task is not None:
                    yield row
    finally:
        _end(pools, kill=bool(running))
        parcel.remove()


def _carry_out(parcel: Parcel, *arguments: Any) -> dict[str, Any]:
    return carry_out_in_a_worker(parcel.open(), *arguments)


def _new_pool(threads_per_run: int) -> Any:
    """One process, in loky's way: a script needs no `if __name__ == "__main__"`."""
    env = {f"{name}_NUM_THREADS": str(threads_per_run) for name in LIMITS}
    if "ENABLE_IPC" not in os.environ:
        env["ENABLE_IPC"] = "1"  # the processes' TBB schedulers take each other into account
    # loky replaces a process that has grown by 300 MB, between two runs. Nothing is lost by it.
    warnings.filterwarnings("ignore", "A worker stopped while some jobs", UserWarning)
    new = joblibs("loky").ProcessPoolExecutor
    return new(1, env=env, initializer=_begin, initargs=(os.getpid(),))


def _end(pools: list[Any], kill: bool) -> None:
    """End all processes. After Ctrl-C the others are ended, too, before it is raised."""
    interrupt: KeyboardInterrupt | None = None
    for pool in pools:
        try:
            pool.shutdown(wait=True, kill_workers=kill)
        except KeyboardInterrupt as error:
            interrupt = error
            kill = True
    if interrupt is not None:
        raise interrupt


def _why(error: BaseException) -> str:
    """Why a process died, from the exit code in loky's message."""
    found = re.search(r"\{([A-Z]+)\((-?\d+)\)", str(error))
    name, code = found.groups() if found else ("", "")
    if name == "SIGKILL":
        how = "the process of this run was killed (SIGKILL), as the system does when memory is full"
        return f"{how}: a smaller batch or fewer n_jobs need less"
    if name.startswith("SIG"):
        return f"the process of this run crashed or was ended by a signal ({name})"
    if name:
        return f"the process of this run ended itself with exit code {code}, as os._exit does"
    return "the process of this run ended without a message"


def _begin(parent: int) -> None:
    """The first thing in a new process.

    The parent handles Ctrl-C and ends this process. If the parent is killed, this process ends
    itself within a second, also in the middle of a run.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_watch, args=(parent,), daemon=True, name="minigrad watch").start()


def _watch(parent: int) -> None:
    """End this process as soon as the parent has ended."""
    if sys.platform == "win32":
        import _winapi

        try:
            handle = _winapi.OpenProcess(_winapi.SYNCHRONIZE, False, parent)
            _winapi.WaitForSingleObject(handle, _winapi.INFINITE)
        except OSError:  # it has ended before
            pass
    else:
        while os.getppid() == parent:
            time.sleep(PERIOD)
    os._exit(1)
