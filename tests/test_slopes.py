"""Figures of forward gradients, and the largest learning rate while a network learns."""

import numpy as np
import pytest

import minigrad as mg
from minigrad.backend import to_device
from minigrad.diagnostics import stability
from minigrad.diagnostics.limits import limits_on_the_way
from minigrad.rules import Backprop


@pytest.mark.on_host
def test_a_figure_of_the_mean_of_draws():
    slopes = pytest.importorskip("minigrad.plots.slopes")
    draws = np.random.default_rng(0).standard_normal(50) + 3
    left, right = slopes.mean_of_draws(draws, 3.0, "title", "estimate", runs=5).axes
    assert left.lines[0].get_xdata()[0] == pytest.approx(draws.mean())
    np.testing.assert_allclose(right.lines[0].get_ydata()[-1], draws[:10].mean())
    with pytest.raises(ValueError, match="10 runs need"):
        slopes.mean_of_draws(draws[:5], 3.0, "title", "estimate")


def linear_regression(size=1.0):
    """A model whose Hessian is the same everywhere, and its data."""
    model = mg.models.mlp((3, 2), seed=0, dtype="float64")
    return model, mg.MSELoss(), to_device(np.eye(3) * size), to_device(np.ones((3, 2)))


def test_on_a_quadratic_the_limit_stays_what_it_was():
    model, *rest = linear_regression()
    other, *_ = linear_regression()
    rows = limits_on_the_way(model, Backprop(), *rest, 0.5, steps=5, every=2)
    np.testing.assert_array_equal(rows[:, 0], [0, 2, 4, 5])
    np.testing.assert_allclose(rows[:, 2], 2, rtol=1e-4)
    optimizer = mg.SGD(other, 0.5 * stability(other, *rest, 10, 15, "gauss-newton").largest_lr())
    for _ in range(2):
        Backprop().estimate(other, *rest)
        optimizer.step()
    value = rest[0].forward(other.forward(rest[1]), rest[2])
    np.testing.assert_allclose(rows[1, 1], value)
    assert (np.diff(rows[:, 1]) < 0).all()


def test_a_run_that_is_lost_ends_with_its_row():
    model, *rest = linear_regression()
    rows = limits_on_the_way(model, Backprop(), *rest, 3.0, steps=50, every=50)
    assert len(rows) == 2
    assert 1 < rows[-1, 0] < 50
    assert rows[-1, 1] > 20


def test_flat_ground_has_no_limit():
    model, loss, x, y = linear_regression(0.0)
    model = mg.Sequential(mg.Linear(3, 2, bias=False))
    with pytest.raises(ValueError, match="no limit"):
        limits_on_the_way(model, Backprop(), loss, x.astype("float32"), y.astype("float32"), 0.5)
    with pytest.raises(ValueError, match="share"):
        limits_on_the_way(model, Backprop(), loss, x, y, 0.0)
