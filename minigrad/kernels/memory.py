"""Memory that is used again, and how an array lies in it."""

from __future__ import annotations

import os
import threading
from functools import lru_cache

import numpy as np

from minigrad.backend import Array, array_module

CACHE = 2**21  # bytes that one thread's arrays should stay within; 2**20 and 2**22 were slower

_kept = threading.local()  # scratch memory of each thread


def scratch(name: str, shape: tuple[int, ...], like: Array) -> Array:
    """An array with any numbers in it, of like's dtype, until this thread asks for `name` again.

    The memory is the same each time. New memory would cost a page fault for every 4 KiB. An array
    that is much larger than a part of a batch is new all the same, and so is one on a device.
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


def in_memory_order(array: Array) -> Array:
    """All numbers of an array in one row, in the order in which they lie in memory: a view.

    Raises ValueError for an array that has gaps in memory: a part of a larger one.
    """
    if not is_dense(array):
        raise ValueError(f"an array with gaps in memory, of strides {array.strides}: copy it first")
    return _by_stride(array).reshape(-1)


def is_dense(array: Array) -> bool:
    """Whether the array's numbers fill a run of memory, in some order of its axes."""
    turned = _by_stride(array)
    run = array.itemsize
    for size, stride in zip(reversed(turned.shape), reversed(turned.strides), strict=True):
        if size > 1 and stride != run:
            return False
        run *= size
    return True


def _by_stride(array: Array) -> Array:
    """The array with its axes in the order of memory: the longest stride first."""
    return array.transpose(sorted(range(array.ndim), key=lambda axis: -array.strides[axis]))


@lru_cache(maxsize=1)
def keep_memory() -> None:
    """Let the C library keep up to 256 MiB that was freed, for the arrays of the next step.

    glibc gives freed memory back to the system. Each 4 KiB of a new array then costs a page fault:
    900 in a step of LeNet on 64 images, a sixth of its time. Settings of glibc's own, in the
    environment, come first. Other C libraries have no such call.
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
