"""What is done in another way while a step is recorded as a CUDA graph (see `minigrad.capture`).

A graph repeats the work of the GPU, and nothing of Python. So while it is recorded no number may
come to the host, and CuPy refuses its own products of matrices. Kernels and losses therefore ask
here. Outside a recording `dot` is a b, and `number` is a float.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np

from minigrad.backend import Array, array_module


class Recorder(Protocol):
    """What a recording does by itself."""

    def dot(self, a: Array, b: Array, out: Array | None) -> Array:
        """a b, for arrays on the GPU."""


class _Local(threading.local):
    """Values that each thread has for itself."""

    recorder: Recorder | None = None  # None: this thread records nothing


_local = _Local()


@contextmanager
def recording(recorder: Recorder) -> Iterator[None]:
    """Within this block the thread records a step."""
    _local.recorder = recorder
    try:
        yield
    finally:
        _local.recorder = None


def recorder() -> Recorder | None:
    """What records the step of this thread; None in any other step."""
    return _local.recorder


def dot(a: Array, b: Array, out: Array | None = None) -> Array:
    """a b, in `out` if it is given. On a GPU every product of matrices goes through here."""
    if _local.recorder is not None and type(a) is not np.ndarray:
        return _local.recorder.dot(a, b, out)
    return a @ b if out is None else array_module(a, b).matmul(a, b, out=out)


def long_dot(a: Array, b: Array, out: Array | None = None) -> Array:
    """a b, for few results of long sums, with a and b of one or two axes.

    `matmul` holds Python's lock while it computes 500 numbers or fewer, however long that takes.
    Other threads then stand still. NumPy's `dot` calls the same function of BLAS without it.
    """
    if type(a) is np.ndarray and type(b) is np.ndarray and a.ndim < 3 and b.ndim < 3:
        return np.dot(a, b, out=out)
    return dot(a, b, out)


def number(value: Array) -> Any:
    """The 0-d array as a float. While a step is recorded it stays where it is: `OnDevice`."""
    return float(value) if _local.recorder is None else OnDevice(value)


class OnDevice:
    """A number of a recorded step, such as its loss. It has no value before the graph runs.

    One can calculate with it. To look at it, as `if loss > 1` does, is an error.
    """

    def __init__(self, array: Array):
        self.array = array

    def __add__(self, other: Any) -> OnDevice:
        return OnDevice(self.array + _array(other))

    def __sub__(self, other: Any) -> OnDevice:
        return OnDevice(self.array - _array(other))

    def __rsub__(self, other: Any) -> OnDevice:
        return OnDevice(_array(other) - self.array)

    def __mul__(self, other: Any) -> OnDevice:
        return OnDevice(self.array * _array(other))

    def __truediv__(self, other: Any) -> OnDevice:
        return OnDevice(self.array / _array(other))

    def __neg__(self) -> OnDevice:
        return OnDevice(-self.array)

    __radd__ = __add__
    __rmul__ = __mul__
    __hash__ = None  # type: ignore[assignment]

    def __ne__(self, other: object) -> bool:
        """`value != value` asks for NaN. Whether it is one is seen after the step, not within."""
        if other is self:
            return False
        return self._refuse()

    def __eq__(self, other: object) -> bool:
        return True if other is self else self._refuse()

    def _refuse(self, *others: object) -> Any:
        raise LookedAtError(
            "a number of the step was looked at on the host, as float(loss) or `if loss > 1` do"
        )

    __float__ = __bool__ = __int__ = __lt__ = __le__ = __gt__ = __ge__ = _refuse


class LookedAtError(RuntimeError):
    """Python code asked for the value of a number in a step that is being recorded."""


def _array(other: Any) -> Any:
    return other.array if isinstance(other, OnDevice) else other
