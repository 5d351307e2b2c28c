"""Products of matrices within a CUDA graph: cuBLAS, called by ctypes.

CuPy refuses to call cuBLAS while a graph is recorded. So these calls are made here, on a handle of
their own with memory of its own. They are CuPy's own calls in every other respect: the same
function, orders, types of computation and sizes of work memory. The numbers are the same, bit for
bit. (tests/test_capture_gpu.py compares them.)
"""

from __future__ import annotations

import ctypes
import weakref
from typing import Any

from minigrad.backend import Array

# Where the library cannot be found through CuPy
NAMES = ("libcublas.so.13", "libcublas.so.12", "libcublas.so", "cublas64_13.dll", "cublas64_12.dll")
DTYPES = {"f": 0, "d": 1}  # CUDA_R_32F, CUDA_R_64F
# {(dtype, CuPy's type of computation): cuBLAS's}; 2 is CuPy's "pedantic", 7 its "tf32"
COMPUTE = {("f", 2): 69, ("f", 7): 77, ("f", None): 68, ("d", 2): 71, ("d", None): 70}
PLAIN, TENSOR = -1, 99  # CUBLAS_GEMM_DEFAULT, CUBLAS_GEMM_DEFAULT_TENSOR_OP
MIB = 2**20


class CublasError(RuntimeError):
    """cuBLAS was not found, or a call failed."""


class Products:
    """`dot(a, b, out)` for CuPy's matrices and vectors, on one stream."""

    def __init__(self, xp: Any, stream: Any):
        self.xp = xp
        self.stream = stream
        self.library = library(xp)
        self.handle = ctypes.c_void_p()
        self._call("cublasCreate_v2", ctypes.byref(self.handle))
        self._end = weakref.finalize(self, self.library.cublasDestroy_v2, self.handle)
        self._end.atexit = False  # then CUDA may have ended before it
        capability = int(xp.cuda.Device().compute_capability)
        # As large as cuBLAS's own work memory: its choice of an algorithm depends on it.
        self.memory = xp.empty((32 if capability >= 90 else 4) * MIB, xp.uint8)
        self.algorithm = TENSOR if capability >= 80 else PLAIN
        mode = ctypes.c_int()
        theirs = ctypes.c_void_p(xp.cuda.get_cublas_handle())
        self._call("cublasGetMathMode", theirs, ctypes.byref(mode))
        self._call("cublasSetMathMode", self.handle, mode)
        self.ones = {"f": ctypes.c_float(1), "d": ctypes.c_double(1)}
        self.zeros = {"f": ctypes.c_float(0), "d": ctypes.c_double(0)}
        self.prepare()

    def prepare(self) -> None:
        """Set the stream, and after it the memory: a new stream takes the memory away."""
        stream = ctypes.c_void_p(self.stream.ptr)
        self._call("cublasSetStream_v2", self.handle, stream)
        size = ctypes.c_size_t(self.memory.nbytes)
        at = _at(self.memory)
        self._call("cublasSetWorkspace_v2", self.handle, at, size)

    def dot(self, a: Array, b: Array, out: Array | None = None) -> Array:
        """a b for a (N, K) or (K,), b (K, M) or (M,)."""
        xp = self.xp
        if max(a.ndim, b.ndim) > 2 or min(a.ndim, b.ndim) < 1 or a.dtype != b.dtype:
            raise CublasError(
                f"a recorded step multiplies matrices of one dtype, got {a.dtype} {a.shape} and "
                f"{b.dtype} {b.shape}"
            )
        # The orders are those of CuPy: a as (K, N), b as (K, M), and c = a b as (N, M) in memory.
        shape = a.shape[:-1] + b.shape[1:]
        A = (a if a.ndim == 2 else a.reshape(1, -1)).T
        B = b if b.ndim == 2 else b.reshape(-1, 1)
        (K, N), M = A.shape, B.shape[1]
        if len(B) != K:
            raise ValueError(f"a b needs a (N, K) and b (K, M), got {a.shape} and {b.shape}")
        char = a.dtype.char
        if N * M <= 1 or K == 0 or char not in DTYPES:
            return xp.matmul(a, b, out=out)  # a sum, or zeros: CuPy calls no cuBLAS for it
        if out is not None and not out.flags.c_contiguous:
            out[...] = self.dot(a, b)
            return out
        c = xp.empty(shape, a.dtype) if out is None else out
        A, a_turned, a_run = _order(A, 0)
        B, b_turned, b_run = _order(B, 1)
        kind = xp._core.get_compute_type(a.dtype)
        compute = COMPUTE.get((char, kind), COMPUTE[char, None])
        one, zero = ctypes.byref(self.ones[char]), ctypes.byref(self.zeros[char])
        dtype = DTYPES[char]
        # cᵀ = bᵀ aᵀ: cuBLAS counts along columns first
        self._call(
            "cublasGemmEx",
            self.handle,
            *(b_turned, a_turned, M, N, K, one),
            *(_at(B), dtype, b_run),
            *(_at(A), dtype, a_run, zero),
            *(_at(c), dtype, M, compute, self.algorithm),
        )
        return c

    def _call(self, name: str, *arguments: Any) -> None:
        status = getattr(self.library, name)(*arguments)
        if status != 0:
            raise CublasError(f"{name} failed with status {status}")


def _at(array: Any) -> ctypes.c_void_p:
    """Where the array's memory begins."""
    return ctypes.c_void_p(array.data.ptr)


def _order(matrix: Array, turned: int) -> tuple[Array, int, int]:
    """(the matrix, whether cuBLAS has to transpose it, its leading dimension)."""
    if matrix.flags.f_contiguous:
        return matrix, turned, max(matrix.strides[1] // matrix.itemsize, matrix.shape[0])
    if not matrix.flags.c_contiguous:
        matrix = matrix.copy()
    return matrix, 1 - turned, matrix.strides[0] // matrix.itemsize


def library(xp: Any) -> Any:
    """The cuBLAS that CuPy uses: CuPy's own module is linked to it, so its names are found there.

    (Another library in the process, such as PyTorch, may have brought a cuBLAS of its own.)
    """
    xp.cuda.get_cublas_handle()
    for name in (xp.cuda.cublas.__file__, *NAMES):
        try:
            found = ctypes.CDLL(name)
            found.cublasGemmEx  # noqa: B018  AttributeError if it is not there
        except (OSError, AttributeError):
            continue
        return found
    raise CublasError(
        "capture=True needs cuBLAS, and its library was not found beside CuPy's. Use capture=False"
    )
