"""Shorthands and old names of rules: they make the right rule, and old ones warn."""

import importlib
import pickle
import warnings

import numpy as np
import pytest

import minigrad as mg
from minigrad.rules import (
    ActivityPerturbation,
    Backprop,
    DirectionSampler,
    ForwardGradient,
    GuidedForwardGradient,
    StaleGradients,
    SyntheticGradients,
    TopLayerOnly,
    WeightPerturbation,
    WellTempered,
)

pytestmark = pytest.mark.on_host


def network():
    return mg.models.mlp((4, 6, 5, 3), "tanh", dtype="float64", seed=0)


# ------------------------------------------------------------------ shorthands


SHORT = [
    (lambda: ForwardGradient(), lambda: WeightPerturbation()),
    (
        lambda: ForwardGradient(2, "rademacher", "finite-difference", 0.5, seed=3),
        lambda: WeightPerturbation(2, "rademacher", "finite-difference", 0.5, seed=3),
    ),
    (lambda: ForwardGradient(mode="jvp"), lambda: WeightPerturbation(method="jvp")),
    (
        lambda: ForwardGradient(mode="finite-difference", epsilon=0.1, regenerate=True),
        lambda: WeightPerturbation(method="finite-difference", epsilon=0.1, regenerate=True),
    ),
    (
        lambda: ForwardGradient(3, perturb="activities", layerwise=True, active=False, seed=2),
        lambda: ActivityPerturbation(3, layerwise=True, active=False, seed=2),
    ),
    (
        lambda: ForwardGradient(guide=Backprop(), clip=0.5),
        lambda: GuidedForwardGradient(Backprop(), clip=0.5),
    ),
    (lambda: ForwardGradient(guide=Backprop(), seed=9), lambda: GuidedForwardGradient(Backprop())),
]


@pytest.mark.parametrize(("short", "whole"), SHORT)
def test_forward_gradient_makes_the_rule_that_its_arguments_ask_for(short, whole):
    rule, expected = short(), whole()
    assert type(rule) is type(expected)
    assert repr(rule) == repr(expected)
    for item in (rule, expected, pickle.loads(pickle.dumps(rule))):
        assert isinstance(item, ForwardGradient)
        assert issubclass(type(item), ForwardGradient)


def test_other_rules_are_no_forward_gradients():
    for rule in (Backprop(), WellTempered(WeightPerturbation())):
        assert not isinstance(rule, ForwardGradient)
    assert not isinstance(WeightPerturbation(), SyntheticGradients)


def test_a_class_derived_from_the_shorthand_moves_weights():
    class Own(ForwardGradient):
        def estimate(self, model, loss, x, target):
            value = super().estimate(model, loss, x, target)
            for _, leaf in model.leaves():
                leaf.grads = {name: 2 * grad for name, grad in leaf.grads.items()}
            return value

    model, x, y = network(), np.ones((3, 4)), np.array([0, 1, 2])
    WeightPerturbation(3, seed=4).estimate(model, mg.CrossEntropyLoss(), x, y)
    expected = {key: 2 * grad for key, grad in model.grads.items()}
    rule = Own(3, seed=4)
    rule.estimate(model, mg.CrossEntropyLoss(), x, y)
    assert all(np.array_equal(grad, expected[key]) for key, grad in model.grads.items())
    assert isinstance(rule, Own)
    assert isinstance(rule, ForwardGradient)
    assert not isinstance(WeightPerturbation(), Own)


def test_synthetic_gradients_makes_the_baselines():
    model = network()
    stale = SyntheticGradients(model, mode="stale", every=7)
    assert type(stale) is StaleGradients
    assert repr(stale) == repr(StaleGradients(model, 7))
    top = SyntheticGradients(model, True, (), 1.0, "no-backprop", [2])
    assert type(top) is TopLayerOnly
    assert repr(top) == "TopLayerOnly(model=..., interfaces=[2])"
    assert isinstance(stale, SyntheticGradients)
    assert isinstance(top, SyntheticGradients)
    with pytest.raises(ValueError, match="every must be an integer"):
        SyntheticGradients(model, mode="stale", every=0)
    with pytest.raises(TypeError, match="unexpected keyword"):
        SyntheticGradients(model, mode="stale", often=3)

    class Own(SyntheticGradients):
        pass

    assert isinstance(Own(model), SyntheticGradients)
    assert not isinstance(SyntheticGradients(model), Own)
    with pytest.raises(TypeError, match="'stale' is a rule of its own, not one of Own: derive"):
        Own(model, mode="stale")


def test_stale_gradients_take_a_model_that_cannot_be_cut():
    model = mg.Linear(4, 3, dtype="float64", seed=0)
    rule, loss = StaleGradients(model, every=2), mg.CrossEntropyLoss()
    rng, found = np.random.default_rng(0), []
    for _ in range(4):
        x, y = rng.standard_normal((5, 4)), rng.integers(0, 3, 5)
        Backprop().estimate(model, loss, x, y)
        true = model.grads["W"].copy()
        rule.estimate(model, loss, x, y)
        found.append((model.grads["W"].copy(), true))
    assert np.array_equal(found[0][0], found[0][1])
    assert np.array_equal(found[1][0], found[0][1])
    assert np.array_equal(found[2][0], found[2][1])
    assert np.array_equal(found[3][0], found[2][1])
    assert rule.interfaces == []
    assert rule.updates == [4]
    assert rule.last_update == [3]


# ------------------------------------------------------------------ old names


def test_old_names_of_arguments_and_attributes_warn():
    with pytest.warns(DeprecationWarning, match=r"ForwardGradient\(step=...\) is called .*epsilon"):
        rule = ForwardGradient(mode="finite-difference", step=0.1)
    assert rule.epsilon == 0.1
    with pytest.warns(DeprecationWarning, match="WeightPerturbation.step is called epsilon now"):
        assert rule.step == 0.1
    with pytest.warns(DeprecationWarning, match="WellTempered.* is called .*micro_batch_size=..."):
        rule = WellTempered(mini_batch=5)
    assert rule.micro_batch_size == 5
    with pytest.warns(DeprecationWarning, match="mini_batch is called micro_batch_size now"):
        assert rule.mini_batch == 5
    rule = SyntheticGradients(network())
    with pytest.warns(DeprecationWarning, match="SyntheticGradients.net is called decoupled now"):
        assert rule.net is rule.decoupled


def test_both_names_at_once_are_refused():
    with pytest.raises(TypeError, match="step is the old name of epsilon; give epsilon alone"):
        ForwardGradient(mode="finite-difference", step=0.1, epsilon=0.1)
    with pytest.raises(TypeError, match="mini_batch is the old name of micro_batch_size"):
        WellTempered(mini_batch=5, micro_batch_size=5)


def test_the_contracts_name_of_method_does_not_warn():
    rule = ForwardGradient(directions=1, distribution="normal", mode="jvp", clip=None)
    assert rule.mode == rule.method == "jvp"


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        ("minigrad.rules", "Directions", "DirectionSampler"),
        ("minigrad.rules.forward", "Directions", "DirectionSampler"),
        ("minigrad.rules.forward.directions", "Directions", "DirectionSampler"),
        ("minigrad.rules.forward.finite_differences", "step_size", "default_epsilon"),
    ],
)
def test_old_names_of_classes_and_functions_warn(module, old, new):
    module = importlib.import_module(module)
    with pytest.warns(DeprecationWarning, match=f"{old} is called {new} now") as caught:
        assert getattr(module, old).__name__ == new
    assert caught[0].filename == __file__
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = module.nothing
    assert old not in getattr(module, "__all__", [])


def test_all_names_can_be_imported_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in mg.rules.__all__:
            assert hasattr(mg.rules, name)
        assert mg.rules.DirectionSampler is DirectionSampler
    names = sorted(mg.rules.__all__, key=lambda name: (not name.isupper(), name))
    assert names == mg.rules.__all__


# ------------------------------------------------------------------ states of the first edition


def test_states_of_the_first_edition_load():
    """Names, and the words of the settings, as they were before the rules were three."""
    model = network()
    rule = ForwardGradient(seed=6)
    rule.load_state_dict(model, {"seed": 6, "steps": 3})
    assert rule.steps == 3
    rule = ForwardGradient(guide=ForwardGradient(2))
    rule.load_state_dict(model, {"seed": 6, "steps": 3, "guide/seed": 0, "guide/steps": 4})
    assert (rule.steps, rule.guide.steps) == (3, 4)
    rule = WellTempered(micro_batch_size=4)
    settings = "mini_batch=4, per='parameter', unbiased=False"
    rule.load_state_dict(model, {"settings": settings, "steps": 0, "examples": 0})
    random = StaleGradients(model).state_dict()["rng"]
    counts = {"steps": 0, "updates": [0, 0, 0], "last_update": [0, 0, 0], "rng": random}
    settings = "mode='stale', interfaces=[2, 4], warm_up=0, every=3"
    StaleGradients(model, 3).load_state_dict(model, counts | {"settings": settings})
    settings = "mode='no-backprop', interfaces=[2, 4], warm_up=0"
    TopLayerOnly(model).load_state_dict(model, counts | {"settings": settings})
    made = SyntheticGradients(model, update_probability=0.5, hidden=(5,))
    assert made.state_dict()["settings"] == (
        "mode='sequential', interfaces=[2, 4], warm_up=0, update_probability=0.5, "
        "conditioned=True, hidden=(5,), scaled=True"
    )
    made = SyntheticGradients(model, mode="bp-lambda", mixture=0.25)
    assert made.state_dict()["settings"] == (
        "mode='bp-lambda', interfaces=[2, 4], warm_up=0, mixture=0.25, conditioned=True, "
        "hidden=(), scaled=True"
    )
