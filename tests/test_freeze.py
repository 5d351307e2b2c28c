"""Layers frozen by patterns of names, their running statistics included."""

import numpy as np
import pytest

import minigrad as mg
from minigrad.backend import to_device, to_host


def net(dtype="float64", single=mg.BatchNorm1d):
    return mg.Sequential(
        mg.Sequential(mg.Linear(4, 5, dtype=dtype, seed=0), single(5, dtype=dtype), mg.Tanh()),
        mg.Linear(5, 5, dtype=dtype, seed=1),
        mg.BatchNorm1d(5, dtype=dtype),
        mg.Linear(5, 3, dtype=dtype, seed=2),
    )


def batch(seed=0, n=6):
    rng = np.random.default_rng(seed)
    return to_device(rng.standard_normal((n, 4))), to_device(rng.integers(0, 3, n))


def train(model, count=4):
    optimizer = mg.Adam(model, 0.1, weight_decay=0.1)
    for seed in range(count):
        mg.rules.Backprop().estimate(model, mg.CrossEntropyLoss(), *batch(seed))
        optimizer.step()


def moved(model, start):
    """The names of all layers that have changed."""
    now = model.state_dict()
    return sorted(
        {key.rpartition(".")[0] for key in now if not np.array_equal(now[key], start[key])}
    )


ALL = ["0.0", "0.1", "1", "2", "3"]


@pytest.mark.parametrize(
    ("patterns", "frozen"),
    [
        ((), ALL),
        (("*",), ALL),
        (("0",), ["0.0", "0.1"]),
        (("0.*",), ["0.0", "0.1"]),
        (("0.1", "3"), ["0.1", "3"]),
        (("?",), ALL),
        (("3.*",), ["3"]),
        (("[12]",), ["1", "2"]),
        (("0.1.*",), ["0.1"]),
        (("*.0",), ["0.0"]),
    ],
)
def test_what_is_frozen_stays_and_the_rest_moves(patterns, frozen):
    model = net()
    start = model.state_dict()
    assert mg.freeze(model, *patterns) == frozen
    train(model)
    assert moved(model, start) == [name for name in ALL if name not in frozen]
    assert mg.unfreeze(model) == ALL
    train(model)
    assert moved(model, start) == ALL


def test_a_frozen_part_computes_as_in_evaluation():
    model = net()
    train(model)
    mg.freeze(model, "0")
    x, y = batch(9)
    before = to_host(model[0].forward(x, train=False))
    train(model)
    np.testing.assert_array_equal(to_host(model[0].forward(x, train=True)), before)
    np.testing.assert_array_equal(to_host(model[0].forward(x, train=False)), before)
    mg.unfreeze(model, "0")
    assert not np.array_equal(to_host(model[0].forward(x, train=True)), before)


def test_it_is_pytorchs_eval_of_a_part_without_gradients():
    torch = pytest.importorskip("torch")
    model = net()
    train(model)
    parts = [torch.nn.Linear(4, 5), torch.nn.BatchNorm1d(5), torch.nn.Tanh()]
    twin = torch.nn.Sequential(
        torch.nn.Sequential(*parts),
        torch.nn.Linear(5, 5),
        torch.nn.BatchNorm1d(5),
        torch.nn.Linear(5, 3),
    ).double()
    state = mg.to_torch_state_dict(model)
    twin.load_state_dict({key: torch.from_numpy(a.copy()) for key, a in state.items()})
    mg.freeze(model, "0")
    twin.train()
    twin[0].eval()
    for param in twin[0].parameters():
        param.requires_grad_(False)
    ours = mg.SGD(model, 0.1, momentum=0.9)
    theirs = torch.optim.SGD([p for p in twin.parameters() if p.requires_grad], 0.1, momentum=0.9)
    for seed in range(50):
        x, y = batch(seed)
        mg.rules.Backprop().estimate(model, mg.CrossEntropyLoss(), x, y)
        ours.step()
        theirs.zero_grad()
        output = twin(torch.from_numpy(to_host(x)))
        torch.nn.functional.cross_entropy(output, torch.from_numpy(to_host(y))).backward()
        theirs.step()
    for key, array in mg.to_torch_state_dict(model).items():
        np.testing.assert_allclose(array, twin.state_dict()[key].numpy(), rtol=1e-9, atol=1e-11)


def test_statistics_may_go_on():
    model = net()
    start = model.state_dict()
    mg.freeze(model, "0", statistics=False)
    train(model)
    assert moved(model, start) == ["0.1", "1", "2", "3"]
    now = model.state_dict()
    assert np.array_equal(now["0.1.gamma"], start["0.1.gamma"])
    assert now["0.1.num_batches_tracked"] == 4
    model[2].frozen = True  # this is what the attribute alone has always done
    train(model)
    assert model.state_dict()["2.num_batches_tracked"] == 8


@pytest.mark.parametrize("backward", [True, False])
def test_the_derivative_is_that_of_evaluation(backward):
    layer = mg.BatchNorm1d(4, dtype="float64")
    layer.forward(batch(1)[0])
    mg.freeze(layer)
    x, _ = batch(2)
    dy, _ = batch(3)
    found = []
    for train_it in (True, False):
        layer.forward(x, train=train_it)
        found.append(to_host(layer.backward(dy) if backward else layer.jvp(dy)))
    np.testing.assert_array_equal(*found)


@pytest.mark.on_host
def test_it_is_in_the_checkpoint(tmp_path):
    model = net("float32")
    mg.freeze(model, "0")
    mg.freeze(model, "3")
    mg.save(tmp_path / "a.npz", model)
    other = net("float32")
    mg.freeze(other, "2")
    mg.load(tmp_path / "a.npz", other)
    leaves = dict(other.leaves())
    assert [name for name, leaf in leaves.items() if leaf.frozen] == ["0.0.", "0.1.", "3."]
    assert [name for name, leaf in leaves.items() if leaf.keeps_statistics] == ["0.1."]


@pytest.mark.on_host
def test_a_run_that_freezes_goes_on_bit_for_bit(tmp_path):
    rng = np.random.default_rng(0)
    data = mg.data.Dataset(rng.standard_normal((18, 4)), rng.integers(0, 3, 18), classes=3)
    path = tmp_path / "a.npz"

    def run(stop_at=None, **options):
        model = net()

        def callback(history):
            if history.epoch[-1] == 1:
                mg.freeze(model, "0")
            if history.epoch[-1] == stop_at:
                raise ZeroDivisionError

        arguments = model, mg.CrossEntropyLoss(), mg.rules.Backprop(), mg.Adam(model, 0.1), data
        how = {"epochs": 3, "batch_size": 6, "callback": callback, "progress": False}
        mg.fit(*arguments, **how, **options)
        return model.state_dict()

    unbroken = run()
    with pytest.raises(ZeroDivisionError):
        run(2, checkpoint=path)
    resumed = run(checkpoint=path, resume=True)
    assert all(np.array_equal(unbroken[key], resumed[key]) for key in unbroken)


@pytest.mark.on_host
def test_errors_say_what_there_is():
    model = net()
    with pytest.raises(ValueError, match=r"'5' fits none of the layers \['0.0', '0.1', '1'"):
        mg.freeze(model, "5")
    with pytest.raises(ValueError, match=r"fits \['0.0.b', '1.b', '3.b'\].*groups=\{'\*.b': "):
        mg.freeze(model, "*.b")
    with pytest.raises(TypeError, match="must be a pattern of names"):
        mg.freeze(model, 0)
    with pytest.raises(TypeError, match="take a model, got a str"):
        mg.unfreeze("0", model)
    assert not any(leaf.frozen for _, leaf in model.leaves())
    assert mg.freeze(mg.Linear(3, 2), "*") == [""]
