"""Batches handed from one process to the next, through shared memory."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

PATIENCE = 0.2  # seconds between two looks whether the others are still there


class Channel:
    """A queue of at most `slots` arrays (n, *shape), n <= rows, from one process to one other.

    The numbers lie in shared memory and are copied once on each side; two semaphores count the
    slots that are free and filled. Each side keeps its own place in the ring. While one waits it
    calls `check` now and then, which raises when there is nothing left to wait for.
    """

    def __init__(self, context: Any, rows: int, shape: tuple[int, ...], dtype: Any, slots: int):
        self.rows, self.shape, self.dtype, self.slots = rows, tuple(shape), np.dtype(dtype), slots
        self.bytes = rows * prod(shape) * self.dtype.itemsize
        self._memory = context.RawArray("b", slots * self.bytes)
        self._lengths = context.RawArray("q", slots)
        self._free, self._filled = context.Semaphore(slots), context.Semaphore(0)
        self._put = self._got = 0

    def put(self, array: np.ndarray, check: Callable[[], None]) -> None:
        """Hand on a copy; waits while all slots are filled."""
        _wait(self._free, check)
        slot = self._put % self.slots
        self._slot(slot)[: len(array)] = array
        self._lengths[slot] = len(array)
        self._put += 1
        self._filled.release()

    def get(self, check: Callable[[], None]) -> np.ndarray:
        """A copy of the next array; waits until it has come."""
        _wait(self._filled, check)
        return self._take()

    def poll(self) -> np.ndarray | None:
        """The next array if it has come, else None; never waits."""
        return self._take() if self._filled.acquire(block=False) else None

    def _take(self) -> np.ndarray:
        slot = self._got % self.slots
        array = self._slot(slot)[: self._lengths[slot]].copy()
        self._got += 1
        self._free.release()
        return array

    def _slot(self, i: int) -> np.ndarray:
        flat = np.frombuffer(
            self._memory, self.dtype, self.bytes // self.dtype.itemsize, i * self.bytes
        )
        return flat.reshape(self.rows, *self.shape)


def _wait(semaphore: Any, check: Callable[[], None]) -> None:
    while not semaphore.acquire(timeout=PATIENCE):
        check()


def shared(context: Any, array: np.ndarray) -> tuple[Any, str, tuple[int, ...]]:
    """`array` in memory that all processes see, as (memory, dtype, shape) to hand to them."""
    memory = context.RawArray("b", max(1, array.nbytes))
    view((memory, array.dtype.str, array.shape))[...] = array
    return memory, array.dtype.str, array.shape


def view(handle: tuple[Any, str, tuple[int, ...]]) -> np.ndarray:
    """The array behind what `shared` gave."""
    memory, dtype, shape = handle
    return np.frombuffer(memory, dtype, prod(shape)).reshape(shape)
