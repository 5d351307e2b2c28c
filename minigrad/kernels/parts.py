"""A batch in parts that fit the cache, and threads that share the parts.

Sizes alone decide what the parts are and in which order sums are taken. A network with layers for
images therefore gives the same results, bit for bit, with any number of threads. (Other networks
leave their products, and the threads for them, to BLAS.) A batch on a device is cut only to save
memory, and its parts are computed one after the other.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from minigrad.backend import Array, array_module
from minigrad.kernels import memory
from minigrad.threads import each

T = TypeVar("T")
R = TypeVar("R")

DEVICE_CACHE = 2**28  # bytes of a part on a GPU: large launches, and no more memory than this
WORTH_A_THREAD = 2**20  # bytes below which handing work to a thread costs more than it saves
SHARES = 4  # parts of a batch, or of a product, that fits the cache whole
GROUPS = 8  # partial sums of a sum over the batch


def pieces(n: int, count: int) -> list[slice]:
    """0 ... n in `count` slices of nearly the same length, none of them empty."""
    count = max(1, min(count, n))
    cuts = [n * i // count for i in range(count + 1)]
    return [slice(a, b) for a, b in itertools.pairwise(cuts) if a < b]


def parts(n: int, bytes_each: int, like: Array) -> list[slice]:
    """A batch of n in parts that fit the cache, as many as threads can share evenly."""
    total = n * bytes_each
    if array_module(like) is not np:
        return pieces(n, -(-total // DEVICE_CACHE))
    memory.keep_memory()
    if total >= SHARES * WORTH_A_THREAD:
        return pieces(n, SHARES * -(-total // (SHARES * memory.CACHE)))
    return pieces(n, 2 if total >= 2 * WORTH_A_THREAD else 1)


def groups(items: Sequence[T]) -> list[Sequence[T]]:
    """The items in at most GROUPS runs of neighbours.

    A sum is added up within each run first, then over the runs: always in the same order.
    """
    return [items[piece] for piece in pieces(len(items), GROUPS)]


def share(work: Callable[[T], R], items: Sequence[T], like: Array) -> list[R]:
    """[work(item) for item in items]: on our threads, if `like` is in the host's memory.

    For arrays on a device this thread does all the work: each of a device's streams belongs to the
    thread that uses it.
    """
    if array_module(like) is not np:
        return [work(item) for item in items]
    return each(work, items)


def over_batch(work: Callable[[slice], None], first: Array) -> None:
    """work(part) for all of the batch, part by part where `first` is large: element-wise work."""
    if array_module(first) is not np or first.nbytes < WORTH_A_THREAD:
        work(slice(None))
    else:
        each(work, parts(len(first), 2 * first[:1].nbytes, first))


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
