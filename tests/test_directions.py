"""Random directions: what they are distributed like, and that any can be drawn again."""

import math
from types import SimpleNamespace

import numpy as np
import pytest

from minigrad import threads
from minigrad.backend import to_device, to_host
from minigrad.kernels import draws
from minigrad.kernels.memory import in_memory_order
from minigrad.kernels.updates import add_scaled
from minigrad.rules import DirectionSampler
from minigrad.rules.forward.directions import (
    BLOCK,
    DISTRIBUTIONS,
    SMALL,
    StepDirections,
    squared_norm,
)

SHAPES = [(3, 2), (2,), (), (1, 5)]
MOMENTS = {1: (0, 1), 2: (1, 2), 3: (0, 15), 4: (3, 96), 5: (0, 945), 6: (15, 10170)}


def empty(xp, shapes=SHAPES, dtype="float64"):
    return [xp.empty(shape, dtype) for shape in shapes]


def drawn(xp, distribution, step=1, k=0, seed=0, shapes=SHAPES, dtype="float64"):
    """A direction on the host, parameter by parameter."""
    arrays = empty(xp, shapes, dtype)
    DirectionSampler(distribution, seed).fill(arrays, step, k)
    return [to_host(array).copy() for array in arrays]


def many(n, distribution="normal", dtype="float32", seed=0, step=1, k=0):
    return drawn(np, distribution, step, k, seed, [(n,)], dtype)[0]


def normal_cdf(x):
    return 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


def correlation(a, b):
    """In standard deviations of what it is for independent numbers."""
    return abs(np.corrcoef(a, b)[0, 1]) * math.sqrt(len(a))


# ------------------------------------------------------------------ how normal the normals are


@pytest.mark.on_host
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_normals_have_the_moments_and_the_tails_of_normals(dtype):
    n = 10**7 if dtype == "float32" else 2 * 10**6
    v = many(n, dtype=dtype)
    assert v.dtype == dtype
    assert np.isfinite(v).all()
    power, wide = np.ones(n), v.astype("float64")
    for p, (mean, variance) in MOMENTS.items():
        power *= wide
        assert abs(power.mean() - mean) < 5 * math.sqrt(variance / n), p
    for bound in (3, 4):  # each tail by itself
        chance = math.erfc(bound / math.sqrt(2)) / 2
        for beyond in ((v > bound).sum(), (v < -bound).sum()):
            assert abs(beyond - n * chance) < 5 * math.sqrt(n * chance)
    edges = np.linspace(-4, 4, 161)
    chances = np.diff(normal_cdf(edges))
    counts, _ = np.histogram(v, edges)
    chi2 = ((counts - n * chances) ** 2 / (n * chances)).sum()
    assert abs(chi2 - 160) < 5 * math.sqrt(2 * 160)


@pytest.mark.on_host
def test_kolmogorov_and_smirnov_find_no_difference():
    """√n times the largest distance of the distributions is below 1.95 in 999 of 1000 samples."""
    n = 200_000
    for seed in range(3):
        v = np.sort(many(n, dtype="float64", seed=seed))
        at = normal_cdf(v)
        above, below = np.arange(1, n + 1) / n - at, at - np.arange(n) / n
        assert max(above.max(), below.max()) * math.sqrt(n) < 1.95


@pytest.mark.on_host
def test_kolmogorov_and_smirnov_can_find_one():
    n = 200_000
    at = normal_cdf(np.sort(1.05 * many(n, dtype="float64")))
    assert abs(np.arange(n) / n - at).max() * math.sqrt(n) > 1.95


@pytest.mark.on_host
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("bits", [0, 2**64 - 1, 2**32 - 1, 2**64 - 2**32])
def test_no_random_bits_give_infinity(bits, dtype, monkeypatch):
    """u = 0 would: once in 2^32 draws."""
    stream = SimpleNamespace(random_raw=lambda n: np.full(n, bits, np.uint64))
    monkeypatch.setattr(draws, "stream", lambda words: stream)
    v = many(9, dtype=dtype)
    assert np.isfinite(v).all()
    assert abs(v).max() < 7


@pytest.mark.on_host
@pytest.mark.parametrize("distribution", ["normal", "rademacher"])
def test_numbers_of_one_direction_are_independent(distribution):
    """Neighbours; those made of one draw, half a block apart; and those in the next block."""
    v = many(4 * BLOCK, distribution, "float64")
    for lag in (1, 2, 64, BLOCK // 2, BLOCK, 2 * BLOCK):
        a, b = v[:-lag], v[lag:]
        assert correlation(a, b) < 5, lag
        if distribution == "normal":
            assert correlation(a * a, b * b) < 5, lag
            assert correlation(abs(a), b) < 5, lag
    first, *others = v.reshape(4, BLOCK)
    assert not any(np.array_equal(first, other) for other in others)
    half = BLOCK // 2
    for block in v.reshape(4, BLOCK):  # each pair is one point of the plane: any angle is as likely
        assert correlation(block[:half], block[half:]) < 5


@pytest.mark.parametrize("distribution", ["normal", "rademacher"])
def test_seeds_steps_directions_and_parameters_are_independent(distribution, xp):
    shapes, n = [(40, 50), (2000,)], 2000
    base = drawn(xp, distribution, 1, 0, 0, shapes)
    others = [base[1].ravel()]
    for step, k, seed in ((2, 0, 0), (1, 1, 0), (1, 0, 1), (0, 1, 0), (1, 0, 2)):
        others += [a.ravel() for a in drawn(xp, distribution, step, k, seed, shapes)]
    for i, other in enumerate(others):
        assert correlation(base[0].ravel(), other) < 5, i
        for another in others[:i]:
            assert correlation(another, other) < 5
    assert len(others) == 11
    assert base[0].size == n


@pytest.mark.parametrize("n", [1, 7, 8, 63, 64, 65, 4001])
def test_rademacher_is_plus_or_minus_one(n, xp):
    for dtype in ("float32", "float64"):
        (v,) = drawn(xp, "rademacher", shapes=[(n,)], dtype=dtype)
        assert set(np.unique(v)) <= {-1.0, 1.0}
        assert v.dtype == dtype
        assert abs(v.sum()) <= 5 * math.sqrt(n)


@pytest.mark.on_host
def test_rademacher_is_half_and_half():
    v = many(10**6, "rademacher")
    assert abs(v.sum()) < 5 * 10**3
    eight = v.reshape(-1, 8)  # no bit of a byte is left out
    assert (abs(eight.sum(axis=0)) < 5 * math.sqrt(len(eight))).all()


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_the_mean_is_zero_and_the_covariance_one(distribution, xp):
    """Within 5 standard deviations, over parameters and parts of one; also orthonormal v_1."""
    n, count, rows = 4, 1000, []
    draws, arrays = DirectionSampler(distribution, 5), empty(xp, [(1, 2), (), (1,)])
    for step in range(count):
        if distribution == "orthonormal":
            arrays = draws.orthonormal(arrays, step, 3)[step % 3]
        else:
            draws.fill(arrays, step, 0)
        rows.append(np.concatenate([to_host(array).ravel() for array in arrays]))
    v = np.array(rows)
    assert (abs(v.mean(axis=0)) < 5 / math.sqrt(count)).all()
    assert (abs((v > 0).mean(axis=0) - 0.5) < 2.5 / math.sqrt(count)).all()
    spread = np.sqrt(2 / count) if distribution != "rademacher" else np.sqrt(1 / count)
    assert (abs(v.T @ v / count - np.eye(n)) < 5 * spread).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_sphere_has_one_radius_over_all_parameters(dtype, xp):
    for step in range(20):
        v = np.concatenate([a.ravel() for a in drawn(xp, "sphere", step, dtype=dtype)])
        assert v.dtype == dtype
        rtol = 1e-6 if dtype == "float32" else 1e-12
        assert (v.astype("float64") ** 2).sum() == pytest.approx(v.size, rel=rtol)
    (one,) = drawn(xp, "sphere", shapes=[()])
    assert abs(one) == pytest.approx(1, rel=1e-12)
    normal, sphere = (
        np.concatenate([a.ravel() for a in drawn(xp, d)]) for d in ("normal", "sphere")
    )
    np.testing.assert_allclose(sphere / sphere[0], normal / normal[0], rtol=1e-12)


# ------------------------------------------------------------------ orthonormal ones


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("count", [1, 2, 7, 14])
def test_orthonormal_directions_are_orthogonal_and_of_length_root_n(count, dtype, xp):
    like = empty(xp, dtype=dtype)
    found = DirectionSampler("orthonormal").orthonormal(like, 1, count)
    v = np.array([np.concatenate([to_host(a).ravel() for a in one]) for one in found])
    assert [[a.shape for a in one] for one in found] == [SHAPES] * count
    assert v.dtype == dtype
    atol = 1e-5 if dtype == "float32" else 1e-12
    np.testing.assert_allclose(v @ v.T, 14 * np.eye(count), atol=14 * atol)
    other = DirectionSampler("orthonormal").orthonormal(like, 2, count)
    assert not np.allclose(to_host(other[0][0]), to_host(found[0][0]))


@pytest.mark.parametrize("count", [2, 5])
def test_they_span_what_the_normals_span(count, xp):
    """v_1 is the first normal one but for its length, and so on: Gram and Schmidt."""
    found = DirectionSampler("orthonormal", 3).orthonormal(empty(xp, [(9,)]), 4, count)
    v = np.array([to_host(one[0]) for one in found])
    normal = np.array([drawn(xp, "normal", 4, k, 3, [(9,)])[0] for k in range(count)])
    share = normal @ v.T / 9
    np.testing.assert_allclose(share @ v, normal, rtol=1e-10, atol=1e-10)
    assert (abs(np.triu(share, 1)) < 1e-10).all()
    assert (np.diag(share) > 0).all()


def test_there_are_no_more_of_them_than_dimensions(xp):
    with pytest.raises(
        ValueError, match=r"no 15 orthogonal directions in 14 dimensions.*at most 14"
    ):
        DirectionSampler("orthonormal").orthonormal(empty(xp), 1, 15)


@pytest.mark.on_host
@pytest.mark.parametrize(("n", "count"), [(2**18 + 1, 4), (70_000, 16), (1050, 1050)])
def test_very_long_ones_are_orthogonal_too(n, count):
    assert n * count > SMALL
    found = DirectionSampler("orthonormal").orthonormal(
        [np.empty(n - 6, "float32"), *empty(np, [(6,)])], 1, count
    )
    v = np.array([np.concatenate([a.ravel() for a in one]) for one in found], "float64")
    assert abs(v @ v.T / n - np.eye(count)).max() < 1e-4
    normal = many(n - 6)[: n // 2]
    assert correlation(v[0, : n // 2], normal) == pytest.approx(math.sqrt(n // 2), rel=1e-3)


@pytest.mark.on_host
def test_rows_too_close_for_cholesky_are_made_orthogonal_too(monkeypatch):
    """Which products of nearly dependent rows stay positive definite depends on the BLAS."""

    def refuses(gram):
        raise np.linalg.LinAlgError("Matrix is not positive definite")

    monkeypatch.setattr(np.linalg, "cholesky", refuses)
    test_very_long_ones_are_orthogonal_too(1050, 1050)


# ------------------------------------------------------------------ drawn again


@pytest.mark.parametrize("distribution", ["normal", "rademacher", "sphere"])
def test_a_direction_depends_on_seed_step_and_number_alone(distribution, xp):
    first = drawn(xp, distribution, 3, 2, 7)
    draws, arrays = DirectionSampler(distribution, 7), empty(xp)
    for step, k in ((5, 0), (3, 1), (3, 2)):
        draws.fill(arrays, step, k)
    for a, b in zip(arrays, first, strict=True):
        np.testing.assert_array_equal(to_host(a), b)
    for other in (drawn(xp, distribution, 3, 2, 8), drawn(xp, distribution, 2, 3, 7)):
        assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


@pytest.mark.parametrize("distribution", ["normal", "rademacher"])
def test_any_part_can_be_drawn_alone(distribution, xp):
    whole, arrays = drawn(xp, distribution, 3, 1), empty(xp)
    DirectionSampler(distribution).fill_part([(3, arrays[3]), (1, arrays[1])], 3, 1)
    for i in (1, 3):
        np.testing.assert_array_equal(to_host(arrays[i]), whole[i])


@pytest.mark.on_host
@pytest.mark.parametrize("distribution", ["normal", "rademacher", "sphere", "orthonormal"])
@pytest.mark.usefixtures("threads_as_before")
def test_threads_draw_the_same_bits(distribution):
    shapes, found = [(700, 1000), (3 * BLOCK + 1,), (5,)], []
    for n in (1, 2, 3):
        threads.set_threads(n)
        if distribution == "orthonormal":
            (arrays,) = DirectionSampler(distribution).orthonormal(
                empty(np, shapes, "float32"), 1, 1
            )
            found.append(arrays)
        else:
            found.append(drawn(np, distribution, shapes=shapes, dtype="float32"))
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.on_host
@pytest.mark.parametrize("n", [1, 2, 3, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK + 7])
@pytest.mark.parametrize("distribution", ["normal", "rademacher", "sphere"])
def test_float32_and_float64_are_the_same_numbers(distribution, n):
    """But for rounding; √(-2 ln u) near u = 1 makes it a little more for a few."""
    single, double = (many(n, distribution, dtype) for dtype in ("float32", "float64"))
    distance = abs(single - double)
    assert distance.max() < (1e-3 if distribution != "rademacher" else 1e-300)
    assert np.quantile(distance, 0.999) < 1e-5
    assert np.isfinite(single).all()
    assert n < 3 or len(np.unique(double)) > 2 or distribution == "rademacher"


# ------------------------------------------------------------------ in memory


@pytest.mark.on_host
def test_a_kernel_that_lies_otherwise_than_it_looks_is_filled_where_it_lies():
    plain = np.empty((4, 3, 3, 2))  # as Conv2d keeps W (O, C, KH, KW): in the order O, KH, KW, C
    kernel = plain.transpose(0, 3, 1, 2)
    DirectionSampler().fill([kernel], 1, 0)
    np.testing.assert_array_equal(plain.ravel(), many(plain.size, dtype="float64"))
    flat = in_memory_order(kernel)
    assert np.shares_memory(flat, plain)
    np.testing.assert_array_equal(flat, plain.ravel())


@pytest.mark.on_host
@pytest.mark.parametrize(
    "array",
    [
        np.arange(6.0),
        np.array(3.0),
        np.arange(6.0).reshape(2, 3).T,
        np.arange(6.0).reshape(1, 6, 1)[:, ::6],  # one number: no gap between it and another
        np.arange(24.0).reshape(2, 3, 4).transpose(2, 0, 1),
    ],
)
def test_in_memory_order_is_a_view_of_all(array):
    row = in_memory_order(array)
    assert row.shape == (array.size,)
    row += 1
    np.testing.assert_array_equal(np.sort(row), np.sort(array.ravel()))
    assert np.shares_memory(row, array)


@pytest.mark.on_host
@pytest.mark.parametrize(
    "array",
    [
        np.zeros(6)[::2],
        np.zeros((4, 6))[:, :5],
        np.zeros(6)[::-1],
        np.broadcast_to(0.0, (2, 3)),
    ],
)
def test_an_array_with_gaps_is_refused(array):
    with pytest.raises(ValueError, match="gaps in memory, of strides .*copy it first"):
        in_memory_order(array)


@pytest.mark.parametrize("size", [10, 3 * 2**19 + 5])
@pytest.mark.parametrize("turned", [False, True])
def test_add_scaled(size, turned, rng, xp):
    """Large ones go part by part; those that lie otherwise go as a whole."""
    y, x = rng.standard_normal((2, size, 2)).astype("float32")
    y, ours = (to_device(np.ascontiguousarray(a.T)).T if turned else to_device(a) for a in (y, y))
    x = to_device(x)
    expected = to_host(ours).copy() + np.float32(0.3) * to_host(x)
    add_scaled(ours, 0.3, x)
    np.testing.assert_allclose(to_host(ours), expected, rtol=1e-6, atol=1e-7)
    assert ours.dtype == "float32"
    same = to_device(to_host(y).copy())
    add_scaled(same, 0.3, to_device(np.full((size, 2), 2, "float32")))
    np.testing.assert_allclose(to_host(same), to_host(y) + np.float32(0.6), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("size", [(7, 3), (2**10, 2**10 + 3)])
def test_squared_norm_is_added_up_in_float64(size, rng, xp):
    a = (1e3 + rng.standard_normal(size)).astype("float32")
    expected = (a.astype("float64") ** 2).sum()
    for array in (a, a.T, a[:, ::2], a[::-1]):
        part = expected if array.size == a.size else (array.astype("float64") ** 2).sum()
        value = squared_norm(to_device(array))
        assert value == pytest.approx(part, rel=1e-6)
        assert type(value) is float


# ------------------------------------------------------------------ all of a step


def rows_of(step):
    return [{name: to_host(a).copy() for name, a in v.items()} for v in step]


@pytest.mark.parametrize("antithetic", [False, True])
@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_the_directions_of_a_step(distribution, antithetic, xp):
    params = dict(zip("abcd", empty(xp), strict=True))
    step = StepDirections(DirectionSampler(distribution, 2), 5, params, 6, antithetic)
    rows = rows_of(step)
    assert len(rows) == 6
    assert [list(row) for row in rows] == [list("abcd")] * 6
    distinct = {tuple(abs(row["a"]).ravel()) for row in rows}
    expected = 3 if antithetic else 6
    assert len(distinct) == expected or distribution == "rademacher"
    if antithetic:
        for plus, minus in zip(rows[::2], rows[1::2], strict=True):
            assert all(np.array_equal(plus[name], -minus[name]) for name in plus)
    if distribution == "orthonormal":
        v = np.array([np.concatenate([a.ravel() for a in row.values()]) for row in rows])
        v = v[::2] if antithetic else v
        np.testing.assert_allclose(v @ v.T, 14 * np.eye(len(v)), atol=1e-11)
    else:
        arrays = empty(xp)
        for k, row in enumerate(rows):
            DirectionSampler(distribution, 2).fill(arrays, 5, k // 2 if antithetic else k)
            sign = -1 if antithetic and k % 2 else 1
            for a, b in zip(arrays, row.values(), strict=True):
                np.testing.assert_array_equal(sign * to_host(a), b)


@pytest.mark.parametrize("antithetic", [False, True])
@pytest.mark.parametrize("distribution", ["normal", "rademacher"])
def test_parts_and_means_are_those_of_the_whole(distribution, antithetic, xp):
    params = dict(zip("abcd", empty(xp), strict=True))
    step = StepDirections(DirectionSampler(distribution, 2), 5, params, 4, antithetic)
    rows, slopes = rows_of(step), [2.0, -1.0, 0.5, 3.0]
    for k, row in enumerate(rows):
        part = step.part(k, ["d", "b"])
        assert list(part) == ["d", "b"]
        for name, array in part.items():
            np.testing.assert_array_equal(to_host(array), row[name])
    assert step.part(1, []) == {}
    for name, mean in step.mean(slopes).items():
        expected = sum(d * row[name] for d, row in zip(slopes, rows, strict=True)) / 4
        np.testing.assert_allclose(to_host(mean), expected, rtol=1e-12, atol=1e-13)
        assert mean.shape == params[name].shape


@pytest.mark.on_host
def test_what_is_no_distribution_or_seed_is_refused():
    with pytest.raises(
        ValueError, match="one of normal, rademacher, sphere, orthonormal, got 'cauchy'"
    ):
        DirectionSampler("cauchy")
    for seed in (-1, 0.5, None, True):
        with pytest.raises(ValueError, match="seed must be an integer of at least 0"):
            DirectionSampler(seed=seed)
