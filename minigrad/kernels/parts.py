"""Cut a batch into parts that fit the cache. Threads share the parts.

The parts, and the order of sums, depend on sizes only. They do not depend on the number of threads.
A network with layers for images therefore gives the same results, bit for bit, with any number of
threads. (In other networks BLAS computes the products, with its own threads.)
A batch on a GPU is cut only to save memory. Its parts are computed one after the other.
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

DEVICE_CACHE = 2**28  # bytes of a part on a GPU: large enough to be fast, small enough to fit
WORTH_A_THREAD = 2**20  # bytes. With fewer, one thread alone is faster
SHARES = 4  # parts of a batch, or of a product, that would fit the cache whole
GROUPS = 8  # a sum over the batch has this many partial sums


def pieces(n: int, count: int) -> list[slice]:
    """0 ... n in at most `count` slices of nearly the same length. None is empty."""
    count = max(1, min(count, n))
    cuts = [n * i // count for i in range(count + 1)]
    return [slice(a, b) for a, b in itertools.pairwise(cuts) if a < b]


def parts(n: int, bytes_each: int, like: Array) -> list[slice]:
    """Cut a batch of n into parts that fit the cache, in a number that threads can share evenly."""
    total = n * bytes_each
    if array_module(like) is not np:
        return pieces(n, -(-total // DEVICE_CACHE))
    memory.keep_memory()
    if total >= SHARES * WORTH_A_THREAD:
        return pieces(n, SHARES * -(-total // (SHARES * memory.CACHE)))
    return pieces(n, 2 if total >= 2 * WORTH_A_THREAD else 1)


def groups(items: Sequence[T]) -> list[Sequence[T]]:
    """The items in at most GROUPS groups of neighbours.

    A sum is taken within each group first, then over the groups. Its order is always the same.
    """
    return [items[piece] for piece in pieces(len(items), GROUPS)]


def share(work: Callable[[T], R], items: Sequence[T], like: Array) -> list[R]:
    """[work(item) for item in items]. Threads share the items if `like` is on the host.

    For arrays on a GPU this thread does all the work. Other threads would have GPU streams of
    their own. No other file decides this: all work on arrays that threads share comes here.
    """
    return each(work, items, parallel=array_module(like) is np)


def over_batch(work: Callable[[slice], None], first: Array) -> None:
    """Do element-wise work on the whole batch. If `first` is large, it is done part by part."""
    if array_module(first) is not np or first.nbytes < WORTH_A_THREAD:
        work(slice(None))
    else:
        share(work, parts(len(first), 2 * first[:1].nbytes, first), first)


def by_batch(function: Callable[..., Array], *arrays: Array, dtype: Any = None) -> Array:
    """function(*arrays) for an element-wise function, computed part by part along the batch.

    A part stays in the cache from one operation of `function` to the next.
    dtype: the dtype of the result. None: the first array's.
    """
    first = arrays[0]
    if array_module(*arrays) is not np or first.nbytes < WORTH_A_THREAD:
        return function(*arrays)
    result = np.empty_like(first, dtype=dtype)

    def work(part: slice) -> None:
        result[part] = function(*(array[part] for array in arrays))

    over_batch(work, first)
    return result
