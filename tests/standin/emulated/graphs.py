"""CUDA graphs for the emulated CuPy: a graph is a list of launches, with the arguments they had.

While a stream records, nothing changes: work in place and kernels are put on the list only. A graph
does it, later, on the same memory. What Python computed in between, such as a learning rate, is an
argument as it was. So a step that is repeated shows what a graph would repeat. CuPy's refusals are
here: a number that comes to the host, a product of matrices, an array from the host.
A plugin for pytest: `-p graphs`, with this folder in PYTHONPATH.
"""

import contextlib
import ctypes
import types

import cupy
import numpy as np

from minigrad.capture import cublas

tape = None  # the launches of the recording that is open
kept = None  # arrays that only the graph uses now
upload = None  # CuPy asks it for memory of the host before it brings an array to the GPU
CAPTURING = "cudaErrorStreamCaptureUnsupported: operation not permitted when stream is capturing"
IN_PLACE = {"fill", "copyto"}


def taped(name, function):
    """The function of the stand-in, or its launch on the list."""

    def wrapped(*args, **kwargs):
        if tape is None:
            return function(*args, **kwargs)
        if name in ("matmul", "__matmul__", "__rmatmul__", "einsum"):
            sizes = [a.size // max(a.shape) for a in args if isinstance(a, cupy.ndarray)]
            if max(sizes) > 1:
                raise NotImplementedError("calling cuBLAS API during stream capture")
        in_place = kwargs.get("out")
        if name in IN_PLACE or (name.startswith("__i") and name != "__invert__"):
            in_place = args[0]
        if in_place is not None:
            tape.append(lambda: function(*args, **kwargs))
            return in_place
        result = function(*args, **kwargs)
        kept.append(result)
        if isinstance(result, cupy.ndarray) and not name.startswith("empty"):

            def again():
                new = function(*args, **kwargs)._array
                if new.ctypes.data != result._array.ctypes.data:
                    result._array[...] = new

            tape.append(again)
        return result

    wrapped.__name__ = name
    return wrapped


def set_item(array, index, value):
    if tape is None:
        plain_set_item(array, index, value)
    else:
        tape.append(lambda: plain_set_item(array, index, value))


def to_host(array):
    if tape is not None:
        raise RuntimeError(CAPTURING)
    return plain_to_host(array)


def asarray(array, dtype=None):
    if upload is not None and not isinstance(array, cupy.ndarray):
        upload(np.asarray(array).nbytes)
    return plain_asarray(array, dtype)


def launch(self, grid, block, args, shared_mem=0):
    if tape is None:
        plain_launch(self, grid, block, args)
        return
    frozen = [a.copy() if isinstance(a, np.ndarray) else a for a in args]
    tape.append(lambda: plain_launch(self, grid, block, frozen))


# The launches of the emulated CuPy go through these
plain_set_item = cupy.ndarray.__setitem__
plain_to_host = cupy._to_host
plain_asarray = cupy.asarray
plain_launch = cupy.RawKernel.__call__
VIEWS = {"__array__", "__array_function__", "__init__", "__setitem__", "__float__", "__int__"}
VIEWS |= {"__bool__", "__len__", "__repr__", "item", "set", "__class__", "__new__"}
for _name, _value in list(vars(cupy.ndarray).items()):
    if isinstance(_value, types.FunctionType) and _name not in VIEWS:
        setattr(cupy.ndarray, _name, taped(_name, _value))
OTHERS = {"asarray", "array", "asnumpy", "counted", "no_sync"}
for _name, _value in list(vars(cupy).items()):
    if isinstance(_value, types.FunctionType) and _name[0] != "_" and _name not in OTHERS:
        setattr(cupy, _name, taped(_name, _value))
cupy.ndarray.__setitem__ = set_item
cupy._to_host = to_host
cupy.asarray = cupy.array = asarray
cupy.asnumpy = lambda array, stream=None: to_host(array).copy()
cupy.RawKernel.__call__ = launch


class Library:
    """cuBLAS in NumPy: c = op(a) op(b) for matrices in memory, column by column."""

    def __getattr__(self, name):
        return lambda *arguments: 0

    def cublasGemmEx(self, *arguments):
        if tape is None:
            self.multiply(*arguments)
        else:
            tape.append(lambda: self.multiply(*arguments))
        return 0

    def multiply(self, handle, ta, tb, m, n, k, one, a, at, lda, b, bt, ldb, *rest):
        _, c, ct, ldc, _, _ = rest
        A = self.matrix(a, k if ta else m, m if ta else k, lda, at)
        B = self.matrix(b, n if tb else k, k if tb else n, ldb, bt)
        # Row by row, as NumPy multiplies for `a @ b`: the same last digits.
        self.matrix(c, m, n, ldc, ct).T[...] = (B if tb else B.T) @ (A if ta else A.T)

    def matrix(self, at, rows, columns, leading, dtype):
        number = (ctypes.c_float, ctypes.c_double)[dtype]
        size = leading * (columns - 1) + rows
        memory = np.ctypeslib.as_array((number * size).from_address(at.value))
        strides = (memory.itemsize, leading * memory.itemsize)
        return np.lib.stride_tricks.as_strided(memory, (rows, columns), strides)


class Graph:
    def __init__(self, launches, arrays):
        self.launches, self.arrays = launches, arrays

    def launch(self, stream):
        with np.errstate(all="ignore"):
            for one in self.launches:
                one()

    def upload(self, stream):
        pass


class Stream:
    ptr = 5
    current = None

    def __init__(self, non_blocking=False):
        self.outer = []

    def __enter__(self):
        self.outer.append(Stream.current)
        Stream.current = self

    def __exit__(self, *error):
        Stream.current = self.outer.pop()

    def record(self):
        return self

    def wait_event(self, event):
        pass

    def synchronize(self):
        if tape is not None:
            raise RuntimeError(CAPTURING)

    def begin_capture(self):
        global tape, kept
        tape, kept = [], []

    def end_capture(self):
        global tape, kept
        graph = Graph(tape, kept)
        tape = kept = None
        return graph


Stream.null = Stream.current = Stream()


class MemoryPool:
    def malloc(self, size):
        return None

    def total_bytes(self):
        return 1024

    used_bytes = total_bytes

    def free_all_blocks(self):
        pass


def set_upload(function):
    global upload
    upload = None if function == POOL.malloc else function


POOL = MemoryPool()
cupy.get_default_memory_pool = cupy.get_default_pinned_memory_pool = lambda: POOL
cupy.uint8 = np.uint8
cupy._core = types.SimpleNamespace(get_compute_type=lambda dtype: 1)
cupy.cuda = types.SimpleNamespace(
    runtime=cupy.cuda.runtime,
    Stream=Stream,
    MemoryPool=MemoryPool,
    get_current_stream=lambda: Stream.current,
    using_allocator=lambda malloc: contextlib.nullcontext(),
    set_pinned_memory_allocator=set_upload,
    Device=lambda: types.SimpleNamespace(compute_capability="90", synchronize=lambda: None),
    get_cublas_handle=lambda: 7,
)


def _copy(self, source, size, stream):
    ctypes.memmove(self.ptr, source.ptr, size)


cupy._Memory.copy_from_device_async = _copy
cublas.library = lambda xp: Library()
