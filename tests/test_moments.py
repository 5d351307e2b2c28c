"""Running moments against two passes over what they have seen."""

import numpy as np
import pytest

from minigrad.backend import to_device, to_host
from minigrad.rules.well_tempered.moments import Moments


def two_passes(arrays, weights):
    """(mean, squared standard error, effective number) with everything at hand, in float64."""
    arrays, w = np.asarray(arrays, "float64"), np.asarray(weights, "float64")
    mean = np.average(arrays, axis=0, weights=w)
    variance = np.average((arrays - mean) ** 2, axis=0, weights=w)
    count = w.sum() ** 2 / (w**2).sum()
    return mean, variance / count, count


CASES = {
    "a window": (1.0, np.ones(9)),
    "a smaller last mini-batch": (1.0, np.array([1, 1, 1, 1, 0.3])),
    "fading": (0.8, np.ones(30)),
    "two": (1.0, np.ones(2)),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_moments_are_those_of_two_passes(name, offset, rng):
    """Float32 numbers around 10,000: m2 - mean² in float32 would have no digit left."""
    decay, weights = CASES[name]
    arrays = (offset + rng.standard_normal((len(weights), 3, 4))).astype("float32")
    moments = Moments(decay)
    for array, weight in zip(arrays, weights, strict=True):
        moments.add(to_device(array), float(weight))
    fading = decay ** np.arange(len(weights))[::-1]
    mean, error2, count = two_passes(arrays, weights * fading)
    assert moments.count == pytest.approx(count, rel=1e-12)
    np.testing.assert_allclose(to_host(moments.mean), mean, rtol=1e-12)
    np.testing.assert_allclose(to_host(moments.error2()), error2, rtol=1e-9)
    unbiased = error2 * count / (count - 1)
    np.testing.assert_allclose(to_host(moments.error2(unbiased=True)), unbiased, rtol=1e-9)


def test_a_constant_has_no_variance_not_a_negative_one():
    moments = Moments()
    for _ in range(7):
        moments.add(to_device(np.array([0.1, 1e8, -3e-30, 0.0], "float32")))
    np.testing.assert_array_equal(to_host(moments.sum), 0)
    np.testing.assert_array_equal(to_host(moments.error2()), 0)


def test_small_float32_numbers_do_not_vanish_when_squared():
    moments = Moments()
    for g in (1e-30, 3e-30):
        moments.add(to_device(np.array([g], "float32")))
    assert to_host(moments.error2())[0] == pytest.approx(0.5e-60, rel=1e-5)


def test_what_is_added_is_not_kept():
    g = to_device(np.ones(3, "float32"))
    moments = Moments()
    moments.add(g)
    g[...] = 5
    moments.add(to_device(np.ones(3, "float32")))
    np.testing.assert_array_equal(to_host(moments.mean), 1)


def test_nothing_added_counts_nothing_and_shapes_must_agree():
    moments = Moments()
    assert moments.count == 0
    moments.add(to_device(np.ones(3)))
    with pytest.raises(ValueError, match=r"expected g of shape \(3,\), got \(1,\)"):
        moments.add(to_device(np.ones(1)))
    moments.reset()
    assert moments.count == 0
