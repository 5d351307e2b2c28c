"""A batch in parts that fit the cache: what the layers for images are built on.

Which part is which, and in which order sums are taken, depends on sizes alone: networks with
layers for images give the same results, bit for bit, whatever the number of threads that share the
parts. (Others leave their products, and the threads for them, to BLAS.) CuPy's arrays are not cut
up, but for memory's sake.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np

from minigrad.backend import Array, array_module
from minigrad.threads import each, local

T = TypeVar("T")

CACHE = 2**21  # bytes that one thread's arrays should stay within; 2**20 and 2**22 were slower
DEVICE_CACHE = 2**28  # on a GPU: large launches, and still no more memory than this
WORTH_A_PIECE = 2**22  # multiplications: a fraction of a millisecond
WORTH_A_THREAD = 2**20  # bytes below which handing work to a thread costs more than it saves
SHARES = 4  # into how many parts what fits the cache whole, a batch or a product, is cut
GROUPS = 8  # how many partial sums a sum over the batch is made of

_kept = threading.local()  # scratch memory of each thread


def pieces(n: int, count: int) -> list[slice]:
    """0 ... n in `count` slices of nearly the same length, none of them empty."""
    count = max(1, min(count, n))
    cuts = [n * i // count for i in range(count + 1)]
    return [slice(a, b) for a, b in itertools.pairwise(cuts) if a < b]


def parts(n: int, bytes_each: int, like: Array) -> list[slice]:
    """A batch of n in parts that fit the cache, their number one that threads can share evenly."""
    total = n * bytes_each
    if array_module(like) is not np:
        return pieces(n, -(-total // DEVICE_CACHE))
    keep_memory()
    if total >= SHARES * WORTH_A_THREAD:
        return pieces(n, SHARES * -(-total // (SHARES * CACHE)))
    return pieces(n, 2 if total >= 2 * WORTH_A_THREAD else 1)


def groups(items: Sequence[T]) -> list[Sequence[T]]:
    """The items in a few runs of neighbours: what is summed run by run has one order."""
    return [items[piece] for piece in pieces(len(items), GROUPS)]


def by_batch(function: Callable[..., Array], *arrays: Array, dtype: Any = None) -> Array:
    """function(*arrays), an element-wise one, computed part by part along the batch.

    A part stays in the cache from one operation of `function` to the next. dtype: the result's, if
    not the first array's.
    """
    first = arrays[0]
    if array_module(*arrays) is not np or first.nbytes < WORTH_A_THREAD:
        return function(*arrays)
    result = np.empty_like(first, dtype=dtype)

    def work(part: slice) -> None:
        result[part] = function(*(array[part] for array in arrays))

    over_batch(work, first)
    return result


def over_batch(work: Callable[[slice], None], first: Array) -> None:
    """work(part) for all of the batch, an element-wise one: part by part where `first` is large."""
    if array_module(first) is not np or first.nbytes < WORTH_A_THREAD:
        work(slice(None))
    else:
        each(work, parts(len(first), 2 * first[:1].nbytes, first))


def matmul(a: Array, b: Array) -> Array:
    """a @ b; inside `one_blas_thread`, a large product is cut into pieces for our own threads.

    The longest of its three sizes is cut; where that is the inner one, the pieces are added up.
    """
    return matmuls((a, b))[0]


def matmuls(*products: tuple[Array, Array]) -> list[Array]:
    """[a @ b for each (a, b)], as `matmul` has it, the pieces of all handed to threads at once."""
    if not local.passes or array_module(*products[0]) is not np:
        return [a @ b for a, b in products]
    results, work = [], []
    for a, b in products:
        (M, K), N = a.shape, b.shape[1]
        count = min(SHARES // len(products), M * K * N // WORTH_A_PIECE)
        if count < 2:
            results.append([a @ b])
        elif max(M, N) <= K:
            cuts = pieces(K, count)
            results.append([np.empty((M, N), a.dtype) for _ in cuts])
            work += [(a[:, c], b[c], y) for c, y in zip(cuts, results[-1], strict=True)]
        else:
            results.append([np.empty((M, N), a.dtype)])
            (y,) = results[-1]
            rows = M > N
            for c in pieces(M if rows else N, count):
                work.append((a[c], b, y[c]) if rows else (a, b[:, c], y[:, c]))
    each(lambda item: np.matmul(item[0], item[1], out=item[2]), work)
    return [sum(parts[1:], parts[0]) for parts in results]


def add_scaled(y: Array, a: float, x: Array) -> None:
    """y += a x, part by part in the cache: with no array for a x."""
    large = array_module(y, x) is np and y.nbytes >= 2 * WORTH_A_THREAD
    if not large or y.strides != x.strides or not is_dense(y):
        y += a * x
        return
    y, x, a = in_memory_order(y), in_memory_order(x), y.dtype.type(a)

    def work(part: slice) -> None:
        y[part] += np.multiply(x[part], a, out=scratch("scaled", x[part].shape, x))

    each(work, parts(y.size, 2 * y.itemsize, y))


def in_memory_order(array: Array) -> Array:
    """All numbers of an array in one row, a view: a convolution's W lies otherwise than it looks.

    Raises ValueError for one that has gaps: a part of a larger array.
    """
    if not is_dense(array):
        raise ValueError(f"an array with gaps in memory, of strides {array.strides}: copy it first")
    return _turned(array).reshape(-1)


def is_dense(array: Array) -> bool:
    """Whether the array's numbers fill a run of memory, in some order of its axes."""
    turned, run = _turned(array), array.itemsize
    for size, stride in zip(reversed(turned.shape), reversed(turned.strides), strict=True):
        if size > 1 and stride != run:
            return False
        run *= size
    return True


def _turned(array: Array) -> Array:
    return array.transpose(sorted(range(array.ndim), key=lambda axis: -array.strides[axis]))


def scratch(name: str, shape: tuple[int, ...], like: Array) -> Array:
    """An uninitialised array in like's dtype for this thread's use, until it asks for it again.

    Fresh memory costs a page fault for every 4 KiB; this is the same memory each time, unless it
    is much more than a part of a batch should need.
    """
    xp = array_module(like)
    if xp is not np:
        return xp.empty(shape, like.dtype)
    kept = _kept.__dict__
    size = int(np.prod(shape)) * like.itemsize
    buffer = kept.get(name)
    if size > 4 * CACHE:
        return np.empty(shape, like.dtype)
    if buffer is None or buffer.size < size:
        buffer = kept[name] = np.empty(size, np.uint8)
    return buffer[:size].view(like.dtype).reshape(shape)


@lru_cache(maxsize=1)
def keep_memory() -> None:
    """Let the C library keep up to 256 MiB that was freed, for the arrays of the next step.

    glibc hands them back to the system, and each 4 KiB of a new array then costs a page fault: 900
    in a step of LeNet on 64 images, a sixth of its time. Its own settings come first; other
    libraries have no such call.
    """
    import ctypes

    if any(name.startswith(("MALLOC_", "GLIBC_TUNABLES")) for name in os.environ):
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    mallopt(-3, 2**25)  # M_MMAP_THRESHOLD: larger blocks still go back at once
    mallopt(-1, 2**28)  # M_TRIM_THRESHOLD
