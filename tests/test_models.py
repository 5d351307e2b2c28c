"""The seeds' networks: sizes, summaries, starts; and Sequential's own manners."""

import numpy as np
import pytest

import minigrad as mg
from minigrad.backend import to_device, to_host

SIZES = {
    "ds4420_toy": 8,
    "ds4420_mlp": 25_450,
    "lenet": 431_080,
    "wtb_mlp": 89_610,
    "gist_mlp": 79_510,
    "dni_mlp": 784 * 256 + 256 + 2 * (256 * 256 + 256) + 256 * 10 + 10 + 3 * 512,
    "forward_mlp": 1_863_690,
    "forward_convnet": 10 * 64 + 3 * 577 * 64 + 1025 * 1024 + 10_250,
    "logistic": 7_850,
}


@pytest.mark.parametrize("name", SIZES)
def test_sizes_and_starts(name):
    make = getattr(mg.models, name)
    model = make(seed=1)
    assert sum(a.size for a in model.params.values()) == SIZES[name]
    again, other = make(seed=1).state_dict(), make(seed=2).state_dict()
    state = model.state_dict()
    assert all(np.array_equal(state[k], again[k]) for k in state)
    assert any(not np.array_equal(state[k], other[k]) for k in state)
    assert {a.dtype for k, a in state.items() if "num" not in k} == {np.dtype("float32")}
    x = to_device(np.zeros((2, 3) if name == "ds4420_toy" else (2, 1, 28, 28), "float64"))
    assert make(seed=1, dtype="float64").forward(x).shape == (2, 1 if name == "ds4420_toy" else 10)


def test_layers_of_one_net_do_not_start_alike():
    W = mg.models.forward_mlp(seed=0).state_dict()["3.W"].ravel()
    V = mg.models.forward_mlp(seed=0).state_dict()["1.W"].ravel()
    assert abs(np.corrcoef(W[: V.size], V[: W.size])[0, 1]) < 0.01


def test_summary_is_the_seeds_table(capsys):
    model = mg.models.lenet(seed=0)
    summary = model.summary((1, 28, 28))
    printed = capsys.readouterr().out
    assert printed == summary + "\n"
    parameters = {row.name: row.parameters for row in summary.rows if row.parameters}
    assert parameters == {
        "Conv2d-0": 520,
        "Conv2d-3": 25_050,
        "Linear-8": 400_500,
        "Linear-11": 5_010,
    }
    shapes = {row.name: row.shape for row in summary.rows}
    assert shapes["Conv2d-0"] == (20, 24, 24)
    assert shapes["Conv2d-3"] == (50, 8, 8)
    assert summary.parameters == 431_080
    assert "431,080 (1.64 MiB)" in printed
    assert "(N, 50, 4, 4)" in printed
    assert summary.parameter_bytes == 4 * 431_080
    assert repr(summary) == "<Summary of 12 layers, 431,080 parameters>"


def test_summary_leaves_the_linearisation_alone(rng):
    model = mg.models.dni_mlp(seed=0)
    x = to_device(rng.random((4, 1, 28, 28), dtype="float32"))
    y = model.forward(x)
    before = model.state_dict()
    expected = to_host(model.backward(y)).copy()
    model.summary((1, 28, 28))
    np.testing.assert_array_equal(to_host(model.backward(y)), expected)
    after = model.state_dict()
    assert all(np.array_equal(before[k], after[k]) for k in before)


def test_summary_finds_the_input_of_a_net_that_starts_linear():
    assert mg.models.ds4420_mlp(seed=0).summary() == mg.models.ds4420_mlp(seed=1).summary((784,))
    with pytest.raises(ValueError, match="give summary the shape of one example"):
        mg.models.lenet(seed=0).summary()


def test_summary_of_a_shape_that_does_not_fit_says_so():
    with pytest.raises(ValueError, match=r"Linear expected x of shape \(N, 784\), got \(1, 81\)"):
        mg.models.ds4420_mlp(seed=0).summary((1, 9, 9))


def test_predict_is_evaluation_in_batches_and_keeps_nothing(rng):
    net = mg.Sequential(mg.Linear(4, 3, seed=0), mg.BatchNorm1d(3), mg.Dropout(0.5, seed=0))
    x = to_device(rng.random((7, 4), dtype="float32"))
    whole = net.forward(x, train=False)
    parts = net.predict(x, batch_size=3)
    # BLAS may round a product of 1 row otherwise than one of 7: a last digit of terms of order 1
    np.testing.assert_allclose(to_host(parts), to_host(whole), rtol=1e-6, atol=2e-7)
    assert net.predict(x[:0]).shape == (0, 3)
    no_images = to_device(np.zeros((0, 1, 28, 28), "float32"))
    assert mg.models.lenet(seed=0).predict(no_images).shape == (0, 10)
    with pytest.raises(RuntimeError, match="call forward"):
        net.backward(parts)
    with pytest.raises(ValueError, match="batch_size"):
        net.predict(x, batch_size=0)


def test_params_and_grads_are_flat_and_live(rng):
    net = mg.Sequential(mg.Linear(4, 3, seed=0), mg.Sequential(mg.Tanh(), mg.Linear(3, 2, seed=1)))
    assert list(net.params) == ["0.W", "0.b", "1.1.W", "1.1.b"]
    assert net.params["1.1.W"] is net.layers[1].layers[1].params["W"]
    assert net.grads == {}
    y = net.forward(to_device(rng.random((5, 4), dtype="float32")))
    net.backward_params(y)
    assert net.grads.keys() == net.params.keys()
    assert net.grads["0.W"] is net.layers[0].grads["W"]
    assert net.dtype == "float32"
    assert mg.Sequential(mg.ReLU()).dtype is None
    assert repr(net).splitlines()[0] == "Sequential("
    assert "    1: Linear(3, 2)" in repr(net)


def test_backward_params_stops_at_the_first_parameters(rng):
    class First(mg.Linear):
        def backward(self, dy):
            raise AssertionError("nothing uses this dx")

        def backward_params(self, dy):
            super().backward_params(dy)

    class Below(mg.ReLU):
        def backward(self, dy):
            raise AssertionError("there is nothing to learn below")

    net = mg.Sequential(Below(), First(4, 3, seed=0), mg.Tanh(), mg.Linear(3, 2, seed=1))
    y = net.forward(to_device(rng.random((5, 4), dtype="float32")))
    net.backward_params(y)
    assert net.grads.keys() == net.params.keys()
    empty = mg.Sequential(mg.ReLU())
    empty.forward(y)
    empty.backward_params(y)


def test_layers_that_stand_still_are_skipped_by_jvp(rng):
    net = mg.Sequential(mg.Flatten(), mg.Linear(4, 3, seed=0), mg.Tanh(), mg.Linear(3, 2, seed=1))
    net.forward(to_device(rng.random((5, 4), dtype="float32")))
    dot = {k: to_device(rng.random(a.shape, dtype="float32")) for k, a in net.params.items()}
    top = {k: v for k, v in dot.items() if k.startswith("3")}
    bottom = {k: v for k, v in dot.items() if k.startswith("1")}
    both = to_host(net.jvp(None, top)) + to_host(net.jvp(None, bottom))
    np.testing.assert_allclose(to_host(net.jvp(None, dot)), both, rtol=1e-5)
    assert net.jvp(None, None) is None
    for key in ("9.W", "W", "x.W"):
        with pytest.raises(KeyError, match="the model's names are"):
            net.jvp(None, {key: dot["1.W"]})


@pytest.mark.on_host
def test_what_is_no_layer_is_refused():
    with pytest.raises(TypeError, match=r"Sequential\(\*layers\)"):
        mg.Sequential([mg.ReLU()])
    layer = mg.ReLU()
    for layers in ((layer, layer), (layer, mg.Sequential(layer))):
        with pytest.raises(ValueError, match="twice"):
            mg.Sequential(*layers)
    with pytest.raises(ValueError, match="activation must be one of"):
        mg.models.mlp((2, 3), "swish")
    with pytest.raises(ValueError, match="sizes needs"):
        mg.models.mlp((2,))


def test_load_checks_everything_before_it_touches_anything():
    net = mg.models.gist_mlp(seed=0)
    before = net.state_dict()
    good = mg.models.gist_mlp(seed=1).state_dict()
    last = list(good)[-1]
    bad_states = [
        (KeyError, {k: v for k, v in good.items() if k != last}),
        (KeyError, good | {"7.W": good[last]}),
        (ValueError, good | {last: good[last][:-1]}),
        (TypeError, good | {last: good[last].astype("float64")}),
    ]
    for error, state in bad_states:
        with pytest.raises(error, match=rf"{last}|7\.W"):
            net.load_state_dict(state)
        after = net.state_dict()
        assert all(np.array_equal(before[k], after[k]) for k in before)
    params = net.params
    net.load_state_dict(mg.models.gist_mlp(seed=1).params)  # arrays of either side will do
    assert all(np.array_equal(good[k], a) for k, a in net.state_dict().items())
    net.load_state_dict(good)
    assert all(net.params[k] is a for k, a in params.items())  # an optimiser still holds them
    assert all(np.array_equal(good[k], a) for k, a in net.state_dict().items())


def test_state_is_a_copy():
    net = mg.models.logistic(seed=0)
    state = net.state_dict()
    state["1.W"] += 1
    assert not np.array_equal(state["1.W"], net.state_dict()["1.W"])
