"""Threads of our own, and BLAS's kept out of their way.

NumPy computes element-wise operations, copies and most products of tall, thin matrices on one
core. It also releases Python's lock while it does, so that threads help.

    minigrad.threads.set_threads(2)        or MINIGRAD_THREADS=2 in the environment

limits these threads and BLAS's to 2. Without either, the limits meant for BLAS
(OPENBLAS_NUM_THREADS, MKL_NUM_THREADS, OMP_NUM_THREADS) hold here too, else there is a thread for
each core that the process may use.
"""

from __future__ import annotations

import contextvars
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

from minigrad.checks import positive_int

T = TypeVar("T")

LIMITS = ("MINIGRAD_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS")


class _Local(threading.local):
    """What each thread knows of itself."""

    inside = False  # it works on an item of `each`
    passes = 0  # how many passes it is in, within one_blas_thread


_threads: int | None = None  # None: not asked yet
_pool: ThreadPoolExecutor | None = None
local = _Local()
_lock, _inside = threading.Lock(), 0  # how many passes are within one_blas_thread
_before: list[tuple[Any, int]] = []  # BLAS's threads outside of it


def threads() -> int:
    """How many threads the layers use."""
    global _threads
    if _threads is None:
        _threads = next(filter(None, (_limit(name) for name in LIMITS)), None) or _cores()
    return _threads


def set_threads(n: int | None) -> None:
    """Use n threads from here on, BLAS too; None: as many as the environment says."""
    global _threads, _pool
    n = None if n is None else positive_int("n", n)
    with _lock:
        if _inside:
            raise RuntimeError("set_threads: a pass over a network is running; call it before")
        _threads = n
        if _pool is not None:
            _pool.shutdown()
        _pool = None
    for controller in _blas():
        controller.set_num_threads(threads())


def _limit(name: str) -> int | None:
    """The number that an environment variable sets; OMP_NUM_THREADS may be a list, "4,2"."""
    text = os.environ.get(name, "").split(",")[0].strip()
    if text.isdecimal() and int(text) > 0:
        return int(text)
    if text and name == LIMITS[0]:
        raise ValueError(f"{name} must be a number of threads, 1 or more; got {text!r}")
    return None


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        return os.cpu_count() or 1


def each(work: Callable[[Any], T], items: Sequence[Any]) -> list[T]:
    """[work(item) for item in items], on all threads. BLAS keeps to one thread meanwhile.

    An error, or Ctrl-C, is raised here, when no thread works on any more.
    """
    if local.inside:  # work that calls `each` itself stays on its thread
        return [work(item) for item in items]
    numbers = iter(range(len(items)))  # each thread takes the next: a late one does less
    results: list[Any] = [None] * len(items)

    def share() -> None:
        local.inside = True
        try:
            for i in numbers:
                results[i] = work(items[i])
        except BaseException:
            _exhaust(numbers)
            raise
        finally:
            local.inside = False

    others, failures = [], []
    with one_blas_thread():
        for _ in range(min(threads(), len(items)) - 1):
            # A copy of the context: np.errstate holds there as it does here.
            others.append(_executor().submit(contextvars.copy_context().run, share))
        try:
            share()
        except BaseException as error:
            failures.append(error)
        while others:
            try:
                failures.append(others[-1].exception())  # waits
                others.pop()
            except KeyboardInterrupt as error:
                _exhaust(numbers)
                failures.append(error)
    for failure in failures:
        if failure is not None:
            raise failure
    return results


def _exhaust(numbers: Iterator[int]) -> None:
    """Nobody begins another item."""
    for _ in numbers:
        pass


def _executor() -> ThreadPoolExecutor:
    global _pool
    if _pool is None:
        _pool = ThreadPoolExecutor(max(1, threads() - 1), "minigrad")
    return _pool


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """BLAS keeps to one thread: two levels of threads would fight for the cores.

    So would BLAS's idle threads, which spin for milliseconds before they sleep: a network whose
    layers use these threads here wants this around the whole of a pass.
    """
    global _inside
    local.passes += 1
    with _lock:
        _inside += 1
        if _inside == 1:
            _before[:] = [(blas, blas.num_threads) for blas in _blas()]
            for controller, _ in _before:
                controller.set_num_threads(1)
    try:
        yield
    finally:
        local.passes -= 1
        with _lock:
            _inside = max(0, _inside - 1)  # 0 already in a child forked meanwhile
            if _inside == 0:
                for controller, number in _before:
                    controller.set_num_threads(number)


_controllers: list[Any] | None = None


def _blas() -> list[Any]:
    """The BLAS libraries that are loaded, NumPy's among them; looked for once."""
    global _controllers
    if _controllers is None:
        from threadpoolctl import ThreadpoolController

        _controllers = ThreadpoolController().select(user_api="blas").lib_controllers
    return _controllers


def _after_fork() -> None:
    """A forked process has none of its parent's threads, and no pass that runs in them."""
    global _pool, _lock, _inside
    _pool, _lock = None, threading.Lock()
    if _inside:
        for controller, number in _before:
            controller.set_num_threads(number)
    _inside = 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
if LIMITS[0] in os.environ:
    set_threads(_limit(LIMITS[0]))
