"""Student's t and Holm's correction, against tables, and against simulated comparisons."""

import numpy as np
import pytest

from minigrad.metrics.confidence import estimate, holm, interval, p_value, paired, quantile, within

pytestmark = pytest.mark.on_host

# Tables of Student's t, two-sided: Abramowitz and Stegun 1964, table 26.10
TABLE = {
    (0.90, 1): 6.314, (0.95, 1): 12.706, (0.99, 1): 63.657, (0.999, 1): 636.619,
    (0.90, 2): 2.920, (0.95, 2): 4.303, (0.99, 2): 9.925, (0.999, 2): 31.598,
    (0.90, 3): 2.353, (0.95, 3): 3.182, (0.99, 3): 5.841, (0.999, 3): 12.924,
    (0.90, 4): 2.132, (0.95, 4): 2.776, (0.99, 4): 4.604, (0.999, 4): 8.610,
    (0.90, 9): 1.833, (0.95, 9): 2.262, (0.99, 9): 3.250, (0.999, 9): 4.781,
    (0.90, 30): 1.697, (0.95, 30): 2.042, (0.99, 30): 2.750, (0.999, 30): 3.646,
    (0.90, 120): 1.658, (0.95, 120): 1.980, (0.99, 120): 2.617, (0.999, 120): 3.373,
}  # fmt: skip


@pytest.mark.parametrize(("confidence", "nu"), TABLE)
def test_quantiles_are_those_of_the_tables(confidence, nu):
    assert quantile(confidence, nu) == pytest.approx(TABLE[confidence, nu], rel=3e-4, abs=6e-4)


@pytest.mark.parametrize("nu", [1, 2, 3, 4, 5, 8, 19])
def test_the_probability_is_the_integral_of_the_density(nu):
    """f(t) ~ (1 + t²/ν)^(-(ν+1)/2). With t = √ν tan θ, P ~ ∫ cos^(ν-1) θ dθ, by Simpson's rule."""

    def integral(end):
        theta = np.linspace(0, end, 4001)
        weights = np.where(np.arange(4001) % 2, 4, 2)
        weights[[0, -1]] = 1
        return end / 12000 * (weights * np.cos(theta) ** (nu - 1)).sum()

    for t in (0.1, 1.0, 4.3, 50.0):
        expected = integral(np.arctan(t / nu**0.5)) / integral(np.pi / 2)
        assert within(t, nu) == pytest.approx(expected, abs=1e-11)
        assert p_value(-t, nu) == pytest.approx(1 - expected, abs=1e-11)


def test_an_interval_holds_the_true_mean_as_often_as_it_says():
    rng = np.random.default_rng(0)
    values = 5 + rng.standard_normal((20_000, 3))
    half = quantile(0.95, 2) * values.std(axis=1, ddof=1) / 3**0.5
    share = (abs(values.mean(axis=1) - 5) <= half).mean()
    assert share == pytest.approx(0.95, abs=4 * (0.05 * 0.95 / 20_000) ** 0.5)
    one = interval(values[0])
    assert one["half"] == pytest.approx(half[0])
    assert (one["n"], one["high"] - one["low"]) == (3, pytest.approx(2 * half[0]))
    assert interval([1.0])["half"] is None


def test_holms_correction_by_hand():
    """.01 · 4, .02 · 3, .03 · 2 -> .06 as the one before, .9."""
    np.testing.assert_allclose(holm([0.03, 0.9, 0.01, 0.02]), [0.06, 0.9, 0.04, 0.06])
    np.testing.assert_allclose(holm([0.6, 0.7]), [1, 1])
    assert holm([0.2]) == [0.2]


def test_differences_that_rounding_may_have_made_are_not_certain():
    """Three times one example of 100: without the rounding's variance p would be 0."""
    _, _, p = paired([0.01, 0.01, 0.01], step=0.01)
    assert 0.05 < p < 0.06
    assert paired([0.0, 0.0, 0.0])[2] == 1
    assert paired([0.3, 0.31, 0.29], step=0.01)[2] < 0.001


def pairs_of(accuracies):
    """p-values (comparisons, pairs), Holm's, of accuracies (comparisons, rules, seeds)."""
    k = accuracies.shape[1]
    pairs = [(i, j) for i in range(k) for j in range(i + 1, k)]
    differences = np.stack([accuracies[:, i] - accuracies[:, j] for i, j in pairs], axis=1)
    return pairs, holm(paired(differences, step=1 / 1000)[2])


@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize("rules", [2, 4, 7])
def test_of_equal_rules_a_difference_is_named_in_at_most_a_twentieth(seeds, rules):
    """1,000 comparisons; 3 standard deviations of a binomial count are allowed on top."""
    rng = np.random.default_rng([seeds, rules])
    of_seed = 0.01 * rng.standard_normal((1000, 1, seeds))  # common weights and batches
    exact = 0.9 + of_seed + 0.004 * rng.standard_normal((1000, rules, seeds))
    _, p = pairs_of(np.round(exact, 3))  # 1,000 test examples
    named = (p < 0.05).any(axis=1).mean()
    assert named <= 0.05 + 3 * (0.05 * 0.95 / 1000) ** 0.5


def test_true_differences_are_found_and_their_sign_is_right():
    rng = np.random.default_rng(1)
    truth = np.array([0.95, 0.95, 0.85])
    exact = truth[:, None] + 0.002 * rng.standard_normal((1000, 3, 3))
    pairs, p = pairs_of(np.round(exact, 3))
    found = dict(zip(pairs, (p < 0.05).mean(axis=0), strict=True))
    assert found[0, 2] > 0.95
    assert found[1, 2] > 0.95
    assert found[0, 1] <= 0.05 + 3 * (0.05 * 0.95 / 1000) ** 0.5


def test_an_estimate_says_what_the_values_allow():
    found = estimate([1.0, 2.0, 3.0])  # sd 1, t(95 %, 2) = 4.303
    assert (found.mean, found.n) == (2, 3)
    assert found.half == pytest.approx(4.3027 / 3**0.5, rel=1e-4)
    assert str(found) == "+2 ± 2.5 (95 %, n = 3)"
    assert found.says("more", "less") == "too short to tell"
    assert found.says("more", "less", than=-1) == "more"
    assert found.says("more", "less", than=5) == "less"
    assert estimate([1.0, 2.0, 3.0], 0.5).says("more", "less") == "more"
    one = estimate([3.0])
    assert one.says("more", "less", "who knows") == "who knows"
    assert str(one) == "+3 (n = 1)"


def test_equal_differences_of_counts_are_not_certain():
    same = [0.02, 0.02, 0.02]  # 50 test examples: one more is right, three times
    assert estimate(same).half < 1e-15
    found = estimate(same, step=0.02)
    assert found.half == pytest.approx(4.3027 * (0.02**2 / 6 / 3) ** 0.5, rel=1e-4)
    assert found.says("more", "less") == "too short to tell"
    mean, error, p = paired(same, 0.02)
    assert found.half == pytest.approx(quantile(0.95, 2) * error)
