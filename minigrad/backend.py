"""The NumPy/CuPy switch: the only file that knows on which device arrays live.

    import minigrad as mg
    mg.backend.use("cupy")            # from here on parameters are created on the GPU
    with mg.backend.use("numpy"):     # or for a while
        ...

Parameters are created on the *current* backend. A layer then asks `array_module(x)` which
module its arrays belong to. Initial weights, data order and label noise are drawn on the host
(`host_generator`), so that both backends start equal. Dropout masks and random directions are
drawn where the parameters live.
"""

from __future__ import annotations

import importlib
import os
import sys
import threading
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    # CuPy's arrays have NumPy's methods: to a type checker they are NumPy's.
    Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
else:
    Array = Any  # numpy.ndarray or cupy.ndarray, which may not be installed
Tangent: TypeAlias = Any  # an Array, or None for what stands still
NAMES = ("numpy", "cupy", "auto")

_active: ModuleType | None = None  # None: not chosen yet, MINIGRAD_BACKEND decides on first use


class _Thread(threading.local):
    """What each thread has for itself."""

    shares = False  # this thread does an item of work that several threads share


thread = _Thread()


class BackendError(RuntimeError):
    """The backend that was asked for cannot run here; the message says what is missing."""


def use(name: str) -> _Switch:
    """Make "numpy", "cupy" or "auto" (CuPy where it runs, else NumPy) the current backend.

    Takes effect at once; used as a context manager it switches back at the end.
    Raises ValueError for an unknown name, BackendError when CuPy is asked for and cannot run.
    """
    global _active
    previous = _active
    _active = _load(name)
    return _Switch(previous)


class _Switch:
    """What `use` returns: leaving its `with` block restores the backend from before."""

    def __init__(self, previous: ModuleType | None):
        self._previous = previous

    def __enter__(self) -> ModuleType:
        return current()

    def __exit__(self, *exception: object) -> None:
        global _active
        _active = self._previous


def current() -> ModuleType:
    """The array module in use (`numpy` or `cupy`); MINIGRAD_BACKEND sets the first one."""
    global _active
    if _active is None:
        named = os.environ.get("MINIGRAD_BACKEND") or "numpy"
        try:
            _active = _load(named)
        except ValueError as error:
            raise ValueError(f"MINIGRAD_BACKEND names an {error}") from None
    return _active


def name() -> str:
    """The current backend's name, "numpy" or "cupy"."""
    return "numpy" if current() is np else "cupy"


def _load(name: str) -> ModuleType:
    if name not in NAMES:
        raise ValueError(f"unknown backend {name!r}: choose one of {', '.join(NAMES)}")
    if name == "numpy":
        return np
    try:
        return _load_cupy()
    except BackendError:
        if name == "auto":
            return np
        raise


def _load_cupy() -> ModuleType:
    """Import CuPy and run one kernel: an import alone does not show that CuPy can run."""
    try:
        cupy = importlib.import_module("cupy")
    except ImportError as error:
        raise BackendError(
            f"the backend 'cupy' was asked for, but CuPy cannot be imported ({error}). Install the "
            "wheel for your CUDA version: pip install 'minigrad[gpu-cuda12]' or "
            "'minigrad[gpu-cuda13]'; or use the backend 'numpy'"
        ) from error
    if not hasattr(cupy, "__version__"):
        raise BackendError(
            f"the backend 'cupy' was asked for, but `import cupy` finds {list(cupy.__path__)}, "
            "which is a folder and not CuPy. Rename the folder, or run Python in another one"
        )
    try:
        devices = cupy.cuda.runtime.getDeviceCount()
    except Exception as error:  # CUDARuntimeError: CuPy's own class, importable only with CuPy
        raise BackendError(
            f"CuPy {cupy.__version__} is installed, but CUDA does not answer ({error}): is there "
            "an NVIDIA GPU, and does `nvidia-smi` see its driver? Or use the backend 'numpy'"
        ) from error
    if devices == 0:
        raise BackendError(
            f"CuPy {cupy.__version__} is installed, but it finds no CUDA device "
            "(CUDA_VISIBLE_DEVICES may hide it). Use the backend 'numpy' instead"
        )
    try:
        float(cupy.ones(2).sum())
    except Exception as error:
        raise BackendError(
            f"CuPy {cupy.__version__} sees a CUDA device but cannot run a kernel on it ({error}); "
            "its CUDA version may not fit the driver's"
        ) from error
    return cupy


def array_module(*arrays: Array) -> ModuleType:
    """The module (`numpy` or `cupy`) that the arrays belong to.

    Raises TypeError where host and device arrays are mixed, or where one is no array at all.
    RuntimeError for a device array in work that host threads share (`threads.each`).
    """
    for array in arrays:
        if type(array) is not np.ndarray:
            break
    else:
        return np
    kind = type(arrays[0])
    if all(type(array) is kind for array in arrays):
        return _module_of(arrays[0])
    kinds = {_module_of(array) for array in arrays}
    if len(kinds) > 1:
        named = ", ".join(f"{_module_of(a).__name__}.ndarray {tuple(a.shape)}" for a in arrays)
        raise TypeError(
            f"arrays of two backends met: {named}. Bring them to one side with "
            "minigrad.backend.to_device(a) or minigrad.backend.to_host(a)"
        )
    return kinds.pop()


def _module_of(array: Array) -> ModuleType:
    if isinstance(array, np.ndarray | np.generic):
        return np
    cupy = sys.modules.get("cupy")
    if cupy is not None and isinstance(array, cupy.ndarray):
        if thread.shares:
            raise RuntimeError(
                "an array on a GPU was used in work that several threads share. Each thread has a "
                "queue of operations (a stream) of its own, so results could be wrong. Share the "
                "work with minigrad.kernels.parts.share(work, items, array), or give "
                "minigrad.threads.each parallel=False"
            )
        return cupy
    raise TypeError(
        f"expected a NumPy or CuPy array, got {type(array).__name__}; convert it with "
        "numpy.asarray(..., dtype='float32')"
    )


def to_host(array: Any) -> np.ndarray:
    """The same numbers as a NumPy array (no copy where it already is one)."""
    cupy = sys.modules.get("cupy")
    if cupy is not None and isinstance(array, cupy.ndarray):
        return cupy.asnumpy(array)
    return np.asarray(array)


def to_device(array: Array, like: Array | None = None) -> Array:
    """The same numbers where `like` lives, or on the current backend when `like` is None."""
    target = current() if like is None else _module_of(like)
    if isinstance(array, np.ndarray | np.generic | list | tuple | float | int):
        return target.asarray(array)
    return array if _module_of(array) is target else to_host(array)


def host_generator(
    rng: np.random.Generator | None = None, seed: int | None = None
) -> np.random.Generator:
    """A NumPy generator from `rng` or `seed`. With neither it is seeded at random."""
    if rng is not None and seed is not None:
        raise ValueError("give rng or seed, not both")
    if rng is None:
        return np.random.default_rng(seed)
    if not isinstance(rng, np.random.Generator):
        raise TypeError(
            f"rng must be a numpy.random.Generator (numpy.random.default_rng(0)), "
            f"got {type(rng).__name__}"
        )
    return rng


def device_generator(seed: int, xp: ModuleType | None = None) -> Any:
    """A generator that draws where the arrays of `xp` live (default: the current backend)."""
    return (xp or current()).random.default_rng(seed)
