"""MicroBatches: the whole batch's estimate up to rounding, in less memory, or a clear refusal."""

import tracemalloc

import numpy as np
import pytest
from cases import LOSSES

import minigrad as mg
from minigrad.backend import current, to_device, to_host
from minigrad.layers import holding
from minigrad.rules import Backprop, ClippedGradients, MicroBatches
from minigrad.rules.micro_batches import FILLED, KEPT, USUAL, fitting_size


class Scale(mg.Layer):
    """y = x w, a factor for each number of an example."""

    def __init__(self, shape):
        super().__init__("float64")
        self.params["w"] = current().ones(shape, "float64")

    def forward(self, x, train=True):
        self.cache = x
        return x * self.params["w"]

    def backward(self, dy):
        self.grads["w"] = (dy * self.recall()).sum(axis=0)
        return dy * self.params["w"]


def mlp():
    return mg.models.mlp((4, 6, 5, 3), "tanh", dtype="float64", seed=0)


def with_dropout():
    flat, first, *rest = mlp()
    return mg.Sequential(flat, first, mg.Dropout(0.4, seed=3), *rest)


def tied():
    model = mg.Sequential(
        mg.Flatten(),
        *(mg.Linear(4, 4, dtype="float64", seed=i) for i in range(2)),
        mg.Tanh(),
        mg.Linear(4, 3, dtype="float64", seed=2),
    )
    model[2].params["W"] = model[1].params["W"]
    return model


def images():
    return mg.Sequential(
        mg.Conv2d(1, 2, 1, dtype="float64", seed=0),
        mg.ReLU(),
        mg.MaxPool2d(2),
        mg.Flatten(),
        mg.Linear(2, 3, dtype="float64", seed=1),
    )


def with_frozen_batch_norm():
    flat, first, *rest = mlp()
    model = mg.Sequential(flat, first, mg.BatchNorm1d(6, dtype="float64"), *rest)
    mg.freeze(model, "2")
    return model


MODELS = [mlp, with_dropout, tied, images, with_frozen_batch_norm]


def batch(n=11):
    rng = np.random.default_rng(1)
    return to_device(rng.standard_normal((n, 4))), to_device(rng.integers(0, 3, n))


def found(rule, model, loss, x, y):
    value = rule.estimate(model, loss, x, y)
    return value, {name: to_host(grad) for name, grad in model.grads.items()}


def assert_same(a, b):
    assert a[0] == pytest.approx(b[0], rel=1e-12)
    assert a[1].keys() == b[1].keys()
    for name, grad in a[1].items():
        np.testing.assert_allclose(grad, b[1][name], rtol=1e-10, atol=1e-14, err_msg=name)


@pytest.mark.parametrize("make", MODELS)
@pytest.mark.parametrize("size", [1, 4, 11, 50])
def test_it_is_the_whole_batch(make, size):
    """Dropout draws the same numbers in parts as at once."""
    x, y = batch()
    x = x.reshape(-1, 1, 2, 2)
    loss = mg.CrossEntropyLoss()
    models = make(), make()
    for _ in range(2):
        whole = found(Backprop(), models[0], loss, x, y)
        assert_same(found(MicroBatches(Backprop(), size), models[1], loss, x, y), whole)


@pytest.mark.parametrize("case", LOSSES, ids=lambda case: case.name)
def test_each_loss_has_the_right_weights(case):
    """Weights of classes, labels that do not count, sums instead of means."""
    x, y = case.batch(np.random.default_rng(2), n=7)
    for reduction in case.kind.reductions:
        loss = case.kind(**case.options | {"reduction": reduction})
        model = Scale(x.shape[1:])
        whole = found(Backprop(), model, loss, x, y)
        assert_same(found(MicroBatches(Backprop(), 2), model, loss, x, y), whole)


def test_micro_batches_in_which_no_label_counts():
    x, _ = batch(6)
    model, loss = mlp(), mg.CrossEntropyLoss(ignore_index=2)
    rule = MicroBatches(Backprop(), 2)
    y = to_device(np.array([2, 2, 0, 2, 1, 1]))
    assert_same(found(rule, model, loss, x, y), found(Backprop(), model, loss, x, y))
    with pytest.raises(ValueError, match="no label of this batch counts"):
        rule.estimate(model, loss, x, to_device(np.full(6, 2)))


def test_what_it_refuses():
    x, y = batch()
    loss = mg.CrossEntropyLoss()
    model = mlp()
    inside = [
        (mg.rules.WeightPerturbation(), "take it without MicroBatches"),
        (mg.rules.SyntheticGradients(mlp()), "take it without MicroBatches"),
        (ClippedGradients(Backprop(), max_norm=1), "put MicroBatches inside it"),
        (mg.rules.WellTempered(), "put MicroBatches inside it"),
        (mg.rules.AccumulatedGradients(Backprop(), 2), "put MicroBatches inside it"),
    ]
    for inner, advice in inside:
        rule = MicroBatches(inner)
        reason = rule.why_not(model, loss)
        assert advice in reason
        assert type(inner).__name__ in reason
        with pytest.raises(ValueError, match="needs a rule whose estimate is a mean"):
            rule.estimate(model, loss, x, y)
    mixing = mg.Sequential(*mlp(), mg.Softmax(0))
    assert "Softmax makes each example's loss" in MicroBatches(Backprop()).why_not(mixing, loss)
    for size in (0, 2.5, True):
        with pytest.raises((TypeError, ValueError), match="size must be an integer"):
            MicroBatches(Backprop(), size)
    with pytest.raises(TypeError, match="rule must be a Rule"):
        MicroBatches(Backprop)


def test_a_rule_of_ones_own_says_that_it_averages():
    class Own(Backprop):
        def estimate(self, model, loss, x, target):
            return super().estimate(model, loss, x, target)

    class Says(Own):
        averages_examples = True

    x, y = batch()
    assert "Own does not say that" in MicroBatches(Own()).why_not(mlp())
    assert MicroBatches(MicroBatches(Says(), 5), 3).why_not(mlp()) is None
    nested = found(MicroBatches(MicroBatches(Says(), 2), 5), mlp(), mg.CrossEntropyLoss(), x, y)
    assert_same(nested, found(Backprop(), mlp(), mg.CrossEntropyLoss(), x, y))


def test_other_rules_go_around_it():
    x, y = batch()
    loss = mg.CrossEntropyLoss()
    for around in (
        lambda rule: ClippedGradients(rule, max_norm=0.1),
        lambda rule: mg.rules.GuidedForwardGradient(rule),
        lambda rule: mg.rules.WellTempered(rule, micro_batch_size=6),
    ):
        models = with_dropout(), with_dropout()
        whole = found(around(Backprop()), models[0], loss, x, y)
        parts = found(around(MicroBatches(Backprop(), 2)), models[1], loss, x, y)
        assert_same(parts, whole)


def test_within_holding_a_batch_stays_whole():
    """Else each micro-batch would get the mask of the first."""
    x, y = batch(8)
    model, loss = with_dropout(), mg.CrossEntropyLoss()
    with holding(model):
        parts = found(MicroBatches(Backprop(), 4), model, loss, x, y)
        assert_same(parts, found(Backprop(), model, loss, x, y))


def test_the_size_comes_from_the_largest_array():
    xp = current()
    lenet = mg.models.lenet(seed=0)  # 20 x 24 x 24 numbers after the first layer
    for model, shape, numbers in ((lenet, (1, 28, 28), 11520), (mlp(), (4,), 6)):
        x = xp.zeros((5, *shape), model.dtype)
        largest = numbers * x.itemsize
        size = fitting_size(model, x)
        if xp is np:
            assert size == min(max(USUAL, FILLED // largest), KEPT // largest)
        else:
            assert size == mg.kernels.parts.DEVICE_CACHE // largest
    if xp is np:
        wide = mg.Linear(4, 100_000, seed=0)
        assert fitting_size(wide, np.zeros((1, 4), "float32")) == KEPT // 400_000


@pytest.mark.on_host
def test_it_needs_less_memory():
    model = mg.models.mlp((20, 64, 3), seed=0)
    x = np.zeros((16384, 20), "float32")
    y = np.zeros(16384, "int64")
    peaks = []
    for rule in (Backprop(), MicroBatches(Backprop(), 512)):
        rule.estimate(model, mg.CrossEntropyLoss(), x, y)
        model.drop_cache()
        tracemalloc.start()
        rule.estimate(model, mg.CrossEntropyLoss(), x, y)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] / 10
