"""Images that are moved: zeros move in, and an accuracy is the mean of four directions."""

import numpy as np
import pytest

import minigrad as mg
from minigrad.diagnostics.shifts import accuracy_by_shift, shift


def test_a_pixel_goes_where_it_is_told_or_out_of_the_picture():
    x = np.zeros((1, 1, 3, 4))
    x[0, 0, 1, 2] = 7
    for down, right in ((0, 0), (1, 0), (-1, 1), (0, -2)):
        moved = shift(x, down, right)
        assert moved.shape == x.shape
        assert np.argwhere(moved[0, 0]).tolist() == [[1 + down, 2 + right]]
    assert not shift(x, 2, 0).any()
    with pytest.raises(ValueError, match="images"):
        shift(x[0], 1, 1)


def test_the_accuracy_is_the_mean_of_four_directions():
    """A network that reads 1 if the upper left of 2 x 2 pixels is white."""
    net = mg.Sequential(mg.Flatten(), mg.Linear(4, 2, bias=False, seed=0))
    net.params["1.W"][...] = 0
    net.params["1.W"][0] = mg.backend.to_device(np.array([-1, 1], "float32"))
    x = np.array([[[[1, 0], [0, 0]]], [[[0, 1], [0, 0]]]], "float32")
    data = mg.data.Dataset(x, np.array([1, 0]), classes=2)
    accuracy, ink = accuracy_by_shift(net, data, (0, 1))
    # the first image is never read once it has moved; the second is wrong where it moves left
    np.testing.assert_allclose(accuracy, [1, (1 + 1 + 1 + 0) / 8])
    np.testing.assert_allclose(ink, [1, 0.5])
