"""Infinite and NaN numbers in ReLU and max pooling: as PyTorch has them, in both kernel forms."""

import numpy as np
import pytest

import minigrad as mg
from minigrad import kernels
from minigrad.backend import to_device, to_host

INF, NAN = np.inf, np.nan


@pytest.fixture(params=kernels.FORMS, autouse=True)
def form(request):
    with kernels.use(request.param):
        yield request.param


def torchs(function, x, dy):
    """y and dx by PyTorch."""
    torch = pytest.importorskip("torch")
    x = torch.from_numpy(x).requires_grad_()
    y = function(torch.nn.functional, x)
    y.backward(torch.from_numpy(dy))
    return y.detach().numpy(), x.grad.numpy()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("big", [(5,), (300, 2000)], ids=["small", "large"])
def test_relu_masks_whatever_comes(dtype, big, rng):
    x = rng.standard_normal(big).astype(dtype)
    x.flat[0], x.flat[1] = 0, INF
    dy = rng.choice(np.array([INF, -INF, NAN, 2], dtype), big)
    layer = mg.ReLU()
    y = layer.forward(to_device(x))
    dx, y_dot = layer.backward(to_device(dy)), layer.jvp(to_device(dy))
    both = layer.forward_jvp(to_device(x), to_device(dy))
    expected = torchs(lambda f, x: f.relu(x), x, dy)
    for ours, theirs in zip((y, dx, y_dot, *both), [*expected, expected[1], *expected], strict=1):
        np.testing.assert_array_equal(to_host(ours), theirs)
        assert ours.dtype == dtype


def test_relu_of_nan_is_nan_with_slope_zero():
    """PyTorch lets the gradient pass there; the value says already that something is wrong."""
    layer = mg.ReLU()
    x, dy = to_device(np.array([NAN, 1.0])), to_device(np.array([3.0, 3.0]))
    np.testing.assert_array_equal(to_host(layer.forward(x)), [NAN, 1])
    np.testing.assert_array_equal(to_host(layer.backward(dy)), [0, 3])
    np.testing.assert_array_equal(to_host(layer.jvp(dy)), [0, 3])
    y, y_dot = layer.forward_jvp(x, dy)
    np.testing.assert_array_equal(to_host(y), [NAN, 1])
    np.testing.assert_array_equal(to_host(y_dot), [0, 3])


POOLS = [((2, 2), (2, 2)), ((2, 3), (1, 2)), ((3, 2), (3, 3)), ((1, 2), (1, 1)), ((2, 1), (2, 1))]


@pytest.mark.parametrize("strange", [[INF, -INF], [NAN], [NAN, INF, -INF]], ids=str)
@pytest.mark.parametrize(("size", "stride"), POOLS)
def test_max_pool_is_pytorchs(size, stride, strange, rng):
    """The winner takes the gradient; nothing else is touched. The last of several NaN wins."""
    x = rng.integers(0, 4, (6, 3, 6, 7)).astype("float64")  # ties
    flat = x.reshape(-1)
    flat[rng.choice(x.size, x.size // 5, replace=False)] = rng.choice(strange, x.size // 5)
    layer = mg.MaxPool2d(size, stride)
    y = layer.forward(to_device(x))
    dy = rng.standard_normal(y.shape)
    expected = torchs(lambda f, x: f.max_pool2d(x, size, stride), x, dy)
    np.testing.assert_array_equal(to_host(y), expected[0])
    np.testing.assert_allclose(to_host(layer.backward(to_device(dy))), expected[1], rtol=1e-12)
    dy.reshape(-1)[::3] = INF
    _, dx = torchs(lambda f, x: f.max_pool2d(x, size, stride), x, dy)
    np.testing.assert_allclose(to_host(layer.backward(to_device(dy))), dx, rtol=1e-12)
    # the tangent of the winner is the entry of x_dot that has a gradient in dx
    x_dot = rng.choice([INF, -INF, NAN, 1.0, 2.0], x.shape)
    y_dot = to_host(layer.jvp(to_device(x_dot)))
    for at in np.ndindex(y.shape):
        one = np.zeros(y.shape)
        one[at] = 1
        if at[0] == 0:
            (winner,) = np.argwhere(to_host(layer.backward(to_device(one))))
            np.testing.assert_array_equal(y_dot[at], x_dot[tuple(winner)])
    both = layer.forward_jvp(to_device(x), to_device(x_dot))
    np.testing.assert_array_equal(to_host(both[0]), to_host(y))
    np.testing.assert_array_equal(to_host(both[1]), y_dot)


def test_one_nan_in_a_large_batch_changes_nothing_else(rng):
    """Each part of the batch is looked at for itself."""
    x = rng.integers(0, 9, (40, 16, 24, 24)).astype("float32")
    dy = rng.standard_normal((40, 16, 12, 12)).astype("float32")
    clean = mg.MaxPool2d(2)
    clean.forward(to_device(x))
    expected = to_host(clean.backward(to_device(dy))).copy()
    x[37, 3, 5, 4] = NAN
    expected[37, 3, 4:6, 4:6] = 0
    expected[37, 3, 5, 4] = dy[37, 3, 2, 2]
    layer = mg.MaxPool2d(2)
    layer.forward(to_device(x))
    np.testing.assert_array_equal(to_host(layer.backward(to_device(dy))), expected)
