"""Arguments of layers at their edges: what they compute there, and what they refuse."""

import numpy as np
import pytest

import minigrad as mg
from minigrad.backend import to_device, to_host


@pytest.mark.parametrize("kernel_size", [(2, 4), (4, 1), (1, 1), (3, 5)])
def test_same_is_a_convolution_of_the_image_with_zeros_around_it(kernel_size, rng):
    """For an even kernel the larger half of the zeros is below, and on the right."""
    KH, KW = kernel_size
    x = rng.standard_normal((3, 2, 6, 7))
    same = mg.Conv2d(2, 3, kernel_size, padding="same", dtype="float64", seed=0)
    plain = mg.Conv2d(2, 3, kernel_size, dtype="float64", seed=0)
    above, left = (KH - 1) // 2, (KW - 1) // 2
    edges = (0, 0), (0, 0), (above, KH - 1 - above), (left, KW - 1 - left)
    y = same.forward(to_device(x))
    padded = to_device(np.pad(x, edges))
    np.testing.assert_array_equal(to_host(y), to_host(plain.forward(padded)))
    assert y.shape == (3, 3, 6, 7)
    dy, x_dot = to_device(rng.standard_normal(y.shape)), rng.standard_normal(x.shape)
    dx = to_host(plain.backward(dy))[:, :, above : above + 6, left : left + 7]
    np.testing.assert_allclose(to_host(same.backward(dy)), dx, rtol=1e-12, atol=1e-14)
    for name, grad in plain.grads.items():
        np.testing.assert_array_equal(to_host(same.grads[name]), to_host(grad))
    params_dot = dict(same.params)
    y_dot = to_host(plain.jvp(to_device(np.pad(x_dot, edges)), params_dot))
    np.testing.assert_allclose(to_host(same.jvp(to_device(x_dot), params_dot)), y_dot, atol=1e-13)
    together = same.forward_jvp(to_device(x), to_device(x_dot), params_dot)
    np.testing.assert_allclose(to_host(together[1]), y_dot, atol=1e-12)
    assert 'padding="same"' in repr(same).replace("'", '"')


@pytest.mark.on_host
def test_valid_is_no_padding():
    assert repr(mg.Conv2d(1, 2, 3, 2, "valid")) == repr(mg.Conv2d(1, 2, 3, 2))


REFUSED = [
    (lambda: mg.Softmax("one"), TypeError, "dim must be the number of an axis, got 'one'"),
    (lambda: mg.LogSoftmax(1.0), TypeError, "dim must be the number of an axis"),
    (lambda: mg.Flatten(0), ValueError, "axis 0 is the batch"),
    (lambda: mg.Flatten(1, True), TypeError, "end_dim must be the number of an axis"),
    (lambda: mg.LayerNorm(()), ValueError, "normalized_shape needs at least one size"),
    (lambda: mg.LayerNorm((3, 0)), ValueError, "normalized_shape must be an integer of at least 1"),
    (lambda: mg.LayerNorm(3, -0.5), ValueError, "eps must be a number >= 0"),
    (lambda: mg.Conv2d(1, 2, 3, 2, "same"), ValueError, 'padding="same" needs stride=1'),
    (lambda: mg.Conv2d(1, 2, 3, padding="full"), ValueError, '"same" or "valid", got \'full\''),
    (lambda: mg.MaxPool2d(3, padding=2), ValueError, "at most half of kernel_size"),
    (lambda: mg.AvgPool2d((4, 1), padding=1), ValueError, "at most half of kernel_size"),
    (lambda: mg.AvgPool2d(2, divisor_override=0), ValueError, "an integer, not 0"),
    (lambda: mg.AvgPool2d(0), ValueError, "kernel_size must be an integer of at least 1"),
    (lambda: mg.GELU("erf"), ValueError, 'must be "none" or "tanh"'),
    (lambda: mg.LeakyReLU("a"), TypeError, "negative_slope must be a number"),
    (lambda: mg.LeakyReLU(float("nan")), ValueError, "negative_slope must be a finite number"),
    (lambda: mg.Softplus(0), ValueError, "beta must be a number > 0"),
    (lambda: mg.Softplus(1, float("inf")), ValueError, "threshold must be a finite number"),
]


@pytest.mark.on_host
@pytest.mark.parametrize(("make", "error", "message"), REFUSED)
def test_what_is_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.on_host
def test_erf_is_the_standard_librarys():
    import math

    from minigrad.kernels.erf import erf

    x = np.concatenate([np.linspace(-7, 7, 20001), np.logspace(-300, 0, 100), [np.inf, -np.inf]])
    exact = np.array([math.erf(value) for value in x])
    assert abs(erf(x) - exact).max() < 1e-15
    assert abs(erf(x.astype("float32")) - exact).max() < 5e-7
    assert np.isnan(erf(np.array([np.nan]))).all()


@pytest.mark.parametrize("make", [mg.GELU, lambda: mg.GELU("tanh"), mg.SiLU, mg.Softplus])
def test_smooth_activations_far_from_zero(make, xp):
    """No overflow: 0 on the left, x on the right, with slopes 0 and 1."""
    for dtype in ("float32", "float64"):
        layer = make()
        x = xp.array([-1e38, -1e4, -120.0, 120.0, 1e4, 1e38], dtype=dtype)
        y, dx = layer.forward(x), layer.backward(xp.ones_like(x))
        expected = to_host(x) * (to_host(x) > 0)
        np.testing.assert_allclose(to_host(y), expected, rtol=1e-7, atol=1e-30)
        np.testing.assert_allclose(to_host(dx), to_host(x) > 0, rtol=1e-7, atol=1e-30)


@pytest.mark.parametrize("form", ["fast", "plain"])
def test_a_pixel_outside_never_wins(form, xp):
    """Not even where all pixels of a window are -inf: the first of them in the image wins."""
    x = xp.full((1, 1, 3, 3), -np.inf, "float64")
    with mg.kernels.use(form):
        layer = mg.MaxPool2d(2, padding=1, ceil_mode=True)
        y = layer.forward(x)
        assert y.shape == (1, 1, 2, 2)
        dx = to_host(layer.backward(xp.ones_like(y)))
        assert dx.sum() == y.size
        assert (to_host(layer.jvp(xp.ones_like(x))) == 1).all()


def test_a_nan_stays_in_its_windows(xp):
    x = np.ones((1, 1, 4, 4))
    x[0, 0, 0, 0] = np.nan
    for layer in (mg.AvgPool2d(2), mg.AvgPool2d(2, padding=1), mg.MaxPool2d(2, padding=1)):
        y = to_host(layer.forward(to_device(x)))
        assert np.isnan(y).sum() == 1
        assert np.isnan(y[0, 0, 0, 0])


def test_a_dtype_may_still_come_first():
    """Softmax, LogSoftmax and Flatten had no other argument before."""
    for make in (mg.Softmax, mg.LogSoftmax, mg.Flatten):
        assert make("float64").dtype == make(dtype="float64").dtype == np.dtype("float64")
        assert repr(make("float32")) == f"{make.__name__}()"
    assert repr(mg.Softmax(-1)) == "Softmax(-1)"
    assert repr(mg.Flatten(2)) == "Flatten(2, -1)"


WRONG = [
    (lambda: mg.Softmax(2), (3, 4), "with an axis 2"),
    (lambda: mg.Softmax(-2), (3, 4), "axis -2 of x is the batch"),
    (lambda: mg.Softmax(), (3, 4, 5), "for another axis give dim"),
    (lambda: mg.Flatten(2, 1), (3, 4, 5), "cannot flatten x of shape"),
    (lambda: mg.Flatten(-3), (3, 4, 5), "cannot flatten x of shape"),
    (lambda: mg.Flatten(1, 3), (3, 4, 5), "cannot flatten x of shape"),
]


@pytest.mark.parametrize(("make", "shape", "message"), WRONG)
def test_what_an_axis_may_not_be(make, shape, message, xp):
    with pytest.raises(ValueError, match=message):
        make().forward(xp.ones(shape, "float32"))


def test_dropout_of_everything(xp):
    layer = mg.Dropout(1)
    x = xp.ones((3, 4), "float32")
    assert not to_host(layer.forward(x)).any()
    assert not to_host(layer.backward(x)).any()
    np.testing.assert_array_equal(to_host(layer.forward(x, train=False)), 1)


def test_softmax_over_the_batch_mixes_examples():
    assert mg.Softmax(0).mixes_examples
    assert not mg.Softmax(1).mixes_examples


def test_momentum_none_is_the_mean_over_all_batches(rng):
    layer = mg.BatchNorm1d(3, momentum=None, dtype="float64")
    batches = rng.standard_normal((5, 4, 3))
    for batch in batches:
        layer.forward(to_device(batch))
    mean, var = batches.mean(axis=(0, 1)), batches.var(axis=1, ddof=1).mean(axis=0)
    np.testing.assert_allclose(to_host(layer.buffers["running_mean"]), mean, rtol=1e-12)
    np.testing.assert_allclose(to_host(layer.buffers["running_var"]), var, rtol=1e-12)
    assert int(layer.buffers["num_batches_tracked"]) == 5
    with mg.layers.holding(layer):
        layer.forward(to_device(batches[0]))
        layer.forward(to_device(batches[1]))
    assert int(layer.buffers["num_batches_tracked"]) == 6


def test_batch_norm_without_its_parts(rng):
    plain = mg.BatchNorm1d(3, affine=False, dtype="float64")
    assert list(plain.params) == []
    assert list(mg.BatchNorm1d(3, bias=False).params) == ["gamma"]
    batch = mg.BatchNorm1d(3, track_running_stats=False, dtype="float64")
    assert batch.state_dict().keys() == {"gamma", "beta"}
    x = to_device(rng.standard_normal((6, 3)))
    y = to_host(batch.forward(x))
    np.testing.assert_array_equal(to_host(batch.forward(x, train=False)), y)
    np.testing.assert_array_equal(to_host(plain.forward(x)), y)
    assert repr(batch) == "BatchNorm1d(3, track_running_stats=False)"
    assert repr(mg.BatchNorm2d(3, 1e-5, None, False)) == (
        "BatchNorm2d(3, momentum=None, affine=False)"
    )
