"""Optimisers and schedules against PyTorch's, step for step."""

import numpy as np
import pytest

import minigrad as mg
from minigrad.backend import to_device, to_host

SETTINGS = [
    (mg.SGD, "SGD", {"lr": 0.1}),
    (mg.SGD, "SGD", {"lr": 0.1, "weight_decay": 0.03}),
    (mg.SGD, "SGD", {"lr": 0.1, "momentum": 0.9}),
    (mg.SGD, "SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    (mg.SGD, "SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.03}),
    (mg.Adam, "Adam", {"lr": 0.01}),
    (mg.Adam, "Adam", {"lr": 0.01, "betas": (0.8, 0.95), "eps": 1e-4}),
]
ids = [f"{name}-{'-'.join(map(str, settings))}" for _, name, settings in SETTINGS]


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


class Twin:
    """PyTorch's parameters and optimiser for the same model."""

    def __init__(self, model, name, settings):
        torch = pytest.importorskip("torch")
        self.torch = torch
        self.params = {
            key: torch.from_numpy(array).requires_grad_()
            for key, array in model.state_dict().items()
        }
        self.optimizer = getattr(torch.optim, name)(self.params.values(), **settings)

    def step(self, model):
        for key, param in self.params.items():
            grad = model.grads.get(key)
            param.grad = None if grad is None else self.torch.from_numpy(to_host(grad).copy())
        self.optimizer.step()

    def assert_equals(self, model):
        for key, array in model.state_dict().items():
            np.testing.assert_allclose(array, self.params[key].detach().numpy(), rtol=1e-12)


@pytest.mark.parametrize(("make", "name", "settings"), SETTINGS, ids=ids)
def test_equal_to_pytorch_step_for_step(make, name, settings, rng):
    model = net()
    ours, twin = make(model, **settings), Twin(model, name, settings)
    for step in range(20):
        fill(model, rng, skip={"2."} if step in (3, 4, 11) else ())
        ours.step()
        twin.step(model)
        twin.assert_equals(model)


@pytest.mark.parametrize(("make", "name", "settings"), SETTINGS, ids=ids)
def test_gradients_are_not_touched_and_steps_are_in_place(make, name, settings, rng):
    model = net()
    optimizer, params = make(model, **settings), dict(model.params)
    for _ in range(3):
        fill(model, rng)
        before = {key: to_host(g).copy() for key, g in model.grads.items()}
        optimizer.step()
        assert all(np.array_equal(to_host(g), before[key]) for key, g in model.grads.items())
    assert all(model.params[key] is array for key, array in params.items())


@pytest.mark.parametrize(("make", "name", "settings"), SETTINGS, ids=ids)
def test_state_saved_and_loaded_goes_on_the_same(make, name, settings, tmp_path):
    models = net(), net()
    optimizers = [make(model, **settings) for model in models]
    rng = np.random.default_rng(0)
    for _ in range(4):
        fill(models[0], rng)
        optimizers[0].step()
    models[1].load_state_dict(models[0].state_dict())
    optimizers[1] = make(models[1], **{**settings, "lr": 0.5})
    np.savez(tmp_path / "state.npz", **optimizers[0].state_dict())
    with np.load(tmp_path / "state.npz", allow_pickle=False) as file:
        optimizers[1].load_state_dict(dict(file))
    for seed in (1, 2):
        for model, optimizer in zip(models, optimizers, strict=True):
            fill(model, np.random.default_rng(seed))
            optimizer.step()
    a, b = (model.state_dict() for model in models)
    assert all(np.array_equal(a[key], b[key]) for key in a)


@pytest.mark.parametrize(("make", "name", "settings"), SETTINGS, ids=ids)
def test_a_single_number_is_stepped_like_an_array_of_one(make, name, settings):
    ends = []
    for shape in ((), (1,)):
        layer = mg.Layer()
        layer.params["a"] = to_device(np.full(shape, 3.0))
        optimizer = make(layer, **settings)
        for _ in range(6):
            grad = 2 * layer.params["a"]
            layer.grads["a"] = grad.sum() if shape == () else grad  # in NumPy a scalar, no array
            optimizer.step()
        ends.append(float(to_host(layer.params["a"]).sum()))
    assert ends[0] == pytest.approx(ends[1], rel=1e-12)
    assert ends[0] < 3


@pytest.mark.parametrize("value", [1.0, np.float64(1.0)])
def test_parameters_that_cannot_change_in_place_are_refused(value):
    layer = mg.Layer()
    layer.params["a"] = value
    with pytest.raises(TypeError, match="a is a float.*make it an array"):
        mg.SGD(layer, 0.1)


def test_no_step_is_half_done(rng):
    model = net()
    optimizer = mg.SGD(model, 0.1)
    fill(model, rng)
    before = model.state_dict()
    del model.layers[2].grads["b"]
    with pytest.raises(KeyError):
        optimizer.step()
    after = model.state_dict()
    assert all(np.array_equal(before[key], after[key]) for key in before)


def test_state_is_a_copy_both_ways(rng):
    model = net()
    optimizer = mg.SGD(model, 0.1, momentum=0.9)
    fill(model, rng)
    optimizer.step()
    state = optimizer.state_dict()
    kept = {key: np.copy(value) for key, value in state.items()}
    optimizer.step()
    assert all(np.array_equal(state[key], kept[key]) for key in kept)
    optimizer.load_state_dict(state)
    optimizer.step()
    assert all(np.array_equal(state[key], kept[key]) for key in kept)


def test_optimizers_say_their_settings():
    assert repr(mg.SGD(net(), 0.1, momentum=0.9)) == (
        "SGD(lr=0.1, momentum=0.9, nesterov=False, weight_decay=0)"
    )
    assert repr(mg.Adam(net(), 0.001)) == "Adam(lr=0.001, betas=(0.9, 0.999), eps=1e-08)"


def test_state_that_does_not_fit_is_refused():
    optimizer = mg.SGD(net(), 0.1, momentum=0.9)
    with pytest.raises(KeyError, match=r"7\.W\.velocity"):
        optimizer.load_state_dict({"lr": 0.1, "7.W.velocity": np.zeros((4, 3))})
    with pytest.raises(ValueError, match=r"float64 of shape \(4, 3\)"):
        optimizer.load_state_dict({"lr": 0.1, "0.W.velocity": np.zeros((3, 4))})
    with pytest.raises(ValueError, match="got float32"):
        optimizer.load_state_dict({"lr": 0.1, "0.W.velocity": np.zeros((4, 3), "float32")})
    with pytest.raises(KeyError, match=r"Adam keeps \['t', 'm', 'v'\]"):
        mg.Adam(net(), 0.1).load_state_dict({"lr": 0.1, "0.W.velocity": np.zeros((4, 3))})


SCHEDULES = [
    (lambda o: mg.StepLR(o, 3, 0.5), lambda s, o: s.StepLR(o, 3, 0.5)),
    (lambda o: mg.MultiStepLR(o, [2, 5, 5], 0.1), lambda s, o: s.MultiStepLR(o, [2, 5, 5], 0.1)),
    (lambda o: mg.ExponentialLR(o, 0.9), lambda s, o: s.ExponentialLR(o, 0.9)),
]


@pytest.mark.on_host
@pytest.mark.parametrize(("make", "make_twin"), SCHEDULES)
def test_schedules_are_pytorchs(make, make_twin, rng):
    torch = pytest.importorskip("torch")
    model = net()
    optimizer, twin = mg.SGD(model, 0.2), Twin(model, "SGD", {"lr": 0.2})
    schedule = make(optimizer)
    twin_schedule = make_twin(torch.optim.lr_scheduler, twin.optimizer)
    for _ in range(12):
        fill(model, rng)
        optimizer.step()
        twin.step(model)
        assert optimizer.lr == pytest.approx(twin.optimizer.param_groups[0]["lr"], rel=1e-12)
        schedule.step()
        twin_schedule.step()


@pytest.mark.on_host
@pytest.mark.parametrize(
    "make",
    [
        lambda m: mg.SGD(m, -0.1),
        lambda m: mg.SGD(m, float("nan")),
        lambda m: mg.SGD(m, 0.1, momentum=-1),
        lambda m: mg.SGD(m, 0.1, nesterov=True),
        lambda m: mg.Adam(m, 0.1, betas=(0.9, 1.0)),
        lambda m: mg.StepLR(mg.SGD(m, 0.1), 0),
        lambda m: mg.ExponentialLR(mg.SGD(m, 0.1), 0.9, per="batch"),
    ],
)
def test_bad_settings_are_refused(make):
    with pytest.raises(ValueError, match=r"."):
        make(net())


def test_gradients_that_do_not_fit_are_named(rng):
    model = net()
    optimizer = mg.SGD(model, 0.1)
    fill(model, rng)
    del model.layers[2].grads["b"]
    with pytest.raises(KeyError, match=r"2\.b: Linear\.backward wrote gradients for \['W'\]"):
        optimizer.step()
    fill(model, rng)
    model.layers[0].grads["W"] = model.layers[0].grads["W"].T
    with pytest.raises(
        ValueError, match=r"0\.W: .*shape \(3, 4\) for a parameter of shape \(4, 3\)"
    ):
        optimizer.step()
