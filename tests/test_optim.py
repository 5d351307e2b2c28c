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
STEPS = {"lr": 0.1, "momentum": 0.8, "velocity": "steps"}
OWN = [  # what PyTorch does not have
    (mg.SGD, "SGD", STEPS),
    (mg.SGD, "SGD", STEPS | {"nesterov": True, "weight_decay": 0.03}),
    (mg.Adam, "Adam", {"lr": 0.01, "eps": 0.1, "eps_inside": True}),
]
every = pytest.mark.parametrize(
    ("make", "name", "settings"),
    SETTINGS + OWN,
    ids=ids + [f"{name}-{'-'.join(map(str, settings))}" for _, name, settings in OWN],
)


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


@every
def test_gradients_are_not_touched_and_steps_are_in_place(make, name, settings, rng):
    model = net()
    optimizer, params = make(model, **settings), dict(model.params)
    for _ in range(3):
        fill(model, rng)
        before = {key: to_host(g).copy() for key, g in model.grads.items()}
        optimizer.step()
        assert all(np.array_equal(to_host(g), before[key]) for key, g in model.grads.items())
    assert all(model.params[key] is array for key, array in params.items())


@every
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


@every
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


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("decay", [0.0, 0.03])
def test_at_one_learning_rate_adding_up_steps_is_adding_up_gradients(nesterov, decay, rng):
    models = net(), net()
    options = {"momentum": 0.9, "nesterov": nesterov, "weight_decay": decay}
    a = mg.SGD(models[0], 0.05, **options)
    b = mg.SGD(models[1], 0.05, **options, velocity="steps")
    for _ in range(10):
        fill(models[0], rng)
        for ours, theirs in zip(models[1].layers, models[0].layers, strict=True):
            ours.grads = dict(theirs.grads)
        a.step()
        b.step()
        for key, array in models[0].state_dict().items():
            np.testing.assert_allclose(models[1].state_dict()[key], array, rtol=1e-12)
    for key in models[0].params:
        steps, gradients = to_host(b.state[key]["step"]), to_host(a.state[key]["velocity"])
        np.testing.assert_allclose(steps, -0.05 * gradients, rtol=1e-10)


def test_a_velocity_of_gradients_is_no_velocity_of_steps(rng):
    """They differ by the factor -lr: one must not be loaded as the other."""
    a, b = mg.SGD(net(), 0.1, 0.9), mg.SGD(net(), 0.1, 0.9, velocity="steps")
    for optimizer, other in ((a, b), (b, a)):
        fill(optimizer.model, rng)
        optimizer.step()
        with pytest.raises(KeyError, match="SGD keeps"):
            other.load_state_dict(optimizer.state_dict())


@pytest.mark.parametrize("nesterov", [False, True])
def test_steps_taken_at_a_larger_learning_rate_stay_in_the_velocity(nesterov, rng):
    """v ← μ v - lr dθ, θ ← θ + v, the gradient taken at θ, or one step ahead, at θ + μ v."""
    model, mu = net(), 0.8
    sgd = mg.SGD(model, 0.1, momentum=mu, nesterov=nesterov, velocity="steps")
    theta, v = model.state_dict(), dict.fromkeys(model.params, 0.0)
    for lr in (0.1, 0.1, 0.01, 0.0, 0.05):
        sgd.lr = lr
        fill(model, rng)
        for key, grad in model.grads.items():
            v[key] = mu * v[key] - lr * to_host(grad)
            theta[key] = theta[key] + v[key]
        sgd.step()
        for key, array in model.params.items():
            at = theta[key] + mu * v[key] if nesterov else theta[key]
            np.testing.assert_allclose(to_host(array), at, rtol=1e-12, atol=1e-14)
            np.testing.assert_allclose(to_host(sgd.state[key]["step"]), v[key], rtol=1e-12)


def test_without_momentum_there_is_no_velocity(rng):
    models = net(), net()
    plain, steps = mg.SGD(models[0], 0.1), mg.SGD(models[1], 0.1, velocity="steps")
    fill(models[0], rng)
    for ours, theirs in zip(models[1].layers, models[0].layers, strict=True):
        ours.grads = dict(theirs.grads)
    plain.step()
    steps.step()
    a, b = (model.state_dict() for model in models)
    assert all(np.array_equal(a[key], b[key]) for key in a)
    assert not steps.state["0.W"]


def test_adam_with_its_epsilon_inside_the_root(rng):
    """θ - lr m̂ / √(v̂ + ε), step by step, with an ε that shows."""
    model, lr, (b1, b2), eps = net(), 0.02, (0.8, 0.95), 0.3
    adam = mg.Adam(model, lr, betas=(b1, b2), eps=eps, eps_inside=True)
    outside = mg.Adam(net(), lr, betas=(b1, b2), eps=eps)
    theta = model.state_dict()
    m, v = (dict.fromkeys(model.params, 0.0) for _ in range(2))
    for t in range(1, 8):
        fill(model, rng)
        for ours, theirs in zip(outside.model.layers, model.layers, strict=True):
            ours.grads = dict(theirs.grads)
        for key, grad in model.grads.items():
            g = to_host(grad)
            m[key] = b1 * m[key] + (1 - b1) * g
            v[key] = b2 * v[key] + (1 - b2) * g * g
            m_hat, v_hat = m[key] / (1 - b1**t), v[key] / (1 - b2**t)
            theta[key] = theta[key] - lr * m_hat / np.sqrt(v_hat + eps)
        adam.step()
        outside.step()
        for key, array in model.params.items():
            np.testing.assert_allclose(to_host(array), theta[key], rtol=1e-11)
    assert not np.allclose(to_host(outside.model.params["0.W"]), theta["0.W"], rtol=1e-4)
    small = mg.Adam(net(), lr, eps_inside=True)  # 0 / √ε, not 0 / 0
    for layer in small.model.layers:
        layer.grads = {name: 0 * p for name, p in layer.params.items()}
    small.step()
    assert all(np.isfinite(a).all() for a in small.model.state_dict().values())


def test_optimizers_say_their_settings():
    assert repr(mg.SGD(net(), 0.1, momentum=0.9)) == (
        "SGD(lr=0.1, momentum=0.9, nesterov=False, weight_decay=0, velocity='gradients')"
    )
    assert repr(mg.SGD(net(), 0.1, velocity="steps")).endswith("weight_decay=0, velocity='steps')")
    assert repr(mg.Adam(net(), 0.001)) == (
        "Adam(lr=0.001, betas=(0.9, 0.999), eps=1e-08, eps_inside=False)"
    )
    assert repr(mg.Adam(net(), 0.001, eps_inside=True)).endswith("eps=1e-08, eps_inside=True)")


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
        lambda m: mg.SGD(m, 0.1, velocity="sum"),
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
