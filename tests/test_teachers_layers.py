"""Layers that a teacher writes from the docs, under every rule: right, or refused with a reason."""

import numpy as np
import pytest
from test_contracts import GaussianNoise, batch, changed
from test_siblings import Frozen, residual

import minigrad as mg
from minigrad.backend import array_module, to_host
from minigrad.rules import Backprop, ForwardGradient, SyntheticGradients, WellTempered
from minigrad.rules.sharing import shared, summed


class LeakyReLU(mg.Layer):
    """y = x where x > 0, else 0.1 x."""

    monotone = True

    def forward(self, x, train=True):
        self.check_input(x)
        self.cache = array_module(x).where(x > 0, 1.0, 0.1).astype(x.dtype)
        return x * self.cache

    def backward(self, dy):
        return dy * self.recall()

    def jvp(self, x_dot, params_dot=None):
        return x_dot * self.recall()


def linear(a, b, seed):
    return mg.Linear(a, b, dtype="float64", seed=seed)


NETS = {
    "Residual first": lambda: mg.Sequential(residual(), mg.Tanh(), linear(4, 3, 5)),
    "Residual last": lambda: mg.Sequential(linear(4, 4, 5), mg.Tanh(), residual()),
    "GaussianNoise": lambda: mg.Sequential(
        GaussianNoise(), linear(4, 4, 5), mg.Tanh(), GaussianNoise(seed=1), linear(4, 3, 6)
    ),
    "LeakyReLU": lambda: mg.Sequential(linear(4, 4, 5), LeakyReLU(), linear(4, 3, 6)),
    "tied": lambda: tied(),
}


def tied():
    net = mg.Sequential(linear(4, 4, 5), mg.Tanh(), linear(4, 4, 6))
    net.params["2.W"] = net.params["0.W"]
    return net


def gradient(rule, model, seed=7):
    """The rule's gradient as one vector, with the same random numbers each time."""
    return vector(estimated(rule, model, seed))


def what_a_step_takes(rule, model, seed=7):
    """The same, with the gradients of a shared array added: an optimiser steps by the sum."""
    return vector(summed(estimated(rule, model, seed), shared(model)))


def estimated(rule, model, seed):
    model.reseed(seed)
    rule.estimate(model, mg.CrossEntropyLoss(), *batch(classes=3))
    return {key: model.grads[key] for key in model.params}


def vector(grads):
    return np.concatenate([to_host(grad).ravel() for grad in grads.values()])


each_net = pytest.mark.parametrize("make", NETS.values(), ids=list(NETS))


@each_net
@pytest.mark.parametrize(
    ("options", "atol"),
    [
        ({}, 1e-12),
        ({"mode": "finite-difference"}, 1e-7),
        ({"mode": "finite-difference", "scheme": "one-sided"}, 1e-5),
    ],
)
def test_along_all_directions_a_forward_gradient_is_backprops(make, options, atol):
    model = make()
    expected = gradient(Backprop(), model)
    n = expected.size
    found = gradient(ForwardGradient(n, "orthonormal", **options), model)
    np.testing.assert_allclose(found, expected, atol=atol)


@each_net
@pytest.mark.parametrize(
    "make_rule",
    [
        lambda: ForwardGradient(800, "rademacher", regenerate=True),
        lambda: ForwardGradient(800, perturb="activities"),
        lambda: ForwardGradient(800, perturb="activities", layerwise=True),
        lambda: ForwardGradient(800, perturb="activities", mode="finite-difference"),
        lambda: ForwardGradient(guide=Backprop()),
        lambda: WellTempered(Backprop()),
    ],
    ids=["regenerate", "activities", "layerwise", "differences", "guided", "well tempered"],
)
@pytest.mark.on_host
def test_every_rule_points_along_the_gradient(make, make_rule):
    model = make()
    expected = what_a_step_takes(Backprop(), model)
    found = what_a_step_takes(make_rule(), model)
    cosine = found @ expected / np.linalg.norm(found) / np.linalg.norm(expected)
    assert cosine > 0.95


@each_net
def test_the_checker_says_that_it_is_right(make):
    assert mg.gradcheck.check(make(), batch()[0])


@pytest.mark.parametrize("name", [n for n in NETS if n != "tied"])
@pytest.mark.on_host
def test_synthetic_gradients_take_it_or_say_why_not(name):
    model = NETS[name]()
    cut = [i for i, layer in enumerate(model) if isinstance(layer, mg.Tanh | LeakyReLU)]
    rule = SyntheticGradients(model, interfaces=cut, input_shape=(4,))
    optimizer = mg.SGD(model, 0.05)
    for seed in range(3):
        rule.estimate(model, mg.CrossEntropyLoss(), *batch(seed=seed))
        optimizer.step()
    assert all(np.isfinite(a).all() for a in model.state_dict().values())


RULES = [
    Backprop,
    ForwardGradient,
    lambda: ForwardGradient(mode="finite-difference"),
    lambda: ForwardGradient(perturb="activities"),
    lambda: WellTempered(Backprop()),
]


@pytest.mark.parametrize("make_rule", RULES)
def test_a_frozen_layer_stays_under_every_rule(make_rule):
    """By its attribute; a backward that empties grads is not asked by rules without a backward."""
    model = mg.Sequential(linear(4, 4, 5), mg.Tanh(), linear(4, 3, 6))
    model[0].frozen = True
    before, optimizer, rule = model.state_dict(), mg.Adam(model, 0.1), make_rule()
    for _ in range(2):
        rule.estimate(model, mg.CrossEntropyLoss(), *batch())
        optimizer.step()
    assert changed(before, model.state_dict()) == {"2.W", "2.b"}
    assert not any(key.startswith("0.") for key in optimizer.state)


def test_a_frozen_layer_of_its_own_class_stays_under_backprop():
    model = mg.Sequential(Frozen(4, 4, dtype="float64", seed=5), mg.Tanh(), linear(4, 3, 6))
    before, optimizer = model.state_dict(), mg.Adam(model, 0.1)
    Backprop().estimate(model, mg.CrossEntropyLoss(), *batch())
    optimizer.step()
    assert changed(before, model.state_dict()) == {"2.W", "2.b"}
