"""Optimisers and schedules against PyTorch's own samples, 50 steps, in float64."""

import re
from functools import partial

import numpy as np
import pytest
from cases import OPTIMIZERS
from test_optim import fill, net
from torch_samples import databases

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

NO_SCHEDULE = {"ConstantLR": "LambdaLR(optimizer, lambda t: 1 / 3 if t < 5 else 1)"}


def database():
    """{name of an optimiser: PyTorch's samples for it}."""
    _, _, optim_db = databases()
    return {info.optim_cls.__name__: info for info in optim_db}


def make(name, options, model):
    return getattr(mg, name)(model, **options)


def twin_of(model, name, settings):
    """({name: PyTorch's parameter}, PyTorch's optimiser) for the same weights."""
    params = {
        key: torch.from_numpy(array).requires_grad_() for key, array in model.state_dict().items()
    }
    settings = dict(settings)
    groups = settings.pop("groups", {})
    own = []
    for key, param in params.items():
        own.append({"params": [param]})
        for patterns, options in groups.items():
            for pattern in [patterns] if isinstance(patterns, str) else patterns:
                if re.fullmatch(pattern.replace(".", r"\.").replace("*", ".*"), key):
                    factor = {"lr": settings["lr"] * options.get("lr_factor", 1)}
                    own[-1] |= factor | {k: v for k, v in options.items() if k != "lr_factor"}
    return params, getattr(torch.optim, name)(own, **settings)


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


# ------------------------------------------------------------------ schedules


def sequence(s, o):
    parts = [s.LinearLR(o, 0.1, 1.0, 7), s.CosineAnnealingLR(o, 20, 0.003), s.ExponentialLR(o, 0.9)]
    return s.SequentialLR(o, parts, [7, 30])


SCHEDULES = {
    "CosineAnnealingLR": lambda s, o: s.CosineAnnealingLR(o, 13),
    "CosineAnnealingLR eta_min": lambda s, o: s.CosineAnnealingLR(o, 20, 0.01),
    "CosineAnnealingLR upwards": lambda s, o: s.CosineAnnealingLR(o, 20, eta_min=0.5),
    "LinearLR": lambda s, o: s.LinearLR(o),
    "LinearLR down": lambda s, o: s.LinearLR(o, 1.0, 0.2, 30),
    "PolynomialLR": lambda s, o: s.PolynomialLR(o, 30),
    "PolynomialLR power": lambda s, o: s.PolynomialLR(o, total_iters=30, power=2.5),
    "LambdaLR": lambda s, o: s.LambdaLR(o, lambda t: 1 / (1 + t)),
    "StepLR": lambda s, o: s.StepLR(o, 7, 0.5),
    "MultiStepLR": lambda s, o: s.MultiStepLR(o, [3, 20, 20], 0.5),
    "ExponentialLR": lambda s, o: s.ExponentialLR(o, 0.9),
    "SequentialLR": sequence,
}


def pair(settings=None):
    """Our optimiser and PyTorch's, of one model, and a function that steps both and compares."""
    rng = np.random.default_rng(0)
    model = net()
    settings = {"lr": 0.2, "momentum": 0.9} | (settings or {})
    ours = mg.SGD(model, **settings)
    params, theirs = twin_of(model, "SGD", settings)

    def step():
        fill(model, rng)
        step_both(model, ours, params, theirs)
        assert_equal(model, params)
        assert ours.lr == pytest.approx(theirs.param_groups[0]["lr"], rel=1e-10, abs=1e-14)

    return ours, theirs, step


@pytest.mark.on_host
@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.filterwarnings("ignore:The epoch parameter in `scheduler.step:UserWarning")
def test_schedules_are_pytorchs(name):
    ours, theirs, step = pair()
    schedule = SCHEDULES[name](mg, ours)
    twin = SCHEDULES[name](torch.optim.lr_scheduler, theirs)
    for _ in range(STEPS):
        step()
        schedule.step()
        twin.step()


@pytest.mark.on_host
@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("threshold_mode", ["rel", "abs"])
@pytest.mark.parametrize("settings", [{}, {"cooldown": 3, "min_lr": 0.02}, {"eps": 0.05}])
def test_a_plateau_is_pytorchs(mode, threshold_mode, settings):
    options = {"mode": mode, "threshold_mode": threshold_mode, "patience": 2, "factor": 0.4}
    options |= {"threshold": 0.05} | settings
    for seed in range(5):
        rng = np.random.default_rng(seed)
        ours, theirs, step = pair()
        schedule = mg.ReduceLROnPlateau(ours, **options)
        twin = torch.optim.lr_scheduler.ReduceLROnPlateau(theirs, **options)
        falls = 0
        for t in range(STEPS):
            step()
            value = rng.standard_normal() + (20 - t if mode == "min" else t) / 3 * (t < 20)
            value = float("nan") if t in (0, 30) else value
            before = ours.lr
            schedule.step(value)
            twin.step(value)
            falls += ours.lr < before
        assert falls >= 1


def settings_of(scheduler):
    """The arguments of one of PyTorch's schedulers, from its attributes."""
    import inspect

    given = {}
    for name in list(inspect.signature(type(scheduler).__init__).parameters)[2:]:
        if name == "last_epoch":
            continue
        found = [f for f in (name, f"_{name}", f"{name}s") if hasattr(scheduler, f)]
        given[name] = getattr(scheduler, found[0])
    if "lr_lambda" in given:
        (given["lr_lambda"],) = given["lr_lambda"] or scheduler.lr_lambdas
    if "milestones" in given and not isinstance(given["milestones"], list):
        given["milestones"] = sorted(given["milestones"].elements())
    if "min_lr" in given:
        given["min_lr"] = scheduler.min_lrs[0]
    return given


@pytest.mark.on_host
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_pytorchs_samples_of_schedules():
    """Each different one by itself: PyTorch also gives two or three to one optimiser."""
    inputs = [
        make
        for info in database().values()
        for makers in info.scheduler_inputs or ()
        for make in makers
    ]
    seen = set()
    for make_theirs in inputs:
        ours, theirs, step = pair()
        twin = make_theirs(theirs)
        kind = type(twin).__name__
        settings = settings_of(twin) if kind not in NO_SCHEDULE else {}
        if (kind, str(settings)) in seen:
            continue
        seen.add((kind, str(settings)))
        if kind in NO_SCHEDULE:
            continue
        schedule = getattr(mg, kind)(ours, **settings)
        value = [1.0] if kind == "ReduceLROnPlateau" else []
        for _ in range(STEPS):
            step()
            schedule.step(*value)
            twin.step(*value)
    kinds = {kind for kind, _ in seen}
    assert kinds >= NO_SCHEDULE.keys()
    assert not any(hasattr(mg, kind) for kind in NO_SCHEDULE)
    known = {"StepLR", "ExponentialLR", "LinearLR", "PolynomialLR", "ReduceLROnPlateau"}
    assert kinds == known | NO_SCHEDULE.keys()


# ------------------------------------------------------------------ within a training


def training(make, epochs=6, seed=0, **options):
    rng = np.random.default_rng(seed)
    x = to_device(rng.standard_normal((20, 4)))
    data = mg.data.Dataset(x, to_device(rng.integers(0, 2, 20)), classes=2)
    model = net()
    optimizer = mg.SGD(model, 0.5)
    schedule = make(optimizer)
    rates = []
    history = mg.fit(
        model,
        mg.CrossEntropyLoss(),
        mg.rules.Backprop(),
        optimizer,
        data,
        epochs=epochs,
        batch_size=5,
        schedule=schedule,
        callback=lambda history: rates.append(optimizer.lr),
        progress=False,
        **options,
    )
    return history, rates, data


def test_fit_hands_a_plateau_what_it_has_measured():
    seen = []

    class Watched(mg.ReduceLROnPlateau):
        def step(self, metrics=None):
            seen.append(metrics)
            super().step(metrics)

    history, rates, data = training(lambda o: Watched(o, patience=0, factor=0.5, threshold=0.9))
    assert seen == history.train_loss
    assert rates == [0.5, 0.25, 0.125, 0.0625, 0.03125, 0.015625]
    seen.clear()
    history, rates, _ = training(lambda o: Watched(o), validation=data, evaluate_every=2)
    assert seen == history.validation_loss
    assert len(seen) == 3
    seen.clear()
    history, _, _ = training(lambda o: Watched(o, "max", metric="train_accuracy"))
    assert seen == history.train_accuracy


@pytest.mark.on_host
def test_a_plateaus_own_errors():
    with pytest.raises(ValueError, match=r"metric='loss' is not measured.*train_loss") as caught:
        training(lambda o: mg.ReduceLROnPlateau(o, metric="loss"))
    assert caught.value.history.epoch == []
    optimizer = mg.SGD(net(), 0.1)
    schedule = mg.ReduceLROnPlateau(optimizer)
    with pytest.raises(TypeError, match=r"call schedule.step\(value\)"):
        schedule.step()
    with pytest.raises(TypeError, match="metrics must be a number"):
        schedule.step("low")
    for wrong in ({"mode": "least"}, {"threshold_mode": "part"}, {"factor": 1.0}, {"patience": -1}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            mg.ReduceLROnPlateau(optimizer, **wrong)
    with pytest.raises(TypeError, match="metric must be a name"):
        mg.ReduceLROnPlateau(optimizer, metric=3)


@pytest.mark.on_host
def test_processes_refuse_a_plateau():
    model = mg.models.mlp((4, 5, 2), seed=0)
    optimizer = mg.SGD(model, 0.1)
    data = mg.data.Dataset(np.zeros((6, 4), "float32"), np.arange(6) % 2, classes=2)
    with pytest.raises(TypeError, match="ReduceLROnPlateau looks at evaluations"):
        mg.asynchronous.fit(
            model,
            mg.CrossEntropyLoss(),
            mg.rules.Backprop(),
            optimizer,
            data,
            epochs=1,
            batch_size=3,
            schedule=mg.ReduceLROnPlateau(optimizer),
        )


@pytest.mark.on_host
def test_errors_of_schedules():
    optimizer = mg.SGD(net(), 0.1)
    other = mg.SGD(net(), 0.1)
    fall = mg.CosineAnnealingLR(optimizer, 3)
    steps = mg.LinearLR(optimizer, per="step")
    for parts, milestones, error, words in (
        ([], [], TypeError, "must be schedules of this optimiser"),
        (fall, [], TypeError, "must be schedules of this optimiser"),
        ([fall, mg.StepLR(other, 2)], [3], TypeError, "must be schedules of this optimiser"),
        ([fall, steps], [3], ValueError, "all per epoch or all per step"),
        ([fall, mg.ReduceLROnPlateau(optimizer)], [3], ValueError, "all per epoch"),
        ([fall, fall], [], ValueError, "2 schedules need 1 milestones"),
        ([fall, fall, fall], [4, 3], ValueError, "milestones must grow"),
        ([fall, fall], [0], ValueError, "milestones must be an integer"),
        ([fall, fall], 3, TypeError, "milestones must be a list"),
    ):
        with pytest.raises(error, match=words):
            mg.SequentialLR(optimizer, parts, milestones)
    with pytest.raises(TypeError, match="lr_lambda must be a function"):
        mg.LambdaLR(optimizer, 0.5)
    with pytest.raises((TypeError, ValueError), match=r"lr_lambda\(0\) must be a number"):
        mg.LambdaLR(optimizer, lambda t: -1)
    with pytest.raises(ValueError, match="eta_min > 0 needs"):
        mg.CosineAnnealingLR(mg.SGD(net(), 0), 3, 0.1)
