"""Ways to break a contract without a word, found by trying to. Each failed before it was mended."""

import copy
import pickle
import sys

import numpy as np
import pytest

import minigrad as mg
from minigrad.backend import to_device, to_host
from minigrad.layers import holding
from minigrad.rules import (
    Backprop,
    StaleGradients,
    SyntheticGradients,
    TopLayerOnly,
    WeightPerturbation,
)


@pytest.fixture
def batch(rng):
    return to_device(rng.standard_normal((6, 4))), to_device(np.array([0, 1, 2, 0, 1, 2]))


def net():
    return mg.Sequential(
        mg.Linear(4, 4, dtype="float64", seed=0),
        mg.Tanh(),
        mg.Linear(4, 3, dtype="float64", seed=1),
    )


def test_a_gradient_changed_in_place_does_not_change_the_one_that_is_kept(batch):
    model = net()
    rule = StaleGradients(model, every=50)
    norms = []
    for _ in range(3):
        rule.estimate(model, mg.CrossEntropyLoss(), *batch)
        norms.append(float((to_host(model.grads["0.W"]) ** 2).sum()))
        for key in model.grads:
            model.grads[key] *= 0.5
    assert norms[0] == norms[1] == norms[2]


@pytest.mark.parametrize("make", [TopLayerOnly, StaleGradients, SyntheticGradients])
def test_a_layer_replaced_after_the_rule_was_made_is_seen(make, batch):
    model = net()
    rule = make(model)
    model.layers = (*model.layers[:-1], mg.Linear(4, 3, dtype="float64", seed=2))
    with pytest.raises(ValueError, match="other layers than when this rule was made"):
        rule.estimate(model, mg.CrossEntropyLoss(), *batch)


def test_layers_under_a_name_that_networks_use_are_found():
    class Hidden(mg.Layer):
        def __init__(self):
            super().__init__()
            self._layers = [mg.Linear(4, 4)]

    with pytest.raises(TypeError, match=r"holds layers of its own \(_layers\[0\]\)"):
        list(Hidden().leaves())


class Own(mg.Linear):
    """A backward set on the object, when it is made."""

    def __init__(self, *sizes, **options):
        super().__init__(*sizes, **options)
        self.backward = self.doubled

    def doubled(self, dy):
        dx = mg.Linear.backward(self, dy)
        self.grads = {name: 2 * grad for name, grad in self.grads.items()}
        return dx


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))])
@pytest.mark.on_host
def test_a_method_set_on_an_object_belongs_to_its_copies_too(copied, batch):
    model = mg.Sequential(Own(4, 3, dtype="float64", seed=0))
    loss = mg.CrossEntropyLoss()
    Backprop().estimate(model, loss, *batch)
    expected = model.grads["0.W"].copy()
    other = copied(model)
    model.grads.clear()
    Backprop().estimate(other, loss, *batch)
    np.testing.assert_array_equal(other.grads["0.W"], expected)
    assert not model.grads


@pytest.mark.on_host
def test_a_copy_made_within_holding_draws_again():
    layer = mg.Dropout(0.5, seed=0)
    x = np.ones((4, 50))
    with holding(layer):
        layer.forward(x)
        twin = copy.deepcopy(layer)
    assert not np.array_equal(twin.forward(x), twin.forward(x))


def test_a_class_with_another_forward_does_not_inherit_monotone():
    class Centred(mg.ReLU):
        def forward(self, x, train=True):
            return super().forward(x, train) - 1

    class Said(Centred):
        monotone = True

        def forward(self, x, train=True):
            return super().forward(x, train)

    assert mg.ReLU.monotone
    assert not Centred.monotone
    assert Said.monotone


class FrozenFromScratch(mg.Layer):
    """y = x W. Its backward leaves no gradient."""

    def __init__(self):
        super().__init__("float64")
        self.params["W"] = to_device(np.eye(4))

    def forward(self, x, train=True):
        self.cache = x
        return x @ self.params["W"]

    def backward(self, dy):
        self.grads = {}
        return dy @ self.params["W"].T

    def jvp(self, x_dot, params_dot=None):
        y_dot = 0 if x_dot is None else x_dot @ self.params["W"]
        return y_dot if params_dot is None else y_dot + self.cache @ params_dot["W"]


@pytest.mark.parametrize("method", ["jvp", "finite-difference"])
def test_a_layer_frozen_by_its_backward_does_not_move_under_forward_gradients(method, batch):
    model = mg.Sequential(FrozenFromScratch(), mg.Linear(4, 3, dtype="float64", seed=0))
    optimizer = mg.SGD(model, 0.1)
    WeightPerturbation(method=method).estimate(model, mg.CrossEntropyLoss(), *batch)
    optimizer.step()
    np.testing.assert_array_equal(to_host(model.params["0.W"]), np.eye(4))
    assert model.grads.keys() == {"1.W", "1.b"}


def test_a_network_is_frozen_as_a_whole(batch):
    model = mg.Sequential(net(), mg.Linear(3, 3, dtype="float64", seed=3))
    optimizer = mg.SGD(model, 0.1)
    before = model.state_dict()
    model[0].frozen = True
    assert model[0].frozen
    assert not model.frozen
    for rule in (Backprop(), WeightPerturbation()):
        rule.estimate(model, mg.CrossEntropyLoss(), *batch)
        optimizer.step()
    after = model.state_dict()
    moved = {key for key in after if not np.array_equal(before[key], after[key])}
    assert moved == {"1.W", "1.b"}


def test_the_checker_compares_each_with_every_example(batch):
    class Turned(mg.MSELoss):
        def each(self, output, target):
            return super().each(output, target)[::-1]

        def forward(self, output, target):
            return super().forward(output, target)

    x, _ = batch
    report = mg.gradcheck.check(Turned(), x, 0 * x)
    assert not report
    assert "not each example's own loss" in report["each"].detail


@pytest.mark.parametrize("scale", [100, 300, 700])
def test_a_saturated_softmax_is_not_called_wrong(scale, rng):
    x = to_device(scale * rng.standard_normal((6, 4)))
    report = mg.gradcheck.check(mg.Softmax(), x)
    assert not [row for row in report.rows if row.verdict == "WRONG"], report


def test_the_checker_warns_of_examples_that_depend_on_each_other(rng):
    class Centred(mg.Layer):
        def forward(self, x, train=True):
            self.cache = True
            return x - x.mean(axis=0)

        def backward(self, dy):
            return dy - dy.mean(axis=0)

        def jvp(self, x_dot, params_dot=None):
            return x_dot - x_dot.mean(axis=0)

    class Said(Centred):
        mixes_examples = True

    x = to_device(rng.standard_normal((6, 4)))
    assert "mixes_examples = True" in mg.gradcheck.check(Centred(), x).warnings[0]
    assert not mg.gradcheck.check(Said(), x).warnings


@pytest.mark.on_host
def test_a_test_set_of_another_shape_is_refused_before_the_first_step(rng):
    model = mg.Sequential(mg.Linear(4, 3, seed=0))
    before = model.state_dict()
    train = mg.data.Dataset(rng.random((6, 4), "float32"), np.arange(6) % 3)
    test = mg.data.Dataset(rng.random((6, 5), "float32"), np.arange(6) % 3)
    with pytest.raises(ValueError, match=r"test set must have the shape \(4,\)"):
        mg.fit(
            model,
            mg.CrossEntropyLoss(),
            Backprop(),
            mg.SGD(model, 0.1),
            train,
            test,
            epochs=1,
            batch_size=3,
        )
    for key, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[key])


@pytest.mark.on_host
@pytest.mark.parametrize("name", ["mnist", "parallel", "idx", "report"])
def test_modules_are_attributes_under_their_old_names(name):
    vars(mg).pop(name, None)
    sys.modules.pop(f"minigrad.{name}", None)
    with pytest.warns(DeprecationWarning, match=f"minigrad.{name} has moved"):
        module = getattr(mg, name)
    assert module.__name__.startswith("minigrad.")


@pytest.mark.on_host
def test_other_names_are_not_found():
    with pytest.raises(AttributeError, match="no attribute 'no_such'"):
        mg.no_such  # noqa: B018
