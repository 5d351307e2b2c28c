"""Every optimiser and schedule of the tables, and one of each written from the docs alone."""

import copy
import inspect
import pickle
import re
import textwrap

import numpy as np
import pytest
from cases import OPTIMIZERS, SCHEDULES, OptimizerCase, ScheduleCase, halved

import minigrad as mg
from minigrad.backend import array_module, to_device, to_host


class RMSProp(mg.optim.Optimizer):
    """θ ← θ - lr dθ / (√v + ε), v ← ρ v + (1 - ρ) dθ²: as a student would write it."""

    state_names = ("v",)

    def __init__(self, model, lr, rho=0.9, eps=1e-6):
        super().__init__(model, lr)
        self.rho = rho
        self.small = eps  # under another name

    def _update(self, param, grad, state):
        xp = array_module(param)
        v = state.setdefault("v", 0 * param)
        v *= self.rho
        v += (1 - self.rho) * grad * grad
        param -= self.lr * grad / (xp.sqrt(v) + self.small)


class Decayed(RMSProp):
    """With a number in its state, options that it passes on, and a list of settings."""

    state_names = ("v", "scale", "count")

    def __init__(self, model, lr, *factors, **options):
        super().__init__(model, lr, **options)
        self.factors = factors

    def _update(self, param, grad, state):
        state["count"] = state.get("count", 0) + 1
        state["scale"] = state.get("scale", 1.0) * self.factors[0]
        super()._update(param, state["scale"] * grad, state)


class WarmUp(mg.optim.Schedule):
    """lr rises over the first epochs: written as the docstring of Schedule says."""

    def __init__(self, optimizer, length, per="epoch"):
        super().__init__(optimizer, per)
        self.length = length

    def factor(self, t):
        return min(1.0, (t + 1) / self.length)


class Constant(mg.optim.Schedule):
    def factor(self, t):
        return 1.0


class Factored(OptimizerCase):
    def optimizer(self, model, lr=0.05):
        return Decayed(model, lr, 0.99, **self.options)


OWN = [
    OptimizerCase("RMSProp of one's own", RMSProp, {}),
    OptimizerCase("RMSProp with settings", RMSProp, {"rho": 0.8, "eps": 0.1}),
    Factored("Decayed RMSProp", Decayed, {"rho": 0.7}),
]
OWN_SCHEDULES = [
    ScheduleCase("WarmUp", WarmUp, {"length": 3}),
    ScheduleCase("WarmUp steps", WarmUp, {"length": 4, "per": "step"}),
    ScheduleCase("Constant", Constant, {}),
]
every = pytest.mark.parametrize(
    "case", [*OPTIMIZERS, *OWN], ids=lambda case: case.name.replace(" ", "-")
)
every_schedule = pytest.mark.parametrize(
    "case", [*SCHEDULES, *OWN_SCHEDULES], ids=lambda case: case.name.replace(" ", "-")
)
NAMES = {**vars(mg), "RMSProp": RMSProp, "Decayed": Decayed, "WarmUp": WarmUp, "Constant": Constant}
NAMES["halved"] = halved


def net(dtype="float32"):
    return mg.Sequential(
        mg.Linear(4, 5, dtype=dtype, seed=0), mg.Tanh(), mg.Linear(5, 3, dtype=dtype, seed=1)
    )


def dataset(dtype="float32", n=12):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((n, 4)).astype(dtype), rng.integers(0, 3, n)
    return mg.data.Dataset(to_device(x), to_device(y), classes=3)


def fit(model, optimizer, epochs, schedule=None, history=None):
    loss, rule = mg.CrossEntropyLoss(), mg.rules.Backprop()
    options = {"epochs": epochs, "batch_size": 5, "schedule": schedule, "history": history}
    return mg.fit(model, loss, rule, optimizer, dataset(model.dtype), **options)


def fill(model, rng, skip=()):
    for prefix, layer in model.leaves():
        names = [] if prefix in skip else layer.params
        layer.grads = {
            name: to_device(rng.standard_normal(layer.params[name].shape).astype(layer.dtype))
            for name in names
        }


def assert_equal(a, b):
    a, b = a.state_dict(), b.state_dict()
    assert a.keys() == b.keys()
    for key, value in a.items():
        np.testing.assert_array_equal(value, b[key], err_msg=key)


# ------------------------------------------------------------------ the tables are complete


@pytest.mark.on_host
def test_every_public_optimizer_and_schedule_has_a_case():
    for base, cases in ((mg.optim.Optimizer, OPTIMIZERS), (mg.optim.Schedule, SCHEDULES)):
        public = {
            item
            for space in (vars(mg), vars(mg.optim))
            for item in space.values()
            if inspect.isclass(item) and issubclass(item, base) and item is not base
        }
        assert public == {case.make for case in cases}


@pytest.mark.on_host
def test_every_argument_is_given_in_some_case():
    for cases in (OPTIMIZERS, SCHEDULES):
        for make in {case.make for case in cases}:
            names = list(inspect.signature(make).parameters)[1:]
            given = {name for case in cases if case.make is make for name in case.options}
            assert set(names) - {"lr"} == given, make


# ------------------------------------------------------------------ optimisers


@every
def test_repr_says_every_argument_and_can_be_typed(case, rng):
    model, twin = net(), net()
    optimizer = case.optimizer(model, lr=0.0123456789)
    text = repr(optimizer)
    for name, parameter in inspect.signature(case.make).parameters.items():
        if name != "model" and parameter.kind is parameter.POSITIONAL_OR_KEYWORD:
            assert f"{name}=" in text
    for name in case.options:
        assert f"{name}=" in text
    again = eval(text.replace("(", "(twin, ", 1).replace("twin, lr=", "twin, "), NAMES | locals())
    assert repr(again) == text
    for _ in range(3):
        seed = int(rng.integers(1000))
        for one, stepped in ((model, optimizer), (twin, again)):
            fill(one, np.random.default_rng(seed))
            stepped.step()
    assert_equal(model, twin)


@every
def test_repr_follows_the_learning_rate(case):
    optimizer = case.optimizer(net())
    optimizer.lr = 0.25
    assert "lr=0.25" in repr(optimizer)
    for twin in (
        copy.copy(optimizer),
        pickle.loads(pickle.dumps(optimizer)),
        copy.deepcopy(optimizer),
        optimizer.twin(net()),
    ):
        assert repr(twin) == repr(optimizer)


@every
def test_state_is_taken_over(case, rng, tmp_path):
    models = net(), net()
    optimizers = [case.optimizer(model) for model in models]
    for _ in range(4):
        fill(models[0], rng)
        optimizers[0].step()
    models[1].load_state_dict(models[0].state_dict())
    np.savez(tmp_path / "state.npz", **optimizers[0].state_dict())
    with np.load(tmp_path / "state.npz", allow_pickle=False) as file:
        optimizers[1].load_state_dict(dict(file))
    assert_equal(*optimizers)
    for seed in (1, 2):
        for model, optimizer in zip(models, optimizers, strict=True):
            fill(model, np.random.default_rng(seed))
            optimizer.step()
    assert_equal(*models)
    assert_equal(*optimizers)


@every
def test_a_continued_run_is_the_whole_run(case):
    """Bit for bit."""
    whole, part = net(), net()
    fit(whole, case.optimizer(whole), 5)
    first = case.optimizer(part)
    history = fit(part, first, 2)
    model = net()
    model.load_state_dict(part.state_dict())
    optimizer = case.optimizer(model, lr=0.9)
    optimizer.load_state_dict(first.state_dict())
    fit(model, optimizer, 3, history=history)
    assert_equal(whole, model)


@every
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_dtype_and_place_are_kept(case, dtype, rng, xp):
    model = net(dtype)
    optimizer, params = case.optimizer(model), dict(model.params)
    for _ in range(3):
        fill(model, rng)
        optimizer.step()
    for key, param in model.params.items():
        assert param is params[key]
        assert (param.dtype, array_module(param)) == (dtype, xp)
    for state in optimizer.state.values():
        for value in state.values():
            if hasattr(value, "dtype"):
                assert (value.dtype, array_module(value)) == (dtype, xp)


@every
def test_single_and_double_precision_agree(case):
    ends = []
    for dtype in ("float32", "float64"):
        model, rng = net(dtype), np.random.default_rng(3)
        optimizer = case.optimizer(model)
        for _ in range(5):
            fill(model, rng)
            optimizer.step()
        ends.append(model.state_dict())
    for key, array in ends[0].items():
        np.testing.assert_allclose(array, ends[1][key], rtol=1e-2, atol=1e-4)


@every
def test_at_lr_0_nothing_moves(case, rng):
    model, start = net(), net()
    optimizer = case.optimizer(model, lr=0)
    for _ in range(3):
        fill(model, rng)
        optimizer.step()
    assert_equal(model, start)


@every
def test_a_layer_without_gradients_is_left_out(case, rng):
    model, start = net(), net()
    optimizer = case.optimizer(model)
    fill(model, rng, skip=("0.",))
    optimizer.step()
    for key, array in model.state_dict().items():
        same = np.array_equal(array, start.state_dict()[key])
        assert same == key.startswith("0.")
    assert not any(key.startswith("0.") for key in optimizer.state)


@every
def test_gradients_stay_as_they_are(case, rng):
    model = net()
    optimizer = case.optimizer(model)
    for _ in range(2):
        fill(model, rng)
        before = {key: to_host(grad).copy() for key, grad in model.grads.items()}
        optimizer.step()
        for key, grad in model.grads.items():
            np.testing.assert_array_equal(to_host(grad), before[key])


@every
@pytest.mark.parametrize("fault", ["missing", "transposed", "extra", "number"])
def test_gradients_that_half_fit_change_nothing(case, fault, rng):
    model, start = net(), net()
    optimizer = case.optimizer(model)
    fill(model, rng)
    grads = model[2].grads
    if fault == "missing":
        del grads["b"]
    elif fault == "transposed":
        grads["W"] = grads["W"].T
    elif fault == "extra":
        grads["gain"] = grads["b"]
    else:
        grads["b"] = 0.5
    with pytest.raises((KeyError, ValueError, TypeError), match=r"2\."):
        optimizer.step()
    assert_equal(model, start)
    assert not any(optimizer.state.values())


@every
def test_it_learns(case):
    model = net()
    history = fit(model, case.optimizer(model), 40)
    assert history.train_loss[-1] < 0.8 * history.train_loss[0]


@pytest.mark.on_host
def test_an_optimiser_without_update_says_so(rng):
    model = net()
    optimizer = mg.optim.Optimizer(model, 0.1)
    fill(model, rng)
    with pytest.raises(NotImplementedError, match=r"no _update\(param, grad, state\) yet"):
        optimizer.step()


@pytest.mark.on_host
def test_the_optimiser_of_the_docstring_works(rng):
    """The example in `help(Optimizer)` is SGD with momentum 0.9."""
    text = inspect.getdoc(mg.optim.Optimizer)
    code = textwrap.dedent(text[text.index("    class Momentum") : text.index("A shared array")])
    space = {"Optimizer": mg.optim.Optimizer}
    exec(code, space)
    models = net(), net()
    pair = space["Momentum"](models[0], 0.1), mg.SGD(models[1], 0.1, momentum=0.9)
    for seed in range(4):
        for model, optimizer in zip(models, pair, strict=True):
            fill(model, np.random.default_rng(seed))
            optimizer.step()
    for key, array in models[0].state_dict().items():
        np.testing.assert_allclose(array, models[1].state_dict()[key], rtol=1e-6)


# ------------------------------------------------------------------ schedules


@pytest.mark.on_host
@every_schedule
def test_a_schedules_repr_says_every_argument_and_can_be_typed(case):
    optimizer = mg.SGD(net(), 0.1)
    schedule = case.schedule(optimizer)
    text = repr(schedule)
    for name in list(inspect.signature(case.make).parameters)[1:]:
        assert f"{name}=" in text
    other = mg.SGD(net(), 0.1)
    # A repr leaves out the optimiser, of the schedules inside too.
    again = eval(re.sub(r"\b([A-Z]\w+)\(", r"\1(other, ", text), NAMES | {"other": other})
    assert repr(again) == text
    for _ in range(7):
        assert optimizer.lr == other.lr
        case.step(schedule)
        case.step(again)
    history = fit(optimizer.model, mg.SGD(optimizer.model, 0.1), 1)
    assert history.settings["schedule"] is None
    schedule = case.schedule(optimizer)
    assert fit(optimizer.model, optimizer, 1, schedule).settings["schedule"] == repr(schedule)


@pytest.mark.on_host
@every_schedule
def test_a_schedule_is_its_factor_at_each_time(case):
    optimizer = mg.SGD(net(), 0.3)
    schedule = case.schedule(optimizer)
    for t in range(8):
        assert schedule.t == t
        assert optimizer.lr == 0.3 * schedule.factor(t)
        case.step(schedule)


@every_schedule
def test_a_run_continued_with_its_schedule_is_the_whole_run(case):
    whole, part = net(), net()
    optimizer = mg.Adam(whole, 0.05)
    fit(whole, optimizer, 5, case.schedule(optimizer))
    first = mg.Adam(part, 0.05)
    schedule = case.schedule(first)
    history = fit(part, first, 2, schedule)
    model = net()
    model.load_state_dict(part.state_dict())
    second = mg.Adam(model, 0.05)
    goes_on = case.schedule(second)
    second.load_state_dict(first.state_dict())
    goes_on.load_state_dict(schedule.state_dict())
    assert (second.lr, goes_on.t) == (first.lr, schedule.t)
    fit(model, second, 3, goes_on, history)
    assert_equal(whole, model)


@pytest.mark.on_host
@every_schedule
def test_a_schedules_state_that_does_not_fit_is_refused(case):
    schedule = case.schedule(mg.SGD(net(), 0.1))
    for state, error in (
        ({}, KeyError),
        ({"t": 1}, KeyError),
        (schedule.state_dict() | {"t": -1}, ValueError),
    ):
        with pytest.raises(error, match=r"."):
            schedule.load_state_dict(state)


@pytest.mark.on_host
def test_a_schedule_without_a_factor_says_so_at_once():
    with pytest.raises(NotImplementedError, match=r"no factor\(t\) yet"):
        type("Bare", (mg.optim.Schedule,), {})(mg.SGD(net(), 0.1))
