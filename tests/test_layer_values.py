"""What single layers must do beyond the table: kinks, ties, extremes, statistics, start values."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import minigrad as mg
from minigrad.backend import to_device, to_host
from minigrad.layers import holding


def run(layer, x, train=True):
    return to_host(layer.forward(to_device(np.asarray(x)), train))


def test_relu_has_slope_zero_at_zero():
    layer = mg.ReLU()
    run(layer, [[-1.0, 0.0, 2.0]])
    ones = to_device(np.ones((1, 3)))
    np.testing.assert_array_equal(to_host(layer.backward(ones)), [[0, 0, 1]])
    np.testing.assert_array_equal(to_host(layer.jvp(ones)), [[0, 0, 1]])


def test_max_pool_ties_go_to_the_first_as_in_pytorch():
    torch = pytest.importorskip("torch")
    x = np.array([[[[1.0, 3.0, 3.0], [3.0, 3.0, 0.0], [2.0, 3.0, 3.0]]]])
    dy = np.arange(1.0, 5.0).reshape(1, 1, 2, 2)
    layer = mg.MaxPool2d(2, stride=1)
    run(layer, x)
    x_t = torch.from_numpy(x).requires_grad_()
    torch.nn.functional.max_pool2d(x_t, 2, 1).backward(torch.from_numpy(dy))
    dx = to_host(layer.backward(to_device(dy)))
    np.testing.assert_array_equal(dx, x_t.grad.numpy())
    np.testing.assert_array_equal(dx[0, 0], [[0, 1 + 2, 0], [3, 4, 0], [0, 0, 0]])
    x_dot = np.arange(9.0).reshape(1, 1, 3, 3)
    np.testing.assert_array_equal(to_host(layer.jvp(to_device(x_dot)))[0, 0], [[1, 1], [3, 4]])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["Sigmoid", "Tanh", "Softmax", "LogSoftmax"])
def test_stable_at_ten_thousand(name, dtype):
    torch = pytest.importorskip("torch")
    x = np.array([[1e4, -1e4, 0.0], [-1e4, -1e4, -1e4], [88.8, -88.8, 710.0]], dtype)
    layer = getattr(mg, name)()
    y = run(layer, x)
    twin = {"Softmax": (1,), "LogSoftmax": (1,)}.get(name, ())
    x_t = torch.from_numpy(x).requires_grad_()
    y_t = getattr(torch.nn, name)(*twin)(x_t)
    dy = np.array([[1.0, -2.0, 0.5], [0.3, 0.2, -1.0], [1.0, 2.0, 3.0]], dtype)
    y_t.backward(torch.from_numpy(dy))
    tiny = 1e-38 if dtype == "float32" else 1e-307
    np.testing.assert_allclose(y, y_t.detach().numpy(), rtol=1e-6, atol=tiny)
    dx = to_host(layer.backward(to_device(dy)))
    np.testing.assert_allclose(dx, x_t.grad.numpy(), rtol=1e-5, atol=10 * tiny)
    assert np.isfinite(to_host(layer.jvp(to_device(dy)))).all()


def test_sigmoid_is_accurate_to_the_last_digit_where_it_is_small():
    x = np.array([[-5.0, -20.0, -60.0, -80.0]], "float32")
    exact = 1 / (1 + np.exp(-x.astype("float64")))
    np.testing.assert_allclose(run(mg.Sigmoid(), x), exact, rtol=1e-6)


logits = arrays("float64", (3, 4), elements=st.floats(-50, 50, allow_subnormal=False))


@pytest.mark.on_host
@given(logits, st.floats(-1000, 1000))
def test_softmax_does_not_see_a_shift_and_sums_to_one(x, shift):
    y = run(mg.Softmax(), x)
    np.testing.assert_allclose(y.sum(axis=1), 1, rtol=1e-12)
    np.testing.assert_allclose(run(mg.Softmax(), x + shift), y, rtol=1e-9, atol=1e-300)
    np.testing.assert_allclose(np.exp(run(mg.LogSoftmax(), x)), y, rtol=1e-9, atol=1e-300)


@pytest.mark.parametrize("name", ["BatchNorm1d", "BatchNorm2d"])
def test_running_statistics_are_pytorchs(name, rng):
    torch = pytest.importorskip("torch")
    layer, twin = getattr(mg, name)(3, dtype="float64"), getattr(torch.nn, name)(3).double()
    tail = (4, 2) if name == "BatchNorm2d" else ()
    for n in (5, 2, 7):
        x = rng.normal(2, 3, (n, 3, *tail))
        np.testing.assert_allclose(
            run(layer, x), twin(torch.from_numpy(x)).detach().numpy(), rtol=1e-10, atol=1e-12
        )
    ours, theirs = mg.to_torch_state_dict(layer), twin.state_dict()
    assert ours.keys() == theirs.keys()
    for key, value in theirs.items():
        np.testing.assert_allclose(ours[key], value.numpy(), rtol=1e-12, err_msg=key)
    twin.eval()
    x = rng.normal(2, 3, (1, 3, *tail))
    np.testing.assert_allclose(
        run(layer, x, train=False), twin(torch.from_numpy(x)).detach().numpy(), rtol=1e-10
    )


def test_evaluation_leaves_running_statistics_alone(rng):
    layer = mg.BatchNorm1d(3)
    before = layer.state_dict()
    run(layer, rng.normal(2, 3, (5, 3)).astype("float32"), train=False)
    after = layer.state_dict()
    assert all(np.array_equal(before[k], after[k]) for k in before)


def test_dropout_keeps_the_mean_and_drops_p():
    layer = mg.Dropout(0.3, seed=0)
    x = to_device(np.ones((200, 500), "float32"))
    y = to_host(layer.forward(x))
    n, p = y.size, 0.3
    assert abs((y == 0).mean() - p) < 5 * np.sqrt(p * (1 - p) / n)
    np.testing.assert_allclose(y[y != 0], 1 / (1 - p), rtol=1e-6)
    assert not np.array_equal(to_host(layer.forward(x)), y)
    layer.reseed(7)
    first = to_host(layer.forward(x))
    layer.reseed(7)
    np.testing.assert_array_equal(to_host(layer.forward(x)), first)
    np.testing.assert_array_equal(to_host(layer.forward(x, train=False)), to_host(x))


def test_while_it_is_held_dropout_keeps_its_mask():
    layer, free = mg.Dropout(0.5, seed=0), mg.Dropout(0.5, seed=0)
    x = to_device(np.ones((4, 50)))
    expected = [to_host(free.forward(part)) for part in (x, x[:1], x)]
    with holding(layer):
        first = to_host(layer.forward(x))
        for scale in (1, 2):
            np.testing.assert_array_equal(to_host(layer.forward(scale * x)), scale * first)
        np.testing.assert_array_equal(to_host(layer.backward(x)), first)
        np.testing.assert_array_equal(to_host(layer.forward(x, train=False)), to_host(x))
        np.testing.assert_array_equal(to_host(layer.forward(x)), first)
        assert layer.forward(x[:1]).shape == (1, 50)  # another batch has another mask
    np.testing.assert_array_equal(first, expected[0])
    np.testing.assert_array_equal(to_host(layer.forward(x)), expected[2])  # two were drawn
    with holding(layer):
        assert not np.array_equal(to_host(layer.forward(x)), first)
    assert mg.Dropout(0.0).forward(x).shape == x.shape


@pytest.mark.parametrize("name", ["BatchNorm1d", "BatchNorm2d"])
def test_while_they_are_held_running_statistics_move_once(name, rng):
    layers = [getattr(mg, name)(3, dtype="float64") for _ in range(2)]
    tail = (4, 2) if name == "BatchNorm2d" else ()
    x, other = rng.normal(2, 3, (2, 5, 3, *tail))
    with holding(layers[0]):
        held = [run(layers[0], batch) for batch in (x, other, x)]
    free = [run(layers[1], x)]
    for key, array in layers[1].state_dict().items():
        np.testing.assert_array_equal(layers[0].state_dict()[key], array, err_msg=key)
    free += [run(layers[1], batch) for batch in (other, x)]  # what comes out is each batch's own
    for ours, theirs in zip(held, free, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    run(layers[0], x)
    assert int(to_host(layers[0].buffers["num_batches_tracked"])) == 2
    with holding(layers[0]):
        run(layers[0], x)
    assert int(to_host(layers[0].buffers["num_batches_tracked"])) == 3


def test_layers_of_one_net_drop_different_things():
    net = mg.Sequential(mg.Dropout(0.5, seed=0), mg.Dropout(0.5, seed=0))
    net.reseed(3)
    net.forward(to_device(np.ones((10, 10))))
    masks = [to_host(layer.cache) for layer in net.layers]
    assert not np.array_equal(*masks)


@pytest.mark.parametrize(
    "make",
    [
        lambda: mg.Dropout(np.float64(0.3), seed=0),
        lambda: mg.BatchNorm1d(4, eps=np.float64(1e-5), momentum=np.float64(0.2)),
    ],
)
def test_numpy_settings_do_not_widen_the_dtype(make):
    layer = make()
    y = layer.forward(to_device(np.ones((3, 4), "float32")))
    assert y.dtype == layer.backward(y).dtype == "float32"
    assert all(a.dtype == "float32" for n, a in layer.buffers.items() if n.startswith("running"))


UPSTREAM = [
    (lambda: mg.Linear(4, 3, seed=0), (5, 4), (5, 3)),
    (lambda: mg.Conv2d(2, 3, 2, seed=0), (5, 2, 4, 6), (5, 3, 3, 5)),
    (lambda: mg.BatchNorm1d(4), (5, 4), (5, 4)),
    (lambda: mg.BatchNorm2d(4), (5, 4, 2, 3), (5, 4, 2, 3)),
]


@pytest.mark.parametrize(("make", "shape", "upstream"), UPSTREAM)
def test_an_upstream_gradient_that_does_not_fit_is_named(make, shape, upstream, device, xp):
    layer = make()
    layer.forward(xp.ones(shape, "float32"))
    with pytest.raises(ValueError, match="expected dy of y's shape"):
        layer.backward(xp.ones((1, *upstream[1:]), "float32"))
    with pytest.raises(TypeError, match="expected dy in float32, got float64"):
        layer.backward(xp.ones(upstream))
    if device != "numpy":
        with pytest.raises(TypeError, match="arrays of two backends met"):
            layer.backward(np.ones(upstream, "float32"))
    assert layer.grads == {}


def test_start_is_pytorchs_default_and_the_same_on_every_backend():
    layer = mg.Linear(400, 300, seed=5)
    W, b = layer.state_dict()["W"], layer.state_dict()["b"]
    bound = 1 / np.sqrt(400)
    assert W.dtype == "float32"
    assert abs(W).max() <= bound * (1 + 1e-6)
    assert abs(b).max() <= bound * (1 + 1e-6)
    assert abs(W.std() - bound / np.sqrt(3)) < 5 * bound / np.sqrt(W.size)
    with mg.backend.use("numpy"):
        np.testing.assert_array_equal(mg.Linear(400, 300, seed=5).state_dict()["W"], W)
    conv = mg.Conv2d(3, 40, (5, 4), seed=5).state_dict()
    assert 0.99 / np.sqrt(60) < abs(conv["W"]).max() <= 1 / np.sqrt(60)


def test_convolution_is_the_sum_that_its_docstring_says(rng):
    layer = mg.Conv2d(2, 3, (3, 2), stride=(2, 1), padding=(1, 0), dtype="float64", seed=0)
    x = rng.standard_normal((2, 2, 5, 4))
    W, b = layer.state_dict()["W"], layer.state_dict()["b"]
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (0, 0)))
    y = run(layer, x)
    expected = np.zeros_like(y)
    for n, o, i, j in np.ndindex(y.shape):
        window = padded[n, :, 2 * i : 2 * i + 3, j : j + 2]
        expected[n, o, i, j] = b[o] + (W[o] * window).sum()
    np.testing.assert_allclose(y, expected, rtol=1e-12)


def test_images_lie_channels_last_in_memory(rng, xp, device):
    """The output of one image layer is the next one's input without a copy, in NumPy."""
    if device == "cupy":
        pytest.skip("CuPy's element-wise operations give C order; a copy restores channels last")
    x = xp.asarray(rng.standard_normal((2, 3, 6, 5)))
    y = mg.Conv2d(3, 4, 2, dtype="float64", seed=0).forward(x)
    for layer in (mg.ReLU(), mg.MaxPool2d(2, 1), mg.BatchNorm2d(4, dtype="float64")):
        y = layer.forward(y)
        N, C, H, W = y.shape
        assert y.strides == (8 * H * W * C, 8, 8 * W * C, 8 * C), layer


def test_missing_methods_say_so():
    loss = mg.Loss()
    for call in (lambda: loss.forward(None, None), loss.backward, lambda: loss.jvp(None)):
        with pytest.raises(NotImplementedError, match=r"Loss has no \w+\(.* yet"):
            call()
    layer = mg.Layer()
    for call in (
        lambda: layer.forward(None),
        lambda: layer.backward(None),
        lambda: layer.jvp(None),
    ):
        with pytest.raises(NotImplementedError, match=r"Layer has no \w+\(.* yet"):
            call()
