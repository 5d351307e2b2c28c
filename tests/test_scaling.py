"""Features are scaled by the training set alone, on every device."""

import numpy as np
import pytest

from minigrad import data
from minigrad.backend import to_device, to_host


def placed(x):
    """A data set on the device of this test."""
    return data.Dataset(to_device(x), to_device(np.zeros(len(x), "int64")))


def test_features_are_scaled_by_the_train_set_alone(rng):
    x = (5 + 3 * rng.standard_normal((100, 4))).astype("float32")
    x[:, 2] = 0.1  # constant
    train, test = (placed(part) for part in (x[:60], x[60:]))
    first, second = data.standardize(train, test)
    assert type(first.x) is type(train.x)
    assert first.x.dtype == "float32"
    again = to_host(data.standardize(train, train.take(3))[1].x)
    first, second = to_host(first.x), to_host(second.x)
    np.testing.assert_allclose(first.mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(first.std(0), [1, 1, 0, 1], atol=1e-6)
    scaled = (x[60:] - x[:60].mean(0, "float64")) / np.where(x[:60].std(0) > 0.5, x[:60].std(0), 1)
    np.testing.assert_allclose(second, scaled, atol=1e-5)
    np.testing.assert_array_equal(again, first[:3])


def test_pictures_are_scaled_by_channel(rng):
    x = (rng.random((20, 3, 4, 5)) * [[[[1]], [[2]], [[3]]]]).astype("float32")
    (scaled,) = data.standardize(placed(x))
    scaled = to_host(scaled.x)
    np.testing.assert_allclose(scaled.mean((0, 2, 3)), 0, atol=1e-6)
    np.testing.assert_allclose(scaled.std((0, 2, 3)), 1, atol=1e-5)


def test_what_cannot_be_scaled(rng):
    d = placed(rng.random((4, 2), dtype="float32"))
    wide = placed(rng.random((4, 3), dtype="float32"))
    words = placed(np.zeros((4, 2), "int64"))
    with pytest.raises(ValueError, match=r"the shape \(2,\), as in the train set; got \(3,\)"):
        data.standardize(d, wide)
    with pytest.raises(ValueError, match=r"for x \(N, D\), or \(N, C, H, W\), got \(4, 2, 2\)"):
        data.standardize(placed(rng.random((4, 2, 2), dtype="float32")))
    with pytest.raises(TypeError, match="for floating-point x, got int64"):
        data.standardize(words)
    with pytest.raises(TypeError, match="takes data sets, got"):
        data.standardize(d.x)
    with pytest.raises(TypeError, match="arrays of new examples, got list"):
        data.standardize(d, [[1.0, 2.0]])
    with pytest.raises(ValueError, match=r"for one example write x\[None\]"):
        data.standardize(d, d.x[0])


def test_new_examples_are_an_array():
    d = placed(np.array([[1.0, 5], [3, 5]], "float32"))
    _, x, same = data.standardize(d, d.x[:1], d)
    assert x.dtype == "float32"
    np.testing.assert_array_equal(to_host(x), [[-1, 0]])
    np.testing.assert_array_equal(to_host(x), to_host(same.x[:1]))


def test_large_numbers_in_float64_are_scaled_if_they_differ_at_all():
    x = 1.7e9 + np.array([[0.0], [1], [300]])  # seconds
    (scaled,) = data.standardize(placed(x))
    np.testing.assert_allclose(to_host(scaled.x).std(), 1, rtol=1e-6)
