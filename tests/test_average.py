"""The exponential moving average of the weights."""

import copy
import pickle

import numpy as np
import pytest

import minigrad as mg
from minigrad.backend import array_module, to_device, to_host

EVERY = [mg.SGD, mg.Adam, mg.AdamW, mg.RMSprop, mg.Adagrad]


def net(dtype="float64"):
    return mg.Sequential(
        mg.Linear(4, 5, dtype=dtype, seed=0), mg.Tanh(), mg.Linear(5, 3, dtype=dtype, seed=1)
    )


def fill(model, seed, skip=()):
    rng = np.random.default_rng(seed)
    for prefix, layer in model.leaves():
        names = {} if prefix in skip else layer.params
        layer.grads = {
            name: to_device(rng.standard_normal(p.shape).astype(p.dtype))
            for name, p in names.items()
        }


def same(a, b):
    return a.keys() == b.keys() and all(np.array_equal(a[key], b[key]) for key in a)


@pytest.mark.parametrize("make", EVERY)
def test_it_is_pytorchs(make):
    torch = pytest.importorskip("torch")
    from torch.optim.swa_utils import AveragedModel, get_ema_avg_fn

    model = net()
    optimizer = make(model, 0.05)
    ema = mg.EMA(optimizer, 0.9)
    linear = [torch.nn.Linear(4, 5), torch.nn.Linear(5, 3)]
    twin = torch.nn.Sequential(linear[0], torch.nn.Tanh(), linear[1]).double()
    averaged = AveragedModel(twin, avg_fn=get_ema_avg_fn(0.9))
    for seed in range(50):
        fill(model, seed)
        optimizer.step()
        state = mg.to_torch_state_dict(model)
        twin.load_state_dict({key: torch.from_numpy(a.copy()) for key, a in state.items()})
        averaged.update_parameters(twin)
        with ema.averaged():
            found = mg.to_torch_state_dict(model)
        for key, array in averaged.module.state_dict().items():
            np.testing.assert_allclose(found[key], array.numpy(), rtol=1e-10, atol=1e-10)
        assert same(mg.to_torch_state_dict(model), state)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_steps_are_what_they_were(dtype, xp):
    models = net(dtype), net(dtype)
    optimizers = [mg.Adam(model, 0.1) for model in models]
    ema = mg.EMA(optimizers[0], 0.5)
    for seed in range(5):
        for model, optimizer in zip(models, optimizers, strict=True):
            fill(model, seed)
            optimizer.step()
    assert same(models[0].state_dict(), models[1].state_dict())
    for a in ema.arrays.values():
        assert (a.dtype, array_module(a)) == (dtype, xp)


def test_only_steps_that_move_something_count():
    model = net()
    optimizer = mg.SGD(model, 0.1)
    ema = mg.EMA(optimizer, 0.5)
    with ema.averaged():  # nothing is averaged so far
        assert same(model.state_dict(), net().state_dict())
    fill(model, 0, skip=("0.", "2."))
    optimizer.step()
    assert ema.t == 0
    model[0].frozen = True
    for seed in range(9):
        fill(model, seed)
        optimizer.step()
    assert ema.t == 9
    assert np.array_equal(to_host(ema.arrays["0.W"]), to_host(model[0].params["W"]))


def test_after_an_error_the_weights_are_back():
    model = net()
    optimizer = mg.SGD(model, 0.1)
    ema = mg.EMA(optimizer, 0.5)
    for seed in range(3):
        fill(model, seed)
        optimizer.step()
    before = model.state_dict()
    arrays = dict(model.params)

    def fails():
        with ema.averaged():
            assert not same(model.state_dict(), before)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    assert same(model.state_dict(), before)
    assert all(model.params[key] is array for key, array in arrays.items())


def test_a_shared_array_has_one_average():
    model = mg.Sequential(mg.Linear(3, 3, seed=0), mg.Tanh(), mg.Linear(3, 3, seed=1))
    model[2].params["W"] = model[0].params["W"]
    optimizer = mg.SGD(model, 0.1)
    ema = mg.EMA(optimizer, 0.5)
    fill(model, 0)
    optimizer.step()
    assert list(ema.arrays) == ["0.W", "0.b", "2.b"]
    again = mg.SGD(model, 0.1)
    mg.EMA(again, 0.5)
    again.load_state_dict(optimizer.state_dict())


@pytest.mark.parametrize("steps", [0, 3])
def test_its_state_is_the_optimisers(steps, tmp_path):
    model = net()
    optimizer = mg.Adam(model, 0.1)
    ema = mg.EMA(optimizer, 0.8)
    for seed in range(steps):
        fill(model, seed)
        optimizer.step()
    np.savez(tmp_path / "a.npz", **optimizer.state_dict())
    other = net()
    other.load_state_dict(model.state_dict())
    again = mg.Adam(other, 0.1)
    second = mg.EMA(again, 0.8)
    with np.load(tmp_path / "a.npz", allow_pickle=False) as file:
        again.load_state_dict(dict(file))
    for seed in range(5):
        for one, stepped in ((model, optimizer), (other, again)):
            fill(one, seed)
            stepped.step()
    assert same(optimizer.state_dict(), again.state_dict())
    assert ema.t == second.t == steps + 5
    with ema.averaged(), second.averaged():
        assert same(model.state_dict(), other.state_dict())


def test_a_state_that_does_not_fit_changes_nothing():
    model = net()
    optimizer = mg.SGD(model, 0.1)
    mg.EMA(optimizer, 0.8)
    fill(model, 0)
    optimizer.step()
    state = optimizer.state_dict()
    w = state["average/0.W"]
    for wrong, words in (
        ({"average/t": -1}, "t must be"),
        ({"average/t": 1.5}, "t must be"),
        ({"average/decay": 0.9}, "made with decay 0.9, not 0.8"),
        ({"average/0.W": w.T}, r"average of 0\.W: expected float64 of shape \(4, 5\)"),
        ({"average/0.W": w.astype("float32")}, "got float32"),
        ({"average/0.W": w * np.nan}, "NaN"),
        ({"average/7.W": w}, "fit none of"),
        ({"average/t": 0}, "fit none of"),
    ):
        with pytest.raises((KeyError, ValueError, TypeError), match=words):
            optimizer.load_state_dict(state | wrong)
        assert same(optimizer.state_dict(), state)
    for name in [name for name in state if name.startswith("average/")]:
        with pytest.raises(KeyError, match="has no averages|fit none of"):
            optimizer.load_state_dict({k: v for k, v in state.items() if k != name})
    with pytest.raises(KeyError, match=r"call EMA\(optimizer, decay\) before"):
        mg.SGD(net(), 0.1).load_state_dict(state)
    with pytest.raises(KeyError, match="it was saved without EMA"):
        optimizer.load_state_dict({"lr": 0.1})
    optimizer.load_state_dict(state | {"average/0.W": w * np.nan}, finite=False)


@pytest.mark.parametrize("stop", [1, 4, 5])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_run_goes_on_bit_for_bit(stop, accumulate, tmp_path):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((18, 4)).astype("float32"), rng.integers(0, 3, 18)
    path = tmp_path / "a.npz"

    def run(stop=None, **options):
        model = net("float32")
        optimizer = mg.Adam(model, 0.1)
        ema = mg.EMA(optimizer, 0.8)
        loss = mg.CrossEntropyLoss()
        data = mg.data.Dataset(to_device(x), to_device(y), classes=3)
        seen = []

        def callback(history):
            with ema.averaged():
                seen.append(mg.evaluate(model, loss, data))

        def step_callback(step, value):
            if step == stop:
                raise ZeroDivisionError

        rule = mg.rules.AccumulatedGradients(mg.rules.Backprop(), accumulate)
        how = {"callback": callback, "step_callback": step_callback, "progress": False}
        mg.fit(model, loss, rule, optimizer, data, epochs=3, batch_size=6, **how, **options)
        assert ema.t == 9 // accumulate
        return model.state_dict() | optimizer.state_dict(), seen[-1]

    unbroken = run()
    with pytest.raises(ZeroDivisionError):
        run(stop, checkpoint=path, every="1 step")
    resumed = run(checkpoint=path, every="1 step", resume=True)
    assert same(unbroken[0], resumed[0])
    assert unbroken[1] == resumed[1]


@pytest.mark.on_host
@pytest.mark.parametrize("way", ["deepcopy", "pickle"])
def test_copies(way):
    model = net()
    optimizer = mg.SGD(model, 0.1)
    ema = mg.EMA(optimizer, 0.8)
    fill(model, 0)
    optimizer.step()
    both = model, optimizer, ema
    one, other, average = (
        copy.deepcopy(both) if way == "deepcopy" else pickle.loads(pickle.dumps(both))
    )
    assert other.average is average
    for m, o in ((model, optimizer), (one, other)):
        fill(m, 1)
        o.step()
    assert same(optimizer.state_dict(), other.state_dict())
    assert optimizer.twin(net()).average is None
    assert repr(ema) == "EMA(decay=0.8)"


@pytest.mark.on_host
def test_errors():
    for decay in (1.0, -0.1, float("nan")):
        with pytest.raises(ValueError, match="decay must be a number"):
            mg.EMA(mg.SGD(net(), 0.1), decay)
    with pytest.raises(TypeError, match="got a Sequential: make one first"):
        mg.EMA(net())
    model = net("float32")
    optimizer = mg.SGD(model, 0.1)
    mg.EMA(optimizer)
    data = mg.data.Dataset(np.zeros((6, 4), "float32"), np.arange(6) % 3, classes=3)
    with pytest.raises(TypeError, match="the processes keep no EMA"):
        mg.asynchronous.fit(
            model,
            mg.CrossEntropyLoss(),
            mg.rules.Backprop(),
            optimizer,
            data,
            epochs=1,
            batch_size=3,
        )
