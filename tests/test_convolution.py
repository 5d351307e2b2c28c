"""The fast convolution and pooling are the plain ones: loops written out, and memory counted."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference.convolution import plain_convolution, plain_max_pool

import minigrad as mg
from minigrad import threads
from minigrad.backend import to_device, to_host
from minigrad.kernels import memory
from minigrad.kernels import parts as cutting


@pytest.fixture(params=["one part", "many parts"])
def parts(request, monkeypatch, threads_as_before):
    """With a tiny cache every image is a part of its own, on two threads."""
    if request.param == "many parts":
        monkeypatch.setattr(memory, "CACHE", 1)
        for name in ("DEVICE_CACHE", "WORTH_A_THREAD"):
            monkeypatch.setattr(cutting, name, 1)
        monkeypatch.setattr(cutting, "GROUPS", 2)  # of several parts each
        threads.set_threads(2)


SETTINGS = [  # channels in, out, kernel, stride, padding, image
    (1, 3, (3, 2), (1, 1), (0, 0), (6, 7)),
    (2, 3, (3, 2), (2, 1), (1, 0), (5, 4)),
    (7, 4, (2, 3), (1, 1), (0, 2), (4, 6)),  # rows of windows of 21 numbers: the other im2col
    (9, 2, (3, 3), (2, 3), (2, 1), (6, 5)),
    (2, 5, (1, 1), (3, 2), (0, 0), (7, 4)),
    (3, 2, (4, 5), (1, 1), (0, 0), (4, 5)),  # one window
]


@pytest.mark.parametrize(("C", "O", "kernel", "stride", "padding", "size"), SETTINGS)
def test_convolution_is_its_plain_form(C, O, kernel, stride, padding, size, parts, rng):
    layer = mg.Conv2d(C, O, kernel, stride, padding, dtype="float64", seed=0)
    W, b = layer.state_dict()["W"], layer.state_dict()["b"]
    x = rng.standard_normal((5, C, *size))
    dy, y, dx, dW, db = plain_convolution(x, W, b, stride, padding, rng.standard_normal)
    close = {"rtol": 1e-11, "atol": 1e-12}
    np.testing.assert_allclose(to_host(layer.forward(to_device(x))), y, **close)
    np.testing.assert_allclose(to_host(layer.backward(to_device(dy))), dx, **close)
    np.testing.assert_allclose(to_host(layer.grads["W"]), dW, **close)
    np.testing.assert_allclose(to_host(layer.grads["b"]), db, **close)
    # y is linear in x, and in W and b: their tangents are convolutions, too
    x_dot = rng.standard_normal(x.shape)
    W_dot, b_dot = rng.standard_normal(W.shape), rng.standard_normal(b.shape)
    expected = (
        plain_convolution(x_dot, W, 0 * b, stride, padding, np.zeros)[1]
        + plain_convolution(x, W_dot, b_dot, stride, padding, np.zeros)[1]
    )
    params_dot = {"W": to_device(W_dot), "b": to_device(b_dot)}
    y_dot = layer.jvp(to_device(x_dot), params_dot)
    np.testing.assert_allclose(to_host(y_dot), expected, **close)


TANGENTS = [  # channels in, out, kernel, stride, padding, image
    (22, 5, (3, 3), (1, 1), (0, 0), (8, 7)),
    (16, 3, (3, 4), (1, 2), (2, 1), (4, 6)),
    (22, 4, (3, 3), (2, 1), (0, 0), (9, 6)),
    (2, 4, (3, 3), (1, 1), (1, 1), (4, 4)),
]


@pytest.mark.parametrize("moving", ["x and parameters", "parameters"])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("N", [5, 1, 0])
@pytest.mark.parametrize(("C", "O", "kernel", "stride", "padding", "size"), TANGENTS)
def test_value_and_tangent_in_one_go_are_the_plain_ones(
    C, O, kernel, stride, padding, size, N, bias, moving, parts, rng
):
    layer = mg.Conv2d(C, O, kernel, stride, padding, bias=bias, dtype="float64", seed=0)
    x, x_dot = (to_device(rng.standard_normal((N, C, *size))) for _ in range(2))
    x_dot = x_dot if "x" in moving else None
    params_dot = {k: to_device(rng.standard_normal(p.shape)) for k, p in layer.params.items()}
    expected = layer.forward(x), layer.jvp(x_dot, params_dot)
    for ours, plain in zip(layer.forward_jvp(x, x_dot, params_dot), expected, strict=True):
        assert ours.shape == plain.shape
        np.testing.assert_allclose(to_host(ours), to_host(plain), rtol=1e-11, atol=1e-12)


@pytest.mark.on_host
@pytest.mark.usefixtures("threads_as_before")
def test_value_and_tangent_have_the_same_bits_for_any_number_of_threads(rng):
    x = rng.standard_normal((40, 1, 28, 28)).astype("float32")
    net, found = mg.models.forward_convnet(seed=0), []
    params_dot = {k: rng.standard_normal(p.shape).astype("float32") for k, p in net.params.items()}
    for n in (1, 2, 3):
        threads.set_threads(n)
        found.append(net.forward_jvp(x, None, params_dot))
    for other in found[1:]:
        for ours, theirs in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(ours, theirs)


POOLS = [((2, 2), (2, 2), (6, 8)), ((3, 2), (1, 2), (7, 5)), ((2, 3), (3, 1), (6, 6))]


@pytest.mark.parametrize(("kernel", "stride", "size"), POOLS)
def test_pooling_is_its_plain_form(kernel, stride, size, parts, rng):
    x = rng.integers(0, 4, (5, 3, *size)).astype("float64")  # many ties
    x_dot = rng.standard_normal(x.shape)
    dy, y, y_dot, dx = plain_max_pool(x, x_dot, kernel, stride, rng.standard_normal)
    layer = mg.MaxPool2d(kernel, stride)
    np.testing.assert_array_equal(to_host(layer.forward(to_device(x))), y)
    np.testing.assert_array_equal(to_host(layer.jvp(to_device(x_dot))), y_dot)
    np.testing.assert_allclose(to_host(layer.backward(to_device(dy))), dx, rtol=1e-12, atol=1e-14)
    both = layer.forward_jvp(to_device(x), to_device(x_dot))
    for ours, plain in zip(both, (y, y_dot), strict=True):
        np.testing.assert_array_equal(to_host(ours), plain)


@pytest.mark.on_host
@settings(max_examples=30)
@given(st.data())
def test_any_convolution_is_its_plain_form(data):
    def pair(least, most):
        return data.draw(st.tuples(*[st.integers(least, most)] * 2))

    C, O, N = (data.draw(st.integers(1, most)) for most in (9, 4, 3))
    kernel, stride, padding = pair(1, 4), pair(1, 3), pair(0, 2)
    size = [max(1, k - 2 * p) + extra for k, p, extra in zip(kernel, padding, pair(0, 4), strict=1)]
    layer = mg.Conv2d(C, O, kernel, stride, padding, dtype="float64", seed=0)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((N, C, *size))
    dy, y, dx, dW, db = plain_convolution(
        x, layer.params["W"], layer.params["b"], stride, padding, rng.standard_normal
    )
    np.testing.assert_allclose(layer.forward(x), y, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(layer.backward(dy), dx, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(layer.grads["W"], dW, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(layer.grads["b"], db, rtol=1e-10, atol=1e-12)


@pytest.mark.on_host
def test_memory_grows_with_the_activations_not_with_the_columns(rng):
    """16 channels of 5x5 windows: cols would be 25 times the input, 100 MB here."""
    layer = mg.Conv2d(16, 16, 5, padding=2, seed=0)
    x = rng.standard_normal((100, 16, 25, 25)).astype("float32")
    layer.backward(layer.forward(x))  # scratch memory is there from now on
    tracemalloc.start()
    y = layer.forward(x)
    layer.backward(y)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5 * x.nbytes  # padded x, y, padded dx, and a copy of x in channels-last order


@pytest.mark.on_host
def test_bias_gradients_of_large_batches_keep_their_digits():
    """23 million float32 ones added one by one stop at 16,777,216; sums of parts do not."""
    layer = mg.Conv2d(1, 2, 1, seed=0)
    x = np.ones((64, 1, 600, 600), "float32")
    dy = np.ones_like(layer.forward(x))
    assert dy.transpose(0, 2, 3, 1).reshape(-1, 2).sum(axis=0)[0] == 2**24  # the plain sum
    layer.backward_params(dy)
    np.testing.assert_array_equal(layer.grads["b"], x.size)


def test_empty_batches_have_empty_outputs_and_no_gradient(xp):
    net = mg.Sequential(mg.Conv2d(2, 3, 2, seed=0), mg.ReLU(), mg.MaxPool2d(2))
    y = net.forward(xp.zeros((0, 2, 5, 5), "float32"))
    assert y.shape == (0, 3, 2, 2)
    assert net.backward(y).shape == (0, 2, 5, 5)
    np.testing.assert_array_equal(to_host(net.grads["0.W"]), 0)
    np.testing.assert_array_equal(to_host(net.grads["0.b"]), 0)


@pytest.mark.parametrize("make", [lambda: mg.Conv2d(2, 2, 2, seed=0), lambda: mg.MaxPool2d(2, 1)])
def test_shapes_that_do_not_fit_are_named_not_broadcast(make, xp):
    layer = make()
    layer.forward(xp.zeros((5, 2, 4, 4), "float32"))
    for shape in ((1, 2, 3, 3), (5, 18)):
        with pytest.raises(ValueError, match=r"dy of .*shape \(5, 2, 3, 3\).*, got"):
            layer.backward(xp.zeros(shape, "float32"))
    for shape in ((1, 2, 4, 4), (5, 2, 3, 4)):
        with pytest.raises(ValueError, match=r"x_dot of shape \(5, 2, 4, 4\)"):
            layer.jvp(xp.zeros(shape, "float32"))


@pytest.mark.on_host
def test_pooling_windows_are_at_most_256_wide():
    x = np.arange(300.0).reshape(1, 1, 1, 300)
    layer = mg.MaxPool2d((1, 256))
    assert layer.forward(x)[0, 0, 0, 0] == 255
    assert layer.backward(np.ones((1, 1, 1, 1)))[0, 0, 0, 255] == 1
    with pytest.raises(ValueError, match="kernel_size must be at most 256"):
        mg.MaxPool2d(257)
