"""Kernels for a GPU: CUDA source beside its plain form, one file a topic.

CuPy compiles a kernel at its first call, and keeps it on disk. One launch does the work of many
operations on arrays. A file here says in its docstring what it computes, as NumPy would.

    if device.ready(x):
        xp = array_module(x)
        y = xp.empty_like(x)
        double = device.kernel("double_all", SOURCE, x)
        double(device.blocks(x.size), (device.THREADS,), (x, y, x.size))
    else:
        ...                     the plain form: NumPy, or any other module with NumPy's functions

In the source T is the type of x, float or double. A kernel's own loop covers what one launch does
not: `for (long long i = first; i < n; i += step)`. So any size is right.
"""

from __future__ import annotations

from functools import cache
from types import ModuleType
from typing import Any

import numpy as np

from minigrad.backend import Array, array_module
from minigrad.kernels.switch import form

THREADS = 256  # of one block
MOST_BLOCKS = 2**31 - 1  # that one launch can have
TYPES = {"f": "float", "d": "double"}  # the dtypes that kernels are for


def ready(*arrays: Array) -> bool:
    """Whether a CUDA kernel may work on these arrays: all CuPy's own, of one dtype.

    False on the host, for other dtypes than float32 and float64, and in the plain form.
    """
    first = arrays[0]
    kind = type(first)
    if kind is np.ndarray or form() != "fast":
        return False
    if not hasattr(array_module(first), "RawKernel"):
        return False  # a stand-in for CuPy
    dtype = first.dtype
    for array in arrays[1:]:
        if type(array) is not kind or array.dtype != dtype:
            return False
    return dtype.char in TYPES


def kernel(name: str, source: str, like: Array, contract: bool = False) -> Any:
    """The function `name` of a CUDA source, with T = like's type. It is compiled once.

    The source says `extern "C" __global__ void name(...)`. Call the result with
    (blocks, threads, arguments). NumPy's numbers and arrays are passed by value.
    contract  True: a x + b may be rounded once instead of twice. Faster, with other last digits
              than NumPy's. False gives the numbers that one operation after the other gives
    """
    return _compiled(module(like), name, source, like.dtype.char, contract)


def module(x: Array) -> ModuleType:
    """CuPy for its arrays. For arrays that are `ready` this is `array_module` in less time."""
    found = _modules.get(type(x))
    if found is None:
        found = _modules[type(x)] = array_module(x)
    return found


_modules: dict[type, ModuleType] = {}


@cache
def _compiled(xp: ModuleType, name: str, source: str, char: str, contract: bool) -> Any:
    # A type, not a macro: NVRTC's own headers have templates with a T.
    options = (f"-fmad={str(contract).lower()}",)
    return xp.RawKernel(f"typedef {TYPES[char]} T;\n{source}", name, options)


def blocks(n: int, threads: int = THREADS) -> tuple[int]:
    """The number of blocks for n numbers, one for each thread; at least one."""
    return (min(max(-(-n // threads), 1), MOST_BLOCKS),)
