"""A queue of arrays from one process to another, in shared memory."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

PATIENCE = 0.2  # seconds between two calls of `check` while a process waits


class Channel:
    """A queue of at most `slots` arrays (n, *shape), n <= rows, from one process to one other.

    The numbers lie in shared memory, as a ring of slots. Each side copies them once. Two
    semaphores count the free slots and the filled slots. Each side keeps its own place in the
    ring. While a side waits, it calls `check` every PATIENCE seconds; `check` ends the wait by
    raising an error.
    """

    def __init__(self, context: Any, rows: int, shape: tuple[int, ...], dtype: Any, slots: int):
        self.rows = rows
        self.shape = tuple(shape)
        self.dtype = np.dtype(dtype)
        self.slots = slots
        self.bytes = rows * prod(shape) * self.dtype.itemsize
        self._memory = context.RawArray("b", slots * self.bytes)
        self._lengths = context.RawArray("q", slots)
        self._free = context.Semaphore(slots)
        self._filled = context.Semaphore(0)
        self._put = 0
        self._got = 0

    def put(self, array: np.ndarray, check: Callable[[], None]) -> None:
        """Send a copy of the array. Waits while all slots are filled.

        ValueError or TypeError for an array that the channel was not made for.
        """
        if array.shape[1:] != self.shape or not len(array) <= self.rows:
            raise ValueError(
                f"expected an array of shape (N, {', '.join(map(str, self.shape))}) with N <= "
                f"{self.rows} for the next block, got {array.shape}: a layer's output must have "
                "the same shape in every step"
            )
        if array.dtype != self.dtype:
            raise TypeError(
                f"expected an array of {self.dtype} for the next block, got {array.dtype}: a "
                "layer's output and dx must have the dtype of its input"
            )
        _wait(self._free, check)
        slot = self._put % self.slots
        self._slot(slot)[: len(array)] = array
        self._lengths[slot] = len(array)
        self._put += 1
        self._filled.release()

    def get(self, check: Callable[[], None]) -> np.ndarray:
        """A copy of the next array. Waits for it."""
        _wait(self._filled, check)
        return self._take()

    def poll(self) -> np.ndarray | None:
        """A copy of the next array, or None if there is none yet. Does not wait."""
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
    """A copy of the array in shared memory, as (memory, dtype, shape): `view` makes it an array."""
    memory = context.RawArray("b", max(1, array.nbytes))
    view((memory, array.dtype.str, array.shape))[...] = array
    return memory, array.dtype.str, array.shape


def view(handle: tuple[Any, str, tuple[int, ...]]) -> np.ndarray:
    """The array in the memory that `shared` returned; not a copy."""
    memory, dtype, shape = handle
    return np.frombuffer(memory, dtype, prod(shape)).reshape(shape)
