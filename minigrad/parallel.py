"""Work on a batch in parts, on several threads: what the layers for images are built on.

NumPy computes element-wise operations, copies and most products of tall, thin matrices on one
core. It also releases Python's lock while it does, so that threads help: each takes parts of the
batch that fit its cache. Which part is which, and in which order sums are taken, depends on sizes
alone: the results are the same, bit for bit, whatever the number of threads.

    minigrad.parallel.set_threads(2)        or MINIGRAD_THREADS=2 in the environment

limits these threads and BLAS's to 2. Without either, the limits meant for BLAS
(OPENBLAS_NUM_THREADS, MKL_NUM_THREADS, OMP_NUM_THREADS) hold here too, else there is a thread for
each core that the process may use. CuPy's arrays are not cut up, but for memory's sake.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np

from minigrad.backend import Array, array_module
from minigrad.checks import positive_int

T = TypeVar("T")

CACHE = 2**21  # bytes that one thread's arrays should stay within; 2**20 and 2**22 were slower
DEVICE_CACHE = 2**28  # on a GPU: large launches, and still no more memory than this
WORTH_A_PIECE = 2**22  # multiplications: a fraction of a millisecond
WORTH_A_THREAD = 2**20  # bytes below which handing work to a thread costs more than it saves
SHARES = 4  # into how many parts a batch is cut that would fit the cache whole
GROUPS = 8  # how many partial sums a sum over the batch is made of
LIMITS = ("MINIGRAD_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS")

_threads: int | None = None  # None: not asked yet
_pool: ThreadPoolExecutor | None = None
_local = threading.local()
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
    if text.isdigit() and int(text) > 0:
        return int(text)
    if text and name == LIMITS[0]:
        raise ValueError(f"{name} must be a number of threads, 1 or more; got {text!r}")
    return None


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        return os.cpu_count() or 1


def pieces(n: int, count: int) -> list[slice]:
    """0 ... n in `count` slices of nearly the same length, or fewer where n is less."""
    size = max(1, -(-n // max(1, count)))
    return [slice(i, min(i + size, n)) for i in range(0, n, size)]


def parts(n: int, bytes_each: int, like: Array) -> list[slice]:
    """A batch of n in parts that fit the cache, and as many as threads can share."""
    total = n * bytes_each
    if array_module(like) is not np:
        return pieces(n, -(-total // DEVICE_CACHE))
    return pieces(n, max(-(-total // CACHE), min(SHARES, total // WORTH_A_THREAD)))


def groups(items: Sequence[T]) -> list[Sequence[T]]:
    """The items in a few runs of neighbours: what is summed run by run has one order."""
    return [items[piece] for piece in pieces(len(items), GROUPS)]


def each(work: Callable[[Any], T], items: Sequence[Any]) -> list[T]:
    """[work(item) for item in items], on all threads. BLAS keeps to one thread meanwhile."""
    n = min(threads(), len(items))
    if n < 2 or getattr(_local, "inside", False):
        return [work(item) for item in items]
    results: list[Any] = [None] * len(items)

    numbers = iter(range(len(items)))  # each thread takes the next: a late one does less

    def share() -> None:
        _local.inside = True  # work that calls `each` itself stays on its thread
        try:
            for i in numbers:
                results[i] = work(items[i])
        finally:
            _local.inside = False

    with one_blas_thread():
        others = [_executor().submit(share) for _ in range(n - 1)]
        try:
            share()
        finally:
            failures = [other.exception() for other in others]  # waits for each
    for failure in failures:
        if failure is not None:
            raise failure
    return results


def by_batch(function: Callable[..., Array], *arrays: Array) -> Array:
    """function(*arrays), an element-wise one, computed part by part along the batch.

    A part stays in the cache from one operation of `function` to the next; its result has the
    first array's shape, dtype and order in memory.
    """
    first = arrays[0]
    cut = parts(len(first), 2 * first[:1].nbytes, first) if array_module(*arrays) is np else []
    if len(cut) < 2:
        return function(*arrays)
    result = np.empty_like(first)

    def work(part: slice) -> None:
        result[part] = function(*(array[part] for array in arrays))

    each(work, cut)
    return result


def matmul(a: Array, b: Array) -> Array:
    """a @ b; inside `one_blas_thread`, a large product is cut into pieces for our own threads.

    The longest of its three sizes is cut; where that is the inner one, the pieces are added up.
    """
    (M, K), N = a.shape, b.shape[1]
    count = min(GROUPS, M * K * N // WORTH_A_PIECE)
    if not _inside or count < 2 or array_module(a, b) is not np:
        return a @ b
    if max(M, N) <= K:
        return sum(each(lambda part: a[:, part] @ b[part], pieces(K, count)))
    y = np.empty((M, N), a.dtype)
    if M > N:
        each(lambda part: np.matmul(a[part], b, out=y[part]), pieces(M, count))
    else:
        each(lambda part: np.matmul(a, b[:, part], out=y[:, part]), pieces(N, count))
    return y


def scratch(name: str, shape: tuple[int, ...], like: Array) -> Array:
    """An uninitialised array in like's dtype for this thread's use, until it asks for it again.

    Fresh memory costs a page fault for every 4 KiB; this is the same memory each time.
    """
    xp = array_module(like)
    if xp is not np:
        return xp.empty(shape, like.dtype)
    kept = _local.__dict__.setdefault("scratch", {})
    size = int(np.prod(shape)) * like.itemsize
    buffer = kept.get(name)
    if buffer is None or buffer.size < size:
        buffer = kept[name] = np.empty(size, np.uint8)
    return buffer[:size].view(like.dtype).reshape(shape)


def _executor() -> ThreadPoolExecutor:
    global _pool
    if _pool is None:
        _pool = ThreadPoolExecutor(max(1, threads() - 1), "minigrad")
    return _pool


@contextmanager
def one_blas_thread(wanted: bool = True) -> Iterator[None]:
    """BLAS keeps to one thread: two levels of threads would fight for the cores.

    So would BLAS's idle threads, which spin for milliseconds before they sleep: a network whose
    layers use these threads here wants this around the whole of a pass.
    """
    global _inside
    if not wanted:
        yield
        return
    with _lock:
        _inside += 1
        if _inside == 1:
            _before[:] = [(blas, blas.num_threads) for blas in _blas()]
            for controller, _ in _before:
                controller.set_num_threads(1)
    try:
        yield
    finally:
        with _lock:
            _inside = max(0, _inside - 1)  # 0 already in a child forked meanwhile
            if _inside == 0:
                for controller, number in _before:
                    controller.set_num_threads(number)


_controllers: list[Any] | None = None


def _blas() -> list[Any]:
    """NumPy's BLAS as threadpoolctl sees it; found once."""
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
