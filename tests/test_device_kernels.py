"""What only a GPU's kernels could get wrong: many rows, odd places in memory, numbers not finite.

As in test_kernels, the fast form is held to the plain form. It runs on every backend.
"""

import numpy as np
import pytest

from minigrad import kernels
from minigrad.backend import to_device, to_host
from minigrad.kernels.averages import spread_over_windows, window_sums
from minigrad.kernels.convolution import convolve, image_gradient, kernel_gradients
from minigrad.kernels.device import convolution, images
from minigrad.kernels.elementwise import masked, relu, relu_with_tangent, sigmoid
from minigrad.kernels.losses import cross_entropy, cross_entropy_gradient, cross_entropy_tangent
from minigrad.kernels.normalization import normalise, normalise_gradients
from minigrad.kernels.pooling import from_winners, max_pool, max_pool_with_tangent, to_winners
from minigrad.kernels.products import sum_rows
from minigrad.kernels.rectifiers import gelu, leaky, silu, softplus
from minigrad.kernels.rows import pick

BOUND = {"float32": 2e-5, "float64": 1e-12}
dtypes = pytest.mark.parametrize("dtype", BOUND)


def both_forms_agree(compute, dtype):
    """compute() gives arrays: the same ones in both forms, NaN and infinities included."""
    found = {}
    for form in kernels.FORMS:
        with kernels.use(form), np.errstate(all="ignore"):
            found[form] = [to_host(array) for array in compute()]
    for ours, theirs in zip(*found.values(), strict=True):
        finite = np.isfinite(theirs)
        size = abs(theirs[finite]).max(initial=0)
        np.testing.assert_array_equal(np.where(finite, 0, ours), np.where(finite, 0, theirs))
        np.testing.assert_allclose(ours[finite], theirs[finite], rtol=0, atol=BOUND[dtype] * size)


@dtypes
@pytest.mark.parametrize(("R", "D"), [(2049, 3), (2600, 33), (3, 70)])
def test_many_rows(R, D, dtype, rng):
    x, v, gamma, beta = (rng.standard_normal(s).astype(dtype) for s in ((R, D), (R, D), D, D))
    x, v, gamma, beta = map(to_device, (x + 3, v, gamma, beta))
    both_forms_agree(lambda: normalise(x, 1e-5, gamma, beta), dtype)
    x_hat = normalise(x, 1e-5, gamma, beta)[1]
    both_forms_agree(lambda: normalise_gradients(v, x_hat, gamma, beta), dtype)
    both_forms_agree(lambda: [sum_rows(x), sum_rows(v.T)], dtype)


@dtypes
@pytest.mark.parametrize("R", [7, 2100])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_statistics_of_numbers_that_are_not_finite(R, bad, dtype, rng):
    x = rng.standard_normal((R, 3)).astype(dtype)
    x[min(R - 1, 2060), 1] = bad
    x = to_device(x)
    both_forms_agree(lambda: normalise(x, 1e-5, None, None), dtype)


@dtypes
def test_activations_of_numbers_that_are_not_finite(dtype):
    numbers = to_device(np.array([0, -0.0, np.nan, np.inf, -np.inf, 1, -1, 1e30, -1e30], dtype))
    for x in (numbers, numbers[1:], numbers[:8]):
        both_forms_agree(
            lambda x=x: [*relu(x), masked(x, x > 0), *relu_with_tangent(x, x), sigmoid(x)], dtype
        )
        both_forms_agree(lambda x=x: [*leaky(x, 0.1), *silu(x), *softplus(x, 1.0, 20.0)], dtype)
        both_forms_agree(lambda x=x: [*gelu(x, "none"), *gelu(x, "tanh")], dtype)


@dtypes
@pytest.mark.parametrize("labels", ["int32", "int64", "uint32"])
def test_cross_entropy_at_the_edges(labels, dtype, rng):
    """Logits that are not finite, and labels that are no classes: NaN there, and only there."""
    z = rng.standard_normal((12, 40)).astype(dtype)
    z[0, 3] = np.nan
    z[1, 2] = np.inf
    z[2, 2] = -np.inf
    z[3] = -np.inf
    z[4] = 1e4
    t = (np.arange(12) * 7 % 40).astype(labels)
    t[5] = 40
    if labels != "uint32":
        t[6] = -1
    logits, target, right = to_device(z), to_device(t), to_device(t.astype("int64") % 40)
    both_forms_agree(lambda: [*cross_entropy(logits, target), pick(logits, target)], dtype)
    with np.errstate(all="ignore"):
        p = cross_entropy(logits, target)[1]
    both_forms_agree(
        lambda: [cross_entropy_gradient(p, right), cross_entropy_tangent(p, right, logits)], dtype
    )


@dtypes
@pytest.mark.parametrize("wide", [False, True])
def test_windows_wherever_they_lie(wide, dtype, rng, monkeypatch):
    """Images whose memory begins anywhere, and places as integers of 32 and of 64 bits."""
    if wide:
        for module in (convolution, images):
            monkeypatch.setattr(module, "NARROW_REACH", -1)
        images._structs.cache_clear()
    W = to_device(rng.standard_normal((3, 4, 2, 3)).astype(dtype))
    for start in (0, 1):
        memory = to_device(rng.standard_normal(start + 2 * 7 * 6 * 4).astype(dtype))
        x = memory[start:].reshape(2, 7, 6, 4).transpose(0, 3, 1, 2)
        y, rows = convolve(x, W, None, (2, 1), (1, 2))
        both_forms_agree(lambda x=x: convolve(x, W, None, (2, 1), (0, 0)), dtype)
        both_forms_agree(lambda y=y, rows=rows: kernel_gradients(y, rows, (2, 3), (2, 1)), dtype)
        both_forms_agree(lambda y=y, rows=rows: [image_gradient(y, rows, W, (2, 1), (1, 2))], dtype)
        both_forms_agree(lambda x=x: [window_sums(x, (3, 2), (2, 2), (1, 1), (4, 4))], dtype)
        dy = x[:, :, :4, :4]
        both_forms_agree(
            lambda dy=dy: [spread_over_windows(dy, (2, 4, 7, 6), (3, 2), (2, 2), (1, 1))], dtype
        )
    images._structs.cache_clear()


@dtypes
@pytest.mark.parametrize(
    "window", [((2, 2), (2, 2), (0, 0)), ((3, 3), (2, 1), (1, 1)), ((17, 16), (1, 1), (8, 8))]
)
@pytest.mark.parametrize("C", [3, 4])
def test_pooling_of_numbers_that_are_not_finite(C, window, dtype, rng):
    """The last window has more than 256 pixels: its winner's number needs two bytes.

    Four channels that are neighbours in memory are pooled together.
    """
    x = rng.integers(0, 3, (2, 8, 6, C)).astype(dtype)
    x[0, :3, :3, 0] = np.nan
    x[1, :, :, 0] = -np.inf
    v = rng.standard_normal(x.shape).astype(dtype)
    x, v = (to_device(images).transpose(0, 3, 1, 2) for images in (x, v))

    def compute():
        y, winners = max_pool(x, *window)
        _, y_dot = both = max_pool_with_tangent(x, v, *window)
        dx = to_winners(y_dot, winners, x.shape, *window)
        return [y, dx, from_winners(v, winners, *window), *both]

    both_forms_agree(compute, dtype)
