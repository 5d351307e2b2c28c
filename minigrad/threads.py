"""The threads of this process: minigrad's own, and those of BLAS, NumPy's library for products.

NumPy computes element-wise operations, copies, and most products of tall, thin matrices on one
core. It releases Python's lock meanwhile. So several threads do such work faster than one.

    minigrad.threads.set_threads(2)        or MINIGRAD_THREADS=2 in the environment

sets the number of both kinds of threads to 2. If neither is given, the variables for BLAS count
(OPENBLAS_NUM_THREADS, MKL_NUM_THREADS, OMP_NUM_THREADS). If none of them is set, there is one
thread for each core that the process may use.

"Threads" has this one meaning in all of minigrad: what `set_threads` sets, in one process.
`search.grid(threads_per_run=)` and `asynchronous.fit(threads_per_process=)` call it.
"""

from __future__ import annotations

import contextvars
import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from minigrad import backend
from minigrad.blas import sleep_soon
from minigrad.checks import positive_int

if TYPE_CHECKING:  # imported when the first thread is needed
    from concurrent.futures import Future, ThreadPoolExecutor

T = TypeVar("T")

LIMITS = ("MINIGRAD_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS")
MOST = 9999  # threads: no computer has more cores, and BLAS takes only small numbers


class _Local(threading.local):
    """Values that each thread has for itself."""

    passes = 0  # in how many `one_blas_thread` blocks this thread is


_threads: int | None = None  # None: not read from the environment yet
_pool: ThreadPoolExecutor | None = None
local = _Local()
_lock = threading.Lock()
_inside = 0  # how many `one_blas_thread` blocks are open, in all threads together
_before: list[tuple[Any, int]] = []  # each BLAS library, and its number of threads before them


def threads() -> int:
    """The number of threads that minigrad uses in this process."""
    global _threads
    if _threads is None:
        limits = [_limit(name) for name in LIMITS]
        _threads = next((limit for limit in limits if limit), _cores())
    return _threads


def set_threads(n: int | None) -> None:
    """Use n threads from now on, in minigrad and in BLAS. None: the environment's number.

    RuntimeError while a network is being evaluated, by any thread.
    """
    global _threads, _pool
    n = None if n is None else positive_int("n", n)
    if n is not None and n > MOST:
        raise ValueError(f"n must be at most {MOST}, got {n}")
    with _lock:
        if _inside:
            raise RuntimeError(
                "set_threads was called while a pass over a network is running; call it before "
                "the pass or after it"
            )
        _threads = n
        if _pool is not None:
            _pool.shutdown()
        _pool = None
    for controller in _blas():
        controller.set_num_threads(threads())


def _limit(name: str) -> int | None:
    """The number in an environment variable, or None.

    Minigrad's own variable must be right: else ValueError. Those of other libraries only count if
    they are. OMP_NUM_THREADS may be a list, "4,2".
    """
    own = name == LIMITS[0]
    text = os.environ.get(name, "").strip()
    if not own:
        text = text.split(",")[0].strip()
    digits = text.lstrip("0") if text.isascii() and text.isdecimal() else ""
    if digits and len(digits) <= len(str(MOST)):
        return int(digits)
    if text and own:
        most = f", {MOST} at most" if digits else ""
        raise ValueError(f"{name} must be a number of threads, 1 or more{most}; got {text!r:.50}")
    return None


def _is_the_command() -> bool:
    """Whether this process is the command `minigrad`. It says itself what is wrong."""
    script = Path(sys.argv[0]).stem if getattr(sys, "argv", None) else ""
    return script == "minigrad" or ("-m", "minigrad") in pairwise(sys.orig_argv)


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not every system has it
        return os.cpu_count() or 1


def each(work: Callable[[Any], T], items: Iterable[Any], parallel: bool = True) -> list[T]:
    """[work(item) for item in items], shared out among the threads. BLAS uses one thread meanwhile.

    parallel  False: one item after the other, on the calling thread. Arrays on a GPU need this: a
              thread has its own queue of operations (CuPy's current stream). Else RuntimeError,
              with any number of threads. `kernels.parts.share` looks where an array is
    Nesting:  `each` inside an item runs on that item's thread
    Errors:   after the first error no further item begins. It is raised here, after all threads
              have stopped. Of several errors any one may be raised
    Ctrl-C:   likewise, and KeyboardInterrupt is raised even if an item has failed as well
    """
    items = list(items)
    if backend.thread.shares or not parallel:
        return [work(item) for item in items]
    numbers = iter(range(len(items)))  # each thread takes the next one: a slow thread takes fewer
    results: list[Any] = [None] * len(items)

    def share() -> None:
        backend.thread.shares = True
        try:
            for i in numbers:
                results[i] = work(items[i])
        except BaseException:
            _exhaust(numbers)
            raise
        finally:
            backend.thread.shares = False

    others: list[Future[None]] = []
    failures: list[BaseException | None] = []
    with one_blas_thread():
        try:
            for _ in range(min(threads(), len(items)) - 1):
                # A copy of the context: NumPy's errstate is then the same in all threads.
                others.append(_executor().submit(contextvars.copy_context().run, share))
            share()
        except BaseException as error:
            _exhaust(numbers)
            failures.append(error)
        while others:
            try:
                failures.append(others[-1].exception())  # waits
                others.pop()
            except KeyboardInterrupt as error:
                _exhaust(numbers)
                failures.append(error)
    errors = [failure for failure in failures if failure is not None]
    errors.sort(key=lambda error: not isinstance(error, KeyboardInterrupt))
    if errors:
        raise errors[0]
    return results


def _exhaust(numbers: Iterator[int]) -> None:
    """Take all numbers that are left, so that no thread begins another item."""
    for _ in numbers:
        pass


def _executor() -> ThreadPoolExecutor:
    global _pool
    if _pool is None:
        from concurrent.futures import ThreadPoolExecutor

        _pool = ThreadPoolExecutor(max(1, threads() - 1), "minigrad")
    return _pool


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Within it BLAS uses one thread.

    If minigrad's threads and BLAS's threads work at once, there are more threads than cores, and
    both become slower. BLAS's threads also keep a core busy for milliseconds after a product. A
    network whose layers use minigrad's threads opens this block around a whole pass.
    """
    global _inside
    controllers = _blas()  # looks for the libraries: if that fails, nothing has been counted yet
    local.passes += 1
    with _lock:
        _inside += 1
        if _inside == 1:
            _before[:] = [(blas, blas.num_threads) for blas in controllers]
            for controller in controllers:
                controller.set_num_threads(1)
    try:
        yield
    finally:
        local.passes -= 1
        with _lock:
            _inside = max(0, _inside - 1)  # a process that was forked inside has 0 already
            if _inside == 0:
                for controller, number in _before:
                    controller.set_num_threads(number)


_controllers: list[Any] | None = None


def _blas() -> list[Any]:
    """The BLAS libraries of this process, NumPy's among them. They are looked for once."""
    global _controllers
    if _controllers is None:
        from threadpoolctl import ThreadpoolController

        _controllers = ThreadpoolController().select(user_api="blas").lib_controllers
    return _controllers


def _after_fork() -> None:
    """Start afresh in a forked process: it has none of its parent's threads and passes."""
    global _pool, _lock, _inside
    _pool = None
    _lock = threading.Lock()
    if _inside:
        for controller, number in _before:
            controller.set_num_threads(number)
    _inside = 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
sleep_soon()
if LIMITS[0] in os.environ:
    try:
        set_threads(_limit(LIMITS[0]))
    except ValueError:
        if not _is_the_command():
            raise
