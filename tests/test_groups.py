"""Parameters with options of their own, by patterns of names."""

import copy
import pickle

import numpy as np
import pytest
from cases import OPTIMIZERS

import minigrad as mg
from minigrad.backend import to_device

NO_DECAY = {("*.b", "*.gamma", "*.beta"): {"weight_decay": 0}}


def net(dtype="float64"):
    return mg.Sequential(
        mg.Linear(4, 5, dtype=dtype, seed=0),
        mg.BatchNorm1d(5, dtype=dtype),
        mg.Tanh(),
        mg.Linear(5, 3, dtype=dtype, seed=1),
    )


def fill(model, seed):
    rng = np.random.default_rng(seed)
    for _, layer in model.leaves():
        layer.grads = {
            name: to_device(rng.standard_normal(p.shape).astype(p.dtype))
            for name, p in layer.params.items()
        }


def steps(model, *optimizers, count=5):
    for seed in range(count):
        fill(model, seed)
        for optimizer in optimizers:
            optimizer.step()


def equal(a, b, names):
    a, b = a.state_dict(), b.state_dict()
    return all(np.array_equal(a[name], b[name]) for name in names)


ALL = ["0.W", "0.b", "1.gamma", "1.beta", "3.W", "3.b"]


@pytest.mark.parametrize("make", [mg.SGD, mg.Adam, mg.AdamW, mg.RMSprop, mg.Adagrad])
def test_each_group_moves_as_under_an_optimiser_with_its_options(make):
    mixed, with_decay, without = net(), net(), net()
    steps(mixed, make(mixed, 0.1, weight_decay=0.1, groups=NO_DECAY))
    steps(with_decay, make(with_decay, 0.1, weight_decay=0.1))
    steps(without, make(without, 0.1, weight_decay=0))
    assert equal(mixed, with_decay, ["0.W", "3.W"])
    assert equal(mixed, without, ["0.b", "1.gamma", "1.beta", "3.b"])
    assert not equal(with_decay, without, ["0.b"])


def test_a_factor_follows_the_learning_rate_and_its_schedule():
    model, half = net(), net()
    a = mg.SGD(model, 0.1, momentum=0.9, groups={"3.*": {"lr_factor": 0.5}})
    b = mg.SGD(half, 0.05, momentum=0.9)
    schedules = mg.ExponentialLR(a, 0.5), mg.ExponentialLR(b, 0.5)
    for seed in range(4):
        for one, optimizer, schedule in zip((model, half), (a, b), schedules, strict=True):
            fill(one, seed)
            optimizer.step()
            schedule.step()
    assert a.lr == 0.1 * 0.5**4
    for name in ("3.W", "3.b"):
        np.testing.assert_allclose(model.state_dict()[name], half.state_dict()[name], rtol=1e-14)
    assert not equal(model, half, ["0.W"])


def test_the_later_group_counts_and_0_keeps_a_parameter_still():
    model, start = net(), net()
    groups = {"*": {"lr_factor": 0}, "3.W": {"lr_factor": 1}}
    steps(model, mg.AdamW(model, 0.1, groups=groups))
    still = [name for name in ALL if name != "3.W"]
    assert equal(model, start, still)
    assert not equal(model, start, ["3.W"])


def test_a_layer_alone():
    layer, start = mg.Linear(4, 3, seed=0), mg.Linear(4, 3, seed=0)
    steps(layer, mg.SGD(layer, 0.1, groups={"*.b": {"lr_factor": 0}}))
    assert equal(layer, start, ["b"])
    assert not equal(layer, start, ["W"])


@pytest.mark.on_host
def test_the_options_are_the_optimisers_own_again_after_each_step():
    class Failing(mg.optim.Optimizer):
        group_options = ("strength",)

        def __init__(self, model, lr, strength=1.0, *, groups=None):
            super().__init__(model, lr, groups=groups)
            self.strength = strength
            self.seen = []

        def _update(self, param, grad, state):
            self.seen.append((self.lr, self.strength))
            if len(self.seen) == 6:
                raise ZeroDivisionError

    model = net()
    optimizer = Failing(model, 0.5, groups={"3.*": {"lr_factor": 2, "strength": 3}})
    fill(model, 0)
    with pytest.raises(ZeroDivisionError):
        optimizer.step()
    assert optimizer.seen == [(0.5, 1.0)] * 4 + [(1.0, 3.0)] * 2
    assert (optimizer.lr, optimizer.strength) == (0.5, 1.0)


@pytest.mark.on_host
def test_copies_and_twins_have_them():
    optimizer = mg.SGD(net(), 0.1, weight_decay=0.1, groups=NO_DECAY | {"0.*": {"lr_factor": 0.5}})
    assert "groups={('*.b', '*.gamma', '*.beta'): {'weight_decay': 0.0}" in repr(optimizer)
    assert "groups" not in repr(mg.SGD(net(), 0.1))
    ends = []
    for model in (net(), net(), net(), net()):
        i = len(ends)
        if i == 0:
            twin = optimizer.twin(model)
        elif i == 1:
            twin = mg.SGD(model, 0.1, weight_decay=0.1, groups=optimizer.groups)
        else:
            pair = mg.SGD(model, 0.1, weight_decay=0.1, groups=optimizer.groups), model
            twin, model = copy.deepcopy(pair) if i == 2 else pickle.loads(pickle.dumps(pair))
        assert repr(twin) == repr(optimizer)
        steps(model, twin)
        ends.append(model)
    assert all(equal(ends[0], end, ALL) for end in ends)


@pytest.mark.on_host
def test_processes_divide_them_among_the_blocks():
    """The names of a block are others than those of the model: 0.W of the second is 2.W."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((12, 4)).astype("float32"), rng.integers(0, 3, 12)
    ends = []
    for fit, options in (
        (mg.fit, {}),
        (mg.asynchronous.fit, {"interfaces": [2], "threads_per_process": 1}),
    ):
        model = mg.models.mlp((4, 6, 3), "tanh", seed=0)
        names = list(model.params)
        groups = {names[0]: {"lr_factor": 0.1}, names[-1]: {"lr_factor": 0, "weight_decay": 0}}
        optimizer = mg.SGD(model, 0.1, momentum=0.9, weight_decay=0.1, groups=groups)
        data = mg.data.Dataset(x, y, classes=3)
        schedule = mg.LinearLR(optimizer)
        fit(
            model,
            mg.CrossEntropyLoss(),
            mg.rules.Backprop(),
            optimizer,
            data,
            epochs=2,
            batch_size=5,
            schedule=schedule,
            progress=False,
            **options,
        )
        ends.append((model.state_dict(), optimizer.state_dict()))
    for one, other in zip(*ends, strict=True):
        assert one.keys() == other.keys()
        assert all(np.array_equal(one[key], other[key]) for key in one)


def test_another_groups_run_is_refused(tmp_path):
    path = tmp_path / "a.npz"
    model = net()
    mg.save(path, model, optimizer=mg.SGD(model, 0.1, groups={"0.*": {"lr_factor": 0.5}}))
    with pytest.raises(mg.CheckpointError, match="another optimizer"):
        mg.load(path, model, optimizer=mg.SGD(model, 0.1))
    mg.load(path, model, optimizer=mg.SGD(model, 0.3, groups={"0.*": {"lr_factor": 0.5}}))


@pytest.mark.on_host
@pytest.mark.parametrize(
    ("groups", "error", "words"),
    [
        (["*.b"], TypeError, "groups must be a dict"),
        ({"*.b": 0}, TypeError, r"groups\['\*.b'\] must be a dict of options"),
        ({"*.b": {}}, TypeError, "must be a dict of options"),
        ({3: {"lr_factor": 0}}, TypeError, "must be a pattern of names"),
        ({(): {"lr_factor": 0}}, TypeError, "must be a pattern of names"),
        ({"*.bias": {"lr_factor": 0}}, ValueError, r"'\*.bias' fits none of.*'0.W'"),
        ({"*.b": {"lr": 0.1}}, ValueError, "got 'lr'; lr_factor multiplies the optimiser's lr"),
        ({"*.b": {"momentum": 0}}, ValueError, r"the options \['lr_factor', 'weight_decay'\]"),
        ({"*.b": {"lr_factor": -1}}, ValueError, r"\['lr_factor'\] must be a number >= 0"),
        ({"*.b": {"weight_decay": "0"}}, TypeError, r"\['weight_decay'\] must be a number >= 0"),
    ],
)
@pytest.mark.parametrize("make", [mg.SGD, mg.AdamW, mg.RMSprop, mg.Adagrad])
def test_errors(make, groups, error, words):
    with pytest.raises(error, match=words):
        make(net(), 0.1, groups=groups)


@pytest.mark.on_host
def test_one_array_has_one_group():
    model = mg.Sequential(mg.Linear(3, 3, seed=0), mg.Tanh(), mg.Linear(3, 3, seed=1))
    model[2].params["W"] = model[0].params["W"]
    with pytest.raises(ValueError, match=r"0\.W and 2\.W are one array"):
        mg.SGD(model, 0.1, groups={"2.*": {"lr_factor": 0}})
    mg.SGD(model, 0.1, groups={"*.W": {"lr_factor": 0}})


@pytest.mark.on_host
def test_every_optimiser_has_a_case_with_groups():
    assert {case.make for case in OPTIMIZERS} == {
        case.make for case in OPTIMIZERS if "groups" in case.options
    }
