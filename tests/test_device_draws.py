"""Directions on a device: a counter names each number, for the kernel and for the host alike."""

import math

import numpy as np
import pytest

from minigrad import kernels
from minigrad.backend import to_device, to_host
from minigrad.kernels.device import draws, table
from minigrad.rules import DirectionSampler

SHAPES = [(3, 2), (2,), (), (0, 5), (1, 1025), (64,), (33, 63)]
MOMENTS = {1: (0, 1), 2: (1, 2), 3: (0, 15), 4: (3, 96), 6: (15, 10170)}


def drawn(xp, signs, form="fast", seed=7, step=3, k=2, dtype="float32", shapes=SHAPES):
    arrays = [xp.zeros(shape, dtype) for shape in shapes]
    with kernels.use(form):
        draws.draw(list(enumerate(arrays)), seed, step, k, signs)
    return [to_host(array) for array in arrays]


def words(i, n, seed=7, step=3, k=2):
    """The first n words of parameter i, as NumPy's own generator gives them."""
    key = np.random.SeedSequence(seed).generate_state(2, np.uint64)
    counter = np.array([0, i, k, step], np.uint64)
    return np.random.Philox(key=key, counter=counter).random_raw(n)


@pytest.mark.parametrize("signs", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_kernel_draws_what_its_plain_form_draws(signs, dtype, xp):
    for seed, step, k in ((7, 3, 2), (2**70, 2**40, 0)):
        fast = drawn(xp, signs, "fast", seed, step, k, dtype)
        plain = drawn(xp, signs, "plain", seed, step, k, dtype)
        for a, b in zip(fast, plain, strict=True):
            assert a.dtype == b.dtype == dtype
            if signs:
                np.testing.assert_array_equal(a, b)
            else:
                # near u1 = 1, √(-2 ln u1) takes the rounding of ln twice
                np.testing.assert_allclose(a, b, atol=4e-6 if dtype == "float32" else 1e-14)


def test_signs_are_the_bits_of_numpys_words(xp):
    for i, v in enumerate(drawn(xp, signs=True)):
        raw = words(i, -(-v.size // 64))
        bits = [int(raw[e // 64]) >> e % 64 & 1 for e in range(v.size)]
        np.testing.assert_array_equal(v.ravel() > 0, np.array(bits, bool))
        assert set(np.unique(v)) <= {-1, 1}


def test_normals_are_made_of_numpys_words(xp):
    """u1 of the lower half of a word, the angle of the upper one; two numbers a word."""
    for i, v in enumerate(drawn(xp, signs=False, dtype="float64")):
        for e, number in enumerate(v.ravel()[:9]):
            word = int(words(i, e // 2 + 1)[-1])
            radius = math.sqrt(-2 * math.log((word % 2**32 + 0.5) / 2**32))
            angle = 2 * math.pi * (word >> 32) / 2**32
            turned = math.sin(angle) if e % 2 else math.cos(angle)
            assert number == pytest.approx(radius * turned, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("form", kernels.FORMS)
def test_numbers_lie_in_the_order_in_memory(form, xp):
    base, turned = xp.zeros((4, 3, 5), "float32"), xp.zeros((4, 3, 5), "float32")
    wide = xp.zeros((60, 2), "float32")
    with kernels.use(form):
        draws.draw([(4, base)], 1, 1, 0, True)
        draws.draw([(4, turned.transpose(2, 0, 1)), (4, wide[:, 1])], 1, 1, 0, True)
    np.testing.assert_array_equal(to_host(turned), to_host(base))
    if form == "plain" or not hasattr(xp, "RawKernel"):
        return
    np.testing.assert_array_equal(to_host(wide[:, 1]), to_host(base).ravel())  # has gaps
    assert not to_host(wide[:, 0]).any()


def test_one_launch_draws_a_direction(device, xp, monkeypatch):
    seen = []
    launch = table.Table.launch
    monkeypatch.setattr(
        table.Table, "launch", lambda self, *a, **kw: (seen.append(a[0]), launch(self, *a, **kw))
    )
    arrays = [xp.empty(shape, "float32") for shape in SHAPES if 0 not in shape]
    DirectionSampler("normal", 1).fill(arrays, 1, 0)
    assert seen == (["draw"] if device == "cupy" else [])


def test_moments_and_independence(device, xp):
    """Of a million numbers and more, all of one direction; on a GPU ten million."""
    if device == "numpy":
        return  # the host's own numbers are another stream: test_directions
    n = 10**7 if device == "cupy" and xp.__version__ != "stand-in" else 10**6
    v, other = (drawn(xp, False, shapes=[(5,), (n,)], step=s)[1].astype("float64") for s in (1, 2))
    power = np.ones(n)
    for p in range(1, 7):
        power *= v
        if p in MOMENTS:
            mean, variance = MOMENTS[p]
            assert abs(power.mean() - mean) < 5 * math.sqrt(variance / n), p
    for bound in (3, 4):
        chance = math.erfc(bound / math.sqrt(2)) / 2
        for beyond in ((v > bound).sum(), (v < -bound).sum()):
            assert abs(beyond - n * chance) < 5 * math.sqrt(n * chance)
    pairs = [(v, other)] + [(v[:-lag], v[lag:]) for lag in (1, 2, 7, 8, 1024)]
    for a, b in pairs:
        for x, y in ((a, b), (a * a, b * b), (abs(a), b)):
            assert abs(np.corrcoef(x, y)[0, 1]) * math.sqrt(n) < 5
    signs = drawn(xp, True, shapes=[(n,)])[0].reshape(-1, 64)
    assert (abs(signs.sum(axis=0)) < 5 * math.sqrt(len(signs))).all()


@pytest.mark.gpu
def test_a_name_in_device_memory(device, xp):
    if device != "cupy":
        return
    (array,) = arrays = [xp.zeros((40,), "float32")]
    kept = to_device(np.array([*draws.key(9), 4, 2**33], np.uint64))
    draws.draw(list(enumerate(arrays)), 0, 0, 0, False, kept)
    (expected,) = drawn(xp, False, "fast", 9, 2**33, 4, shapes=[(40,)])
    np.testing.assert_array_equal(to_host(array), expected)
