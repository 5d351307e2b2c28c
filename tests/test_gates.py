"""The null line: how often ρ is below 1 in pure noise."""

import math

import pytest

from minigrad.rules import null_fraction

pytestmark = pytest.mark.on_host


@pytest.mark.parametrize(
    ("batches", "published"),
    [(5, 0.579), (10, 0.631), (20, 0.657), (50, 0.673), (100, 0.678), (300, 0.680), (1e6, 0.6827)],
)
def test_null_fractions_are_those_of_a_simulation(batches, published):
    assert null_fraction(batches) == pytest.approx(published, abs=0.003)


def test_null_fractions_of_known_distributions():
    """One degree of freedom is Cauchy's distribution; many are the normal one, χ² for groups."""
    assert null_fraction(2, unbiased=True) == pytest.approx(0.5, abs=1e-9)
    assert null_fraction(2) == pytest.approx(2 / math.pi * math.atan(1 / math.sqrt(2)), abs=1e-9)
    assert null_fraction(1e7) == pytest.approx(math.erf(1 / math.sqrt(2)), abs=1e-6)
    assert null_fraction(1e7, size=2) == pytest.approx(1 - math.exp(-1), abs=1e-6)
    assert math.isnan(null_fraction(1))
