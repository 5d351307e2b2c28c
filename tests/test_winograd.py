"""Winograd's convolution: the matrices, the numbers, the digits that it costs, and its switch."""

import numpy as np
import pytest

import minigrad as mg
from minigrad import kernels, threads
from minigrad.kernels import memory, winograd
from minigrad.kernels import parts as cutting
from minigrad.kernels.convolution import (
    convolve,
    convolve_jvp,
    convolve_with_tangent,
    image_gradient,
    kernel_gradients,
)
from minigrad.kernels.windows import channels_last

pytestmark = pytest.mark.on_host


@pytest.mark.parametrize("r", [2, 3, 4, 5])
def test_the_matrices_are_those_of_a_convolution(r):
    """y_i = Σ_k d_{i+k} g_k for each pair of unit vectors d and g: exactly what they are for."""
    m = 7 - r
    y = np.einsum("pi,jp,pk->ijk", winograd.powers(m), winograd.inverse(), winograd.powers(r))
    plain = [[[j == i + k for k in range(r)] for j in range(6)] for i in range(m)]
    np.testing.assert_allclose(y, np.array(plain, float), atol=1e-6)


CASES = [  # channels in, out, kernel, padding, image, images
    (64, 64, (3, 3), (0, 0), (10, 10), 4),  # the tiles fit
    (20, 50, (5, 5), (0, 0), (12, 12), 4),
    (32, 16, (3, 3), (1, 1), (13, 11), 5),  # they reach behind the image
    (16, 16, (3, 5), (2, 1), (14, 9), 3),
    (16, 20, (4, 2), (1, 0), (12, 13), 3),
]


def everything(x, x_dot, W, W_dot, b, dy, padding):
    """All that a convolution computes: y, dW, db, dx, and tangents."""
    stride = 1, 1
    y, rows = convolve(x, W, b, stride, padding)
    size = W.shape[2:]
    return {
        "y": y,
        "y without b": convolve(x, W, None, stride, padding)[0],
        "dW": kernel_gradients(dy, rows, size, stride)[0],
        "db": kernel_gradients(dy, rows, size, stride)[1],
        "dx": image_gradient(dy, rows, W, stride, padding),
        "y_dot": convolve_jvp(rows, x_dot, W, W_dot, b, stride, padding),
        "y_dot of x": convolve_jvp(rows, x_dot, W, None, None, stride, padding),
        "both": convolve_with_tangent(x, x_dot, W, W_dot, b, b, stride, padding)[1],
        "both, x fixed": convolve_with_tangent(x, None, W, W_dot, None, b, stride, padding)[1],
    }


@pytest.fixture
def arrays(rng):
    def draw(C, O, kernel, padding, size, N):
        x, x_dot = rng.standard_normal((2, N, C, *size)).astype("float32")
        W, W_dot = rng.standard_normal((2, O, C, *kernel)).astype("float32")
        b = rng.standard_normal(O).astype("float32")
        assert winograd.pays(channels_last(x, padding), O, kernel, (1, 1))
        y = convolve(x, W, b, (1, 1), padding)[0]
        dy = rng.standard_normal(y.shape).astype("float32")
        return x, x_dot, W, W_dot, b, dy

    return draw


@pytest.mark.parametrize("case", CASES)
def test_fewer_multiplications_cost_few_digits(case, arrays):
    """In float32, against float64: at most 8 times the error of the plain form."""
    drawn = arrays(*case)
    ours = everything(*drawn, case[3])
    with kernels.use("plain"):
        plain = everything(*drawn, case[3])
        exact = everything(*(a.astype("float64") for a in drawn), case[3])
    for name, true in exact.items():
        assert ours[name].dtype == np.float32
        assert ours[name].shape == true.shape
        error, error_plain = (np.sqrt(np.mean((a[name] - true) ** 2)) for a in (ours, plain))
        assert error < 8 * error_plain, name
        assert abs(ours[name] - true).max() < 5e-6 * abs(true).max(), name


@pytest.mark.parametrize("case", [CASES[0], CASES[3]])
def test_the_bits_are_the_same_for_any_number_of_threads(
    case, arrays, monkeypatch, threads_as_before
):
    monkeypatch.setattr(memory, "CACHE", 2**17)  # several parts
    monkeypatch.setattr(cutting, "WORTH_A_THREAD", 1)
    drawn, found = arrays(*case), []
    for n in (1, 2, 3):
        threads.set_threads(n)
        found.append(everything(*drawn, case[3]))
    for other in found[1:]:
        for name, value in found[0].items():
            np.testing.assert_array_equal(other[name], value)


def test_the_plain_way_is_taken_where_winograd_is_slower_or_wrong(rng):
    rows = rng.standard_normal((2, 10, 10, 16)).astype("float32")
    assert winograd.pays(rows, 16, (3, 3), (1, 1))
    assert not winograd.pays(rows.astype("float64"), 16, (3, 3), (1, 1))  # the checker's dtype
    assert not winograd.pays(rows, 16, (3, 3), (2, 1))
    assert not winograd.pays(rows, 16, (1, 3), (1, 1))
    assert not winograd.pays(rows, 16, (6, 3), (1, 1))
    assert not winograd.pays(rows, 15, (3, 3), (1, 1))
    assert not winograd.pays(rows[..., :15], 16, (3, 3), (1, 1))
    assert not winograd.pays(rows[:, :7, :7], 16, (3, 3), (1, 1))  # 4 tiles for 25 pixels


def test_the_plain_form_is_the_switch(rng):
    """`kernels.use("plain")` gives the product of all windows, bit for bit."""
    layer = mg.Conv2d(16, 16, 3, seed=0)
    x = rng.standard_normal((2, 16, 10, 10)).astype("float32")
    view = np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(2, 3))
    cols = view.transpose(0, 2, 3, 4, 5, 1).reshape(2 * 64, 144)
    y = cols @ layer.params["W"].transpose(2, 3, 1, 0).reshape(144, 16) + layer.params["b"]
    plain = y.reshape(2, 8, 8, 16).transpose(0, 3, 1, 2)
    with kernels.use("plain"):
        np.testing.assert_array_equal(layer.forward(x), plain)
    assert (layer.forward(x) != plain).any()
    np.testing.assert_allclose(layer.forward(x), plain, rtol=1e-4, atol=1e-5)
