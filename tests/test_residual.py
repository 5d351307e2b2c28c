"""Residual: what is inside it is seen by optimisers, rules, checkpoints, tables and PyTorch."""

import numpy as np
import pytest
from cases import rule_cases, torch_twin

import minigrad as mg
from minigrad.backend import to_device, to_host
from minigrad.rules.synthetic.blocks import split


def net(seed=0):
    def linear(n, m, k):
        return mg.Linear(n, m, dtype="float64", seed=seed + k)

    return mg.Sequential(
        linear(3, 4, 0),
        mg.Tanh(),
        mg.Residual(linear(4, 5, 1), mg.Tanh(), linear(5, 4, 2)),
        mg.Residual(mg.Residual(linear(4, 4, 3), mg.Sigmoid())),
        mg.Residual(linear(4, 5, 4), mg.Tanh(), shortcut=mg.Sequential(linear(4, 5, 5), mg.ReLU())),
        linear(5, 3, 6),
    )


def batch(n=6):
    rng = np.random.default_rng(4)
    return to_device(rng.standard_normal((n, 3))), to_device(rng.integers(0, 3, n))


NAMES = ["0.W", "0.b", "2.0.W", "2.0.b", "2.2.W", "2.2.b", "3.0.0.W", "3.0.0.b"]
NAMES += ["4.0.W", "4.0.b", "4.2.0.W", "4.2.0.b", "5.W", "5.b"]


@pytest.mark.parametrize("case", **rule_cases)
def test_every_rule_estimates_what_is_inside(case):
    model = net()
    rule, optimizer = case.make(model), mg.SGD(model, 0.05)
    before = model.state_dict()
    x, target = batch()
    for _ in range(16):
        assert np.isfinite(rule.estimate(model, mg.CrossEntropyLoss(), x, target))
        optimizer.step()
    assert list(model.params) == NAMES
    moved = {name for name, array in model.state_dict().items() if (array != before[name]).any()}
    assert moved >= ({"5.W"} if "Top" in case.name else set(NAMES[2:12]))


def test_backprop_and_both_jvps_in_a_net():
    model, (x, target) = net(), batch()
    assert mg.gradcheck.check(model, x, target=target, loss=mg.CrossEntropyLoss())
    x_dot = to_device(np.random.default_rng(1).standard_normal(x.shape))
    y = model.forward(x)
    zeros = {name: 0 * array for name, array in model.params.items()}
    for names in (("2.2.W", "2.2.b"), ("4.0.W", "4.0.b"), ("4.2.0.W", "4.2.0.b")):
        moving = {name: model.params[name] for name in names}
        for x_dot_ in (x_dot, None):
            y_dot = to_host(model.jvp(x_dot_, moving))
            np.testing.assert_allclose(
                to_host(model.jvp(x_dot_, zeros | moving)), y_dot, rtol=1e-12
            )
            both = model.forward_jvp(x, x_dot_, moving)
            np.testing.assert_allclose(to_host(both[0]), to_host(y), rtol=1e-12)
            np.testing.assert_allclose(to_host(both[1]), y_dot, rtol=1e-12)
            model.forward(x)
    assert model.forward_jvp(x, None)[1] is None
    assert model.jvp(None) is None
    with pytest.raises(KeyError, match="params_dot has '7.W'"):
        model[4].jvp(x[:, :1], {"7.W": x})


def test_it_is_cut_before_and_after_never_inside():
    model = net()
    assert not model[2].is_chain
    assert model.is_chain
    assert [len(block.layers) for block in split(model)] == [2, 2, 1, 1]
    with pytest.raises(TypeError, match="Residual has a forward, backward or jvp of its own"):
        split(model[2])


def test_the_table_has_what_is_inside(capsys):
    text = net().summary()
    assert text in capsys.readouterr().out
    assert [row.name for row in text.rows] == [
        *("Linear-0", "Tanh-1", "Linear-2.0", "Tanh-2.1", "Linear-2.2", "Residual-2"),
        *("Linear-3.0.0", "Sigmoid-3.0.1", "Residual-3.0", "Residual-3", "Linear-4.0", "Tanh-4.1"),
        *("Linear-4.2.0", "ReLU-4.2.1", "Residual-4", "Linear-5"),
    ]
    numbers = [16, 0, 25, 0, 24, 0, 20, 0, 0, 0, 25, 0, 25, 0, 0, 18]
    assert [row.parameters for row in text.rows] == numbers
    assert text.parameters == 153
    assert "  2, shortcut: Sequential(\n      0: Linear(4, 5)\n" in repr(net())


@pytest.mark.parametrize("name", ["weights.npz", "weights.safetensors"])
def test_weights_and_runs_are_saved(tmp_path, name):
    model, other = net(), net(9)
    mg.save_weights(tmp_path / name, model)
    mg.load_weights(tmp_path / name, other)
    for key, array in model.state_dict().items():
        np.testing.assert_array_equal(other.state_dict()[key], array)
    third = net(5)
    optimizer, again = mg.Adam(model, 0.01), mg.Adam(third, 0.01)
    x, target = batch()
    mg.rules.Backprop().estimate(model, mg.CrossEntropyLoss(), x, target)
    optimizer.step()
    mg.save(tmp_path / "run.npz", model, optimizer=optimizer)
    mg.load(tmp_path / "run.npz", third, optimizer=again)
    for one, its_optimizer in ((model, optimizer), (third, again)):
        mg.rules.Backprop().estimate(one, mg.CrossEntropyLoss(), x, target)
        its_optimizer.step()
    for key, array in model.state_dict().items():
        np.testing.assert_array_equal(third.state_dict()[key], array)


def test_its_names_in_pytorch():
    torch = pytest.importorskip("torch")
    model = net()
    twin, x = torch_twin(model), batch()[0]
    assert list(twin.state_dict()) == list(mg.to_torch_state_dict(model))
    with torch.no_grad():
        y = twin(torch.from_numpy(to_host(x))).numpy()
    np.testing.assert_allclose(to_host(model.forward(x)), y, rtol=1e-12)


def test_what_is_refused(xp):
    with pytest.raises(ValueError, match="at least one layer"):
        mg.Residual()
    with pytest.raises(TypeError, match="takes layers, got function"):
        mg.Residual(lambda x: x)
    layer = mg.Residual(mg.Linear(4, 3))
    message = r"x has \(2, 4\), f\(x\) has \(2, 3\); or give a shortcut"
    with pytest.raises(ValueError, match=message):
        layer.forward(xp.ones((2, 4), "float32"))
    with pytest.raises(ValueError, match=message):
        layer.forward_jvp(xp.ones((2, 4), "float32"), None)
    with pytest.raises(TypeError, match=r"got list; for several write shortcut=Sequential\("):
        mg.Residual(mg.Linear(4, 3), shortcut=[mg.Linear(4, 3)])
    layer = mg.Residual(mg.Linear(4, 3), shortcut=mg.Linear(4, 5))
    with pytest.raises(ValueError, match=r"f\(x\) has \(2, 3\), s\(x\) has \(2, 5\)"):
        layer.forward(xp.ones((2, 4), "float32"))
    with pytest.raises(ValueError, match="out_channels must be at least in_channels, 4"):
        mg.Subsample(4, 3)
    with pytest.raises(ValueError, match=r"Subsample expected x of shape \(N, 4, H, W\)"):
        mg.Subsample(4, 5).forward(xp.ones((2, 3, 5, 5), "float32"))


def test_freezing_it_freezes_what_is_inside():
    model = net()
    model[2].frozen = True
    assert mg.freeze(model, "4.2") == ["4.2.0"]  # the shortcut
    before = model.state_dict()
    x, target = batch()
    mg.rules.Backprop().estimate(model, mg.CrossEntropyLoss(), x, target)
    mg.SGD(model, 0.1).step()
    moved = {name for name, array in model.state_dict().items() if (array != before[name]).any()}
    assert moved == set(NAMES) - set(NAMES[2:6]) - {"4.2.0.W", "4.2.0.b"}
