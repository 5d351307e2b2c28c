"""Rules with signals of their own, beside losses in which examples do not all count the same."""

import numpy as np
import pytest
from reference.given_directions import close, gradients

import minigrad as mg
from minigrad.backend import to_device, to_host
from minigrad.rules import (
    DirectFeedbackAlignment,
    DirectRandomTargetProjection,
    ForwardForward,
    LocalLosses,
    SignSymmetric,
)


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


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"weight": [1, 2, 1]}, "leave weight out"),
        ({"ignore_index": 0}, "leave ignore_index out"),
        ({"reduction": "sum"}, "leave reduction out"),
    ],
)
def test_local_losses_do_not_drop_an_option_of_the_loss_in_silence(options, named):
    model = mlp()
    rule = LocalLosses(model)
    assert named in rule.why_not(model, mg.CrossEntropyLoss(**options))
    assert rule.why_not(model, mg.CrossEntropyLoss()) is None


@pytest.mark.parametrize("make", [DirectFeedbackAlignment, DirectRandomTargetProjection])
def test_the_advice_for_a_network_without_a_cut_can_be_followed(make, batch):
    """These rules have no argument interfaces=, of which `split` speaks."""
    rule, one = make(), mg.Sequential(mg.Linear(4, 3, dtype="float64"))
    said = rule.why_not(one)
    assert "interfaces=" not in said
    assert "no activation with parameters on both sides" in said
    with pytest.raises(ValueError, match="take Backprop"):
        rule.estimate(one, mg.CrossEntropyLoss(), *map(to_device, batch))


@pytest.mark.on_host
def test_what_is_wrong_is_said_where_it_comes_in(batch):
    x, y = batch
    model, loss, rule = mlp(), mg.CrossEntropyLoss(), ForwardForward(3)
    with pytest.raises(TypeError, match=r"of shape \(3,\) for x of shape \(8, 4\)"):
        rule.estimate(model, loss, x, y[:3])
    with pytest.raises(ValueError, match=r"no example: x has shape \(0, 4\)"):
        rule.estimate(model, loss, x[:0], y[:0])
    with pytest.raises(ValueError, match="trains layers with an activation after them"):
        rule.outputs(mg.Sequential(mg.Linear(4, 3, dtype="float64")), x)
    with pytest.raises(ValueError, match=r"input_shape must be the shape of one .* got 4"):
        LocalLosses(model, input_shape=4)
    with pytest.raises(ValueError, match="seed must be an integer of at least 0, got -1"):
        LocalLosses(model, seed=-1)
    with pytest.raises(TypeError, match="optimizer must be a function that makes one"):
        LocalLosses(model, optimizer="sgd")
    with pytest.raises(TypeError, match="rule must be a rule, .* got a Sequential"):
        mg.diagnostics.gradient_age(model)
