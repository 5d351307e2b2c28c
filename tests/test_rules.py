"""What holds for every rule; and backprop, the true gradient."""

from itertools import pairwise

import numpy as np
import pytest

import minigrad as mg
from minigrad.backend import to_device, to_host


@pytest.fixture
def batch(rng):
    return to_device(rng.standard_normal((5, 4))), to_device(np.array([0, 2, 1, 1, 0]))


def net():
    return mg.Sequential(
        mg.Linear(4, 6, dtype="float64", seed=0),
        mg.Tanh(),
        mg.Linear(6, 3, dtype="float64", seed=1),
    )


def test_backprop_is_the_gradient_of_the_loss_it_returns(batch):
    x, target = batch
    model, loss = net(), mg.CrossEntropyLoss()
    value = mg.rules.Backprop().estimate(model, loss, x, target)
    assert value == loss.forward(model.forward(x), target)
    report = mg.gradcheck.check(model, x, target, loss)
    assert report, report
    assert model.grads.keys() == model.params.keys()


def test_the_worked_example_of_ds4420():
    """The digits that the notebook prints, from a state worked out from them."""
    z_h, W_o = np.array([0.88015906, 0.59157567]), np.array([-0.44046572, -0.5402752])
    x = np.array([1, 2, 0.5])
    model = mg.models.ds4420_toy(dtype="float64")
    model.load_state_dict({"0.W": np.outer(x, z_h) / (x @ x), "2.W": W_o[:, None]})
    loss = mg.BCELoss()
    value = mg.rules.Backprop().estimate(
        model, loss, to_device(x[None]), to_device(np.zeros((1, 1)))
    )
    assert value == pytest.approx(0.4169, abs=5e-5)
    grads = {key: to_host(grad) for key, grad in model.grads.items()}
    printed_o = [0.24099095, 0.21946827]
    printed_i = [[-0.03111681, -0.06223362, -0.0155584], [-0.0422445, -0.084489, -0.02112225]]
    np.testing.assert_allclose(grads["2.W"].ravel(), printed_o, atol=1e-7)
    np.testing.assert_allclose(grads["0.W"].T, printed_i, atol=1e-7)


def test_estimate_never_touches_parameters(batch):
    model = net()
    before = model.state_dict()
    mg.rules.Backprop().estimate(model, mg.CrossEntropyLoss(), *batch)
    after = model.state_dict()
    assert all(np.array_equal(before[key], after[key]) for key in before)


def test_the_gradient_of_a_batch_is_the_mean_of_its_examples(batch):
    x, target = batch
    model, rule, loss = net(), mg.rules.Backprop(), mg.CrossEntropyLoss()
    rule.estimate(model, loss, x, target)
    whole = {key: to_host(grad).copy() for key, grad in model.grads.items()}
    single = dict.fromkeys(whole, 0)
    for i in range(5):
        rule.estimate(model, loss, x[i : i + 1], target[i : i + 1])
        single = {key: single[key] + to_host(grad) / 5 for key, grad in model.grads.items()}
    for key, grad in whole.items():
        np.testing.assert_allclose(single[key], grad, rtol=1e-10, atol=1e-15)


def test_a_small_step_lowers_the_loss(batch):
    model, rule, loss = net(), mg.rules.Backprop(), mg.CrossEntropyLoss()
    optimizer = mg.SGD(model, 0.01)
    values = []
    for _ in range(20):
        values.append(rule.estimate(model, loss, *batch))
        optimizer.step()
    assert all(after < before for before, after in pairwise(values))


def test_fifty_examples_can_be_learned_by_heart(rng):
    """The sanity check before any long training: a net that cannot overfit has a fault."""
    x = rng.standard_normal((50, 20)).astype("float32")
    y = rng.integers(0, 5, 50)
    model = mg.models.mlp((20, 64, 5), seed=0)
    train = mg.data.Dataset(x, y, classes=5)
    history = mg.fit(
        model,
        mg.CrossEntropyLoss(),
        mg.rules.Backprop(),
        mg.Adam(model, 0.01),
        train,
        epochs=60,
        batch_size=25,
    )
    assert history.step_loss[0] == pytest.approx(np.log(5), abs=0.3)
    assert history.train_accuracy[-1] == 1.0
    assert history.train_loss[-1] < 0.05


@pytest.mark.on_host
def test_a_rule_that_is_not_written_says_so():
    with pytest.raises(NotImplementedError, match=r"Rule has no estimate"):
        mg.rules.Rule().estimate(None, None, None, None)
    assert repr(mg.rules.Backprop()) == "Backprop()"
