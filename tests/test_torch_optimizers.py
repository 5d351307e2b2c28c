"""Optimisers and schedules against PyTorch's own samples, 50 steps, in float64."""

import sys
import types
import unittest
from functools import partial

import numpy as np
import pytest
from cases import OPTIMIZERS

import minigrad as mg
from minigrad.backend import to_device, to_host

torch = pytest.importorskip("torch")
STEPS = 50
NAMES = ("SGD", "Adam", "AdamW", "RMSprop", "Adagrad")
# What ours cannot express, by the option that says it
REASONS = {
    "maximize": "fit makes a loss small: to make it large, change its sign",
    "amsgrad": "no lesson, story or question here uses it",
    "dampening": "no lesson, story or question here uses it",
}


def database():
    """PyTorch's optim_db. It imports `expecttest`, of which it then needs nothing."""
    if "expecttest" not in sys.modules:
        stub = types.ModuleType("expecttest")
        stub.TestCase = unittest.TestCase
        sys.modules["expecttest"] = stub
    with pytest.MonkeyPatch.context() as patch:
        # It reads the command line, and sets up loggers and seeds from it.
        patch.setattr(sys, "argv", ["pytest"])
        from torch.testing._internal.common_optimizers import optim_db
    return {info.optim_cls.__name__: info for info in optim_db}


def net(seed=0):
    return mg.Sequential(
        mg.Linear(4, 3, dtype="float64", seed=seed),
        mg.Tanh(),
        mg.Linear(3, 2, dtype="float64", seed=1),
    )


def fill(model, rng, skip=()):
    """Random gradients; layers named in `skip` are left out, as a rule may do."""
    for prefix, layer in model.leaves():
        names = [] if prefix in skip else layer.params
        layer.grads = {n: to_device(rng.standard_normal(layer.params[n].shape)) for n in names}


def make(name, options, model):
    return getattr(mg, name)(model, **options)


def twin_of(model, name, settings):
    """({name: PyTorch's parameter}, PyTorch's optimiser) for the same weights."""
    params = {
        key: torch.from_numpy(array).requires_grad_() for key, array in model.state_dict().items()
    }
    return params, getattr(torch.optim, name)(params.values(), **settings)


def step_both(model, ours, params, theirs):
    for key, param in params.items():
        grad = model.grads.get(key)
        param.grad = None if grad is None else torch.from_numpy(to_host(grad).copy())
    ours.step()
    theirs.step()


def assert_equal(model, params):
    for key, array in model.state_dict().items():
        expected = params[key].detach().numpy()
        np.testing.assert_allclose(array, expected, rtol=1e-10, atol=1e-10, err_msg=key)


def assert_same_steps(optimizer, name, settings, rng):
    """50 steps with random gradients. In some of them one layer has none."""
    model = net()
    ours = optimizer(model)
    params, theirs = twin_of(model, name, settings)
    for step in range(STEPS):
        fill(model, rng, skip={"2."} if step in (3, 4, 11) else ())
        step_both(model, ours, params, theirs)
        assert_equal(model, params)


@pytest.mark.parametrize("case", OPTIMIZERS, ids=lambda case: case.name)
def test_the_table_is_pytorchs(case, rng):
    if not {"eps_inside", "velocity"}.isdisjoint(case.options):
        pytest.skip("PyTorch has no such option")
    name = case.make.__name__
    assert_same_steps(case.optimizer, name, {"lr": 0.05} | case.options, rng)


@pytest.mark.parametrize("name", NAMES)
def test_pytorchs_samples(name, rng):
    info = database()[name]
    default = {"Adagrad": 1e-2, "RMSprop": 1e-2}.get(name, 1e-3)
    counted = 0
    for sample in info.optim_inputs_func(device="cpu"):
        options = dict(sample.kwargs)
        if not REASONS.keys().isdisjoint(options):
            continue
        # A tensor without axes is a number here.
        options = {"lr": default} | {
            k: v.item() if isinstance(v, torch.Tensor) else v for k, v in options.items()
        }
        assert_same_steps(partial(make, name, options), name, options, rng)
        counted += 1
    assert counted == {"SGD": 7, "Adam": 3, "AdamW": 3, "RMSprop": 5, "Adagrad": 6}[name]


@pytest.mark.on_host
def test_the_reasons_are_needed():
    used = {
        key
        for name in NAMES
        for sample in database()[name].optim_inputs_func(device="cpu")
        for key in sample.kwargs
    }
    for option in REASONS:
        assert option in used
        for name in NAMES:
            with pytest.raises(TypeError, match=option):
                getattr(mg, name)(net(), 0.1, **{option: True})


def test_centered_rmsprop_is_finite_where_rounding_makes_the_variance_negative():
    """Equal gradients have variance 0; in float32 v - m² is then below 0 now and then."""
    layer = mg.Layer()
    layer.params["a"] = to_device(np.linspace(-1, 1, 1000, dtype="float32"))
    optimizer = mg.RMSprop(layer, 0.01, centered=True)
    grad = to_device(np.linspace(0.1, 7, 1000, dtype="float32"))
    for _ in range(2000):
        layer.grads["a"] = grad
        optimizer.step()
    assert np.isfinite(to_host(layer.params["a"])).all()
