"""Products of recorded steps: the arguments for cuBLAS, by a cuBLAS written in NumPy."""

import ctypes
from types import SimpleNamespace

import numpy as np
import pytest

from minigrad.capture import cublas

pytestmark = pytest.mark.on_host


class Addressed(np.ndarray):
    """An array that says where its memory is, as CuPy's arrays do."""

    @property
    def data(self):
        return SimpleNamespace(ptr=self.ctypes.data)


class Library:
    """c = op(a) op(b) for matrices in memory, column by column, as cublasGemmEx computes it."""

    def __init__(self):
        self.called = []

    def __getattr__(self, name):
        def call(*arguments):
            self.called.append((name, arguments))
            return 0

        return call

    def cublasGemmEx(self, handle, ta, tb, m, n, k, one, a, at, lda, b, bt, ldb, *rest):
        zero, c, ct, ldc, compute, algorithm = rest
        assert (at, bt, ct) in ((0, 0, 0), (1, 1, 1))
        assert (compute, algorithm) == ((68, 70)[at], 99)
        A = self.matrix(a, k if ta else m, m if ta else k, lda, at)
        B = self.matrix(b, n if tb else k, k if tb else n, ldb, bt)
        self.matrix(c, m, n, ldc, ct)[...] = (A.T if ta else A) @ (B.T if tb else B)
        return 0

    def matrix(self, at, rows, columns, leading, dtype):
        assert leading >= rows
        size = leading * (columns - 1) + rows
        number = (ctypes.c_float, ctypes.c_double)[dtype]
        memory = np.ctypeslib.as_array((number * size).from_address(at.value))
        strides = (memory.itemsize, leading * memory.itemsize)
        return np.lib.stride_tricks.as_strided(memory, (rows, columns), strides)


@pytest.fixture
def products(monkeypatch):
    library = Library()
    monkeypatch.setattr(cublas, "library", lambda xp: library)
    cuda = SimpleNamespace(
        Device=lambda: SimpleNamespace(compute_capability="90"), get_cublas_handle=lambda: 7
    )
    xp = SimpleNamespace(
        empty=lambda shape, dtype: np.full(shape, 9, dtype).view(Addressed),
        uint8="uint8",
        matmul=lambda a, b, out: np.matmul(a, b, out=out),
        cuda=cuda,
        _core=SimpleNamespace(get_compute_type=lambda dtype: 1),
    )
    return cublas.Products(xp, SimpleNamespace(ptr=5))


def matrix(rng, rows, columns, order, dtype):
    """In rows (c), in columns (t), with gaps (g), and a part of a larger one in columns (p)."""
    wide = rng.standard_normal((rows + 2, columns + 3)).astype(dtype)
    if order == "g":
        return wide[1:-1, 2:-1].view(Addressed)
    if order == "p":
        return np.asfortranarray(wide)[1:-1, 2:-1].view(Addressed)
    return np.array(wide[1:-1, 2:-1], order="C" if order == "c" else "F").view(Addressed)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_product_of_matrices_in_any_order(products, rng, dtype):
    tolerance = {"rtol": 1e-5, "atol": 1e-5} if dtype == "float32" else {"rtol": 1e-12}
    for N, K, M in [(3, 4, 5), (1, 4, 5), (3, 1, 5), (3, 4, 1), (1, 4, 1), (1, 1, 1), (2, 1, 1)]:
        for orders in ("cc", "ct", "tc", "tt", "gc", "cg", "gp", "pg"):
            a = matrix(rng, N, K, orders[0], dtype)
            b = matrix(rng, K, M, orders[1], dtype)
            out = np.empty((N, M), dtype).view(Addressed)
            turned = np.empty((M, N), dtype).view(Addressed).T
            for left, right, place in [
                (a, b, None), (a, b, out), (a, b, turned), (a[0], b, None), (a, b[:, 0], None),
            ]:  # fmt: skip
                found = products.dot(left, right, place)
                assert found is place or place is None
                assert (found.shape, found.dtype) == ((left @ right).shape, dtype)
                np.testing.assert_allclose(found, left @ right, **tolerance)


def test_what_is_no_product_of_matrices(products, rng):
    a = rng.standard_normal((2, 3, 4)).view(Addressed)
    with pytest.raises(cublas.CublasError, match="matrices of one dtype, got float64"):
        products.dot(a, a[0].T)
    with pytest.raises(cublas.CublasError, match="and float32"):
        products.dot(a[0], a[0].T.astype("float32"))
    with pytest.raises(ValueError, match="needs a"):
        products.dot(a[0], a[0])
    assert not products.dot(a[0, :, :0], a[0, :0]).any()


def test_the_memory_is_set_after_the_stream(products):
    """A new stream takes the memory away."""
    called = products.library.called
    products.prepare()
    assert [name for name, _ in called[-2:]] == ["cublasSetStream_v2", "cublasSetWorkspace_v2"]
    assert called[-1][1][2].value == 32 * 2**20
