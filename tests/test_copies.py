"""`copy_pixels` copies, whatever the order in memory; `long_dot` is the product."""

import numpy as np
import pytest

from minigrad.kernels.memory import RUN, copy_pixels
from minigrad.kernels.recording import long_dot

pytestmark = pytest.mark.on_host

SHAPE = (3, 5, 4)


def laid(channels, order, dtype):
    """An array (3, 5, 4, channels), whose axes lie in memory in this order."""
    shape = (*SHAPE, channels)
    return np.empty([shape[axis] for axis in order], dtype).transpose(np.argsort(order))


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32"])
@pytest.mark.parametrize("channels", [1, 2, 20, RUN])
@pytest.mark.parametrize("order", [(0, 1, 2, 3), (2, 0, 1, 3), (3, 0, 1, 2), (0, 3, 1, 2)])
def test_pixels_are_copied_in_any_order_of_memory(dtype, channels, order, rng):
    source = laid(channels, order, dtype)
    source[...] = rng.integers(-9, 9, source.shape)
    for to in (np.zeros((*SHAPE, channels), dtype), np.zeros((3, 10, 8, channels), dtype)):
        place = to[:, : 2 * SHAPE[1] : to.shape[1] // SHAPE[1], :: to.shape[2] // SHAPE[2]]
        copy_pixels(place, source)
        np.testing.assert_array_equal(place, source)
        assert to.any(axis=3).sum() <= place[..., 0].size  # nothing else was written


def test_bits_of_nan_and_of_zeros_are_copied(rng):
    source = np.array([[np.nan, -0.0, np.inf, 0.0]], "float32")
    to = np.ones_like(source)
    copy_pixels(to, source)
    assert to.tobytes() == source.tobytes()


def test_pixels_of_two_dtypes_are_converted():
    to = np.zeros((2, 3))
    copy_pixels(to, np.arange(6, dtype="float32").reshape(2, 3))
    np.testing.assert_array_equal(to, [[0, 1, 2], [3, 4, 5]])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("M", "K", "N"), [(25, 900, 20), (26, 900, 20), (1, 900, 5), (4, 1, 3)])
def test_a_long_dot_has_the_bits_of_the_product(dtype, M, K, N, rng):
    a, b = rng.standard_normal((M, K)).astype(dtype), rng.standard_normal((K, N)).astype(dtype)
    out = np.empty((M, N), dtype)
    assert long_dot(a, b, out=out) is out
    np.testing.assert_array_equal(out, a @ b)
    turned = np.ascontiguousarray(a.T).T
    np.testing.assert_array_equal(long_dot(turned, b), turned @ b)
    np.testing.assert_array_equal(long_dot(a[0], b), a[0] @ b)
