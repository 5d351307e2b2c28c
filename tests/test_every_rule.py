"""What holds for every learning rule in the table of cases."""

import copy
import inspect
import math
import pickle

import numpy as np
import pytest
from cases import RULES, rule_cases

import minigrad as mg
from minigrad.backend import to_device, to_host

every_rule = pytest.mark.parametrize("case", **rule_cases)
dtypes = pytest.mark.parametrize("dtype", ["float32", "float64"])


def network(dtype="float64", seed=0):
    return mg.models.mlp((4, 6, 5, 3), "tanh", dtype=dtype, seed=seed)


def with_batch_norm(dtype="float64"):
    """Both layers that behave differently in training: batch norm and dropout."""
    return mg.Sequential(
        mg.Linear(4, 6, dtype=dtype, seed=0),
        mg.BatchNorm1d(6, dtype=dtype),
        mg.ReLU(),
        mg.Dropout(0.3, seed=5),
        mg.Linear(6, 5, dtype=dtype, seed=1),
        mg.Tanh(),
        mg.Linear(5, 3, dtype=dtype, seed=2),
    )


def batches(count, dtype="float64", seed=0):
    rng = np.random.default_rng(seed)
    for _ in range(count):
        x, y = rng.standard_normal((6, 4)).astype(dtype), rng.integers(0, 3, 6)
        yield to_device(x), to_device(y)


def train(rule, model, optimizer, steps):
    """Every step's loss and gradients."""
    found = []
    for x, y in steps:
        value = rule.estimate(model, mg.CrossEntropyLoss(), x, y)
        found.append((value, {key: to_host(g).copy() for key, g in model.grads.items()}))
        optimizer.step()
    return found


def same(a, b):
    """Two lists of (loss, gradients), bit for bit."""
    return len(a) == len(b) and all(
        x[0] == y[0]
        and x[1].keys() == y[1].keys()
        and all(np.array_equal(x[1][key], y[1][key]) for key in x[1])
        for x, y in zip(a, b, strict=True)
    )


def data(seed=1):
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((18, 4)).astype("float32"), rng.integers(0, 3, 18)
    return mg.data.Dataset(x, y, classes=3)


@pytest.mark.on_host
def test_every_public_rule_has_a_case():
    """`Rule` is abstract, `ForwardGradient` a shorthand for three rules that have cases."""
    public = {
        item
        for item in vars(mg.rules).values()
        if inspect.isclass(item) and mg.rules.Rule in item.__mro__
    }
    made = {type(case.make(network())) for case in RULES}
    assert public - {mg.rules.Rule, mg.rules.ForwardGradient} == made


@pytest.mark.on_host
def test_a_rule_without_a_case_is_found(monkeypatch):
    class Forgotten(mg.rules.Rule):
        pass

    monkeypatch.setattr(mg.rules, "Forgotten", Forgotten, raising=False)
    with pytest.raises(AssertionError):
        test_every_public_rule_has_a_case()


@dtypes
@every_rule
def test_an_estimate_fills_grads_and_changes_nothing_else(case, dtype):
    model = network(dtype)
    rule = case.make(model)
    arrays = dict(model.params)
    before = model.state_dict()
    for x, y in batches(3, dtype):
        given = to_host(x).copy(), to_host(y).copy()
        value = rule.estimate(model, mg.CrossEntropyLoss(), x, y)
        assert type(value) is float
        assert math.isfinite(value)
        np.testing.assert_array_equal(to_host(x), given[0])
        np.testing.assert_array_equal(to_host(y), given[1])
        for _, leaf in model.leaves():
            assert leaf.grads == {} or leaf.grads.keys() == leaf.params.keys()
            assert leaf._kept is None
            for name, grad in leaf.grads.items():
                assert (grad.shape, grad.dtype) == (leaf.params[name].shape, np.dtype(dtype))
                assert grad is not leaf.params[name]
    assert all(model.params[key] is array for key, array in arrays.items())
    for key, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[key])


@dtypes
@every_rule
def test_a_run_that_is_saved_and_loaded_goes_on_bit_for_bit(case, dtype, tmp_path):
    model = network(dtype)
    rule, optimizer = case.make(model), mg.SGD(model, 0.05, momentum=0.9)
    steps = list(batches(9, dtype))
    train(rule, model, optimizer, steps[:3])
    np.savez(tmp_path / "rule.npz", **rule.state_dict())
    weights, moments = model.state_dict(), optimizer.state_dict()
    unbroken = train(rule, model, optimizer, steps[3:])
    fresh = network(dtype, seed=7)
    other, again = case.make(fresh), mg.SGD(fresh, 1.0, momentum=0.9)
    fresh.load_state_dict(weights)
    again.load_state_dict(moments)
    with np.load(tmp_path / "rule.npz", allow_pickle=False) as file:
        state = dict(file)
    other.load_state_dict(fresh, state)
    loaded = other.state_dict()
    assert loaded.keys() == state.keys()
    assert all(np.array_equal(np.array(loaded[key]), state[key]) for key in state)
    assert same(train(other, fresh, again, steps[3:]), unbroken)
    end = fresh.state_dict()
    assert all(np.array_equal(array, end[key]) for key, array in model.state_dict().items())


@every_rule
def test_a_state_of_another_rule_is_refused(case):
    rule = case.make(network())
    with pytest.raises((KeyError, ValueError)):
        rule.load_state_dict(rule.model if hasattr(rule, "model") else network(), {"other": 1})


@pytest.mark.on_host
@every_rule
@pytest.mark.parametrize("way", ["copy", "pickle"])
def test_a_copy_goes_on_as_the_rule_does(case, way):
    model = network()
    rule = case.make(model)
    optimizer = mg.SGD(model, 0.05)
    steps = list(batches(6))
    train(rule, model, optimizer, steps[:3])
    whole = model, rule, optimizer
    twin = copy.deepcopy(whole) if way == "copy" else pickle.loads(pickle.dumps(whole))
    assert repr(twin[1]) == repr(rule)
    assert type(twin[1]) is type(rule)
    assert same(
        train(twin[1], twin[0], twin[2], steps[3:]), train(rule, model, optimizer, steps[3:])
    )


@pytest.mark.on_host
@every_rule
def test_its_repr_says_every_argument(case):
    rule = case.make(network())
    arguments = inspect.signature(type(rule).__init__).parameters
    said = repr(rule)
    assert said.startswith(f"{type(rule).__name__}(")
    for name, parameter in arguments.items():
        if name == "self" or parameter.kind is parameter.VAR_POSITIONAL:
            continue
        if parameter.kind is not parameter.VAR_KEYWORD:
            assert (f"{name}=" in said) != (name in rule._old_arguments), name
    if case.exact:
        again = eval(said, dict(vars(mg.rules)))
        assert type(again) is type(rule)
        assert repr(again) == said


@pytest.mark.parametrize("per", ["step", "epoch"])
@every_rule
def test_fit_takes_it_with_a_schedule(case, per, tmp_path):
    model = network("float32")
    rule, optimizer = case.make(model), mg.SGD(model, 0.05)
    said = repr(rule)
    history = mg.fit(
        model,
        mg.CrossEntropyLoss(),
        rule,
        optimizer,
        data(),
        epochs=2,
        batch_size=6,
        schedule=mg.ExponentialLR(optimizer, 0.9, per=per),
    )
    assert history.stopped is None
    assert len(history.step_loss) == 6
    assert np.isfinite(history.step_loss).all()
    assert history.settings["rule"] == said
    history.save(tmp_path / "history.json")


@every_rule
def test_batch_norm_and_dropout_work_or_are_refused(case):
    model = with_batch_norm()
    rule = case.make(model)
    optimizer = mg.SGD(model, 0.05)
    if not case.batch_norm:
        with pytest.raises(ValueError, match="BatchNorm1d makes each example's loss depend on"):
            train(rule, model, optimizer, batches(1))
        return
    found = train(rule, model, optimizer, batches(4))
    assert all(math.isfinite(value) for value, _ in found)
    assert all(np.isfinite(g).all() for _, grads in found for g in grads.values())
    passes = 3 if "micro_batch_size=2" in repr(rule) else 1  # each micro-batch is a batch
    assert int(to_host(model.buffers["1.num_batches_tracked"])) == 4 * passes


@every_rule
def test_a_loss_that_is_no_number_is_reported(case):
    """fit stops before the optimiser's step."""
    model = network("float32")
    model.layers[-1 if case.any_model else 1].params["W"][...] = np.nan
    before = model.state_dict()
    rule, optimizer = case.make(model), mg.SGD(model, 0.05)
    history = mg.fit(
        model,
        mg.CrossEntropyLoss(),
        rule,
        optimizer,
        data(),
        epochs=1,
        batch_size=6,
        progress=False,
    )
    assert "diverged" in history.stopped
    assert math.isnan(history.step_loss[0])
    for key, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[key])


@every_rule
def test_no_cache_is_left_behind_where_that_is_promised(case):
    model = network()
    train(case.make(model), model, mg.SGD(model, 0.05), batches(2))
    left = [leaf for _, leaf in model.leaves() if leaf.cache is not None]
    assert not case.drops_cache or left == []


@pytest.mark.on_host
@every_rule
def test_its_cost_is_known(case):
    cost = case.make(network()).cost
    assert type(cost) is float
    assert 1 <= cost < 20


@every_rule
def test_an_epochs_end_and_a_schedule_are_no_step(case):
    model = network()
    rule = case.make(model)
    before = model.state_dict()
    train(rule, model, mg.SGD(model, 0.0), batches(4))
    rule.end_epoch()
    rule.rescale(0.5)
    assert all(np.array_equal(a, before[key]) for key, a in model.state_dict().items())
