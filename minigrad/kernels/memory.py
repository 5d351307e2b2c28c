"""Memory that is used again, and the order of an array's numbers in memory."""

from __future__ import annotations

import math
import os
import threading
from functools import lru_cache
from typing import Any

import numpy as np

from minigrad.backend import Array, array_module

CACHE = 2**21  # bytes for the arrays of one thread. 2**20 and 2**22 were slower

RUN = 2**10  # bytes. A longer axis is copied fast as it is

LARGE = 2**16  # bytes. Fewer take less time than it takes to find their order

_levels: dict[tuple[float, Any], Array] = {}  # constant arrays, by number and dtype
_kept = threading.local()  # scratch memory of each thread


def scratch(name: str, shape: tuple[int, ...], like: Array) -> Array:
    """An array for intermediate results, with like's dtype. Its numbers are arbitrary.

    A thread gets the same memory each time it asks for `name`. It must not need the earlier
    numbers any more. New memory would be slower: each 4 KiB of it costs a page fault.
    Very large arrays, and arrays on a GPU, get new memory.
    """
    xp = array_module(like)
    if xp is not np:
        return xp.empty(shape, like.dtype)
    kept = _kept.__dict__
    size = math.prod(shape) * like.itemsize
    buffer = kept.get(name)
    if size > 4 * CACHE:
        return np.empty(shape, like.dtype)
    if buffer is None or buffer.size < size:
        buffer = kept[name] = np.empty(size, np.uint8)
    return buffer[:size].view(like.dtype).reshape(shape)


def copy_pixels(to: Array, source: Array) -> None:
    """to[...] = source, where only the numbers along the last axis lie together in memory.

    NumPy copies such a short row number by number. As one item it is copied in half of the time.
    """
    size = to.shape[-1] * to.itemsize
    if size <= RUN and all(
        type(array) is np.ndarray
        and array.strides[-1] == array.itemsize
        and array.dtype == to.dtype
        for array in (to, source)
    ):
        to = to.view(_item(size))[..., 0]
        source = source.view(_item(size))[..., 0]
    to[...] = source


@lru_cache
def _item(size: int) -> Any:
    return np.dtype((np.void, size))


def level(value: float, like: Array) -> Any:
    """`value` as an array like `like`, for `np.maximum(x, level(0, x))`. Not to be changed.

    NumPy's maximum and minimum of an array and one number take four times as long as those of two
    arrays with the same order in memory. Elsewhere, and for very large arrays, it is the number.
    """
    if type(like) is not np.ndarray or like.nbytes > 4 * CACHE:
        return value
    in_order = like.flags.c_contiguous
    if not in_order and (like.nbytes < LARGE or not is_dense(like)):
        return value
    key = value, like.dtype
    size = like.size
    flat = _levels.get(key)
    if flat is None or flat.size < size:
        flat = np.full(max(size, 1024), value, like.dtype)
        flat.flags.writeable = False
        _levels[key] = flat
    if in_order:
        return flat[:size].reshape(like.shape)
    axes = sorted(range(like.ndim), key=lambda axis: -like.strides[axis])
    turned = flat[:size].reshape([like.shape[axis] for axis in axes])
    return turned.transpose(np.argsort(axes))


def in_memory_order(array: Array) -> Array:
    """A view of the array with one axis. The numbers have their order in memory.

    Raises ValueError for an array with gaps in memory, such as a part of a larger one.
    """
    if not is_dense(array):
        raise ValueError(f"the array has gaps in memory, of strides {array.strides}: copy it first")
    return _by_stride(array).reshape(-1)


def laid_like(array: Array, like: Array) -> Array:
    """A copy of the array, whose numbers lie in memory in the order of like's."""
    copy = array_module(like).empty_like(like)
    copy[...] = array
    return copy


def is_dense(array: Array) -> bool:
    """Whether the array's numbers lie in memory without gaps, in any order of its axes."""
    turned = _by_stride(array)
    run = array.itemsize
    for size, stride in zip(reversed(turned.shape), reversed(turned.strides), strict=True):
        if size > 1 and stride != run:
            return False
        run *= size
    return True


def _by_stride(array: Array) -> Array:
    """The array with its axes sorted: the longest stride first."""
    return array.transpose(sorted(range(array.ndim), key=lambda axis: -array.strides[axis]))


@lru_cache(maxsize=1)
def keep_memory() -> None:
    """Tell the C library to keep up to 256 MiB of freed memory for the next arrays.

    glibc gives freed memory back to the system. Each 4 KiB of a new array then costs a page fault.
    A step of LeNet on 64 images has 900 of them. They take a sixth of its time.
    If the environment has settings for glibc, nothing is changed. Other C libraries have no
    such call.
    """
    import ctypes

    if any(name.startswith(("MALLOC_", "GLIBC_TUNABLES")) for name in os.environ):
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    mallopt(-3, 2**25)  # M_MMAP_THRESHOLD: larger blocks still go back to the system at once
    mallopt(-1, 2**28)  # M_TRIM_THRESHOLD
