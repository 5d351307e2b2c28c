"""Rules with signals of their own, beside losses in which examples do not all count the same."""

import numpy as np
import pytest
from reference.given_directions import close, gradients

import minigrad as mg
from minigrad.backend import to_device, to_host
from minigrad.rules import DirectRandomTargetProjection, SignSymmetric


def mlp():
    return mg.models.mlp((4, 6, 5, 3), "tanh", dtype="float64", seed=0)


def host(arrays):
    return {key: to_host(array).copy() for key, array in arrays.items()}


@pytest.fixture
def batch(rng):
    return rng.standard_normal((8, 4)), np.arange(8) % 3


def of(loss, x, y):
    rule = DirectRandomTargetProjection(seed=1)
    return host(gradients(rule, mlp(), loss, to_device(x), to_device(y))[1])


@pytest.mark.parametrize("ignored", [0, -100])
def test_a_label_that_does_not_count_sends_nothing(batch, ignored):
    x, y = batch
    found = of(mg.CrossEntropyLoss(ignore_index=ignored), x, np.where(y == 0, ignored, y))
    close(found, of(mg.CrossEntropyLoss(), x[y != 0], y[y != 0]), 1e-13)


def test_the_signal_has_the_weights_of_the_loss_and_its_sum(batch):
    """Every gradient is Σ_n w_n g_n/Σ_n w_n of single examples, or Σ_n g_n."""
    x, y = batch
    w = np.array([0.5, 2.0, 1.25])
    each = [of(mg.CrossEntropyLoss(), x[n : n + 1], y[n : n + 1]) for n in range(8)]
    for loss, share in (
        (mg.CrossEntropyLoss(weight=w), w[y] / w[y].sum()),
        (mg.CrossEntropyLoss(reduction="sum"), np.ones(8)),
        (mg.MultiMarginLoss(weight=w), None),
    ):
        if share is None:
            each = [of(mg.MultiMarginLoss(), x[n : n + 1], y[n : n + 1]) for n in range(8)]
            share = w[y] / 8
        expected = {
            name: sum(s * g[name] for s, g in zip(share, each, strict=True)) for name in each[0]
        }
        close(of(loss, x, y), expected, 1e-13)


@pytest.mark.parametrize("kind", ["uniform", "batchwise", "fixed"])
def test_sizes_that_are_drawn_for_each_batch_are_noise(batch, kind):
    """In `quality` only a rule's random numbers differ: those of fixed sizes are one draw."""
    x, y = map(to_device, batch)
    rule, model, loss = SignSymmetric(kind), mlp(), mg.CrossEntropyLoss()
    rule.estimate(model, loss, x, y)
    found = mg.diagnostics.quality(rule, model, loss, x, y, replicates=4)
    assert (found.total.variance > 1e-3) == (kind == "batchwise")
    estimates = []
    for seed in (5, 5, 6):
        rule.reseed(seed)
        estimates.append(host(gradients(rule, model, loss, x, y)[1])["1.W"])
    assert np.array_equal(*estimates[:2])
    assert np.array_equal(*estimates[1:]) == (kind != "batchwise")
