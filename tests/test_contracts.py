"""Contracts that cannot fail silently: each fault here was once made without a word."""

import json
import math
from itertools import pairwise

import numpy as np
import pytest

import minigrad as mg
from minigrad.arguments import check_belongs
from minigrad.backend import to_device, to_host
from minigrad.layers import holding
from minigrad.layers.flat import Flat
from minigrad.layers.sharing import tied
from minigrad.rules import Backprop, ForwardGradient


def net(dtype="float64", sizes=(4, 5, 3)):
    layers = []
    for i, (a, b) in enumerate(pairwise(sizes)):
        layers += [mg.Linear(a, b, dtype=dtype, seed=i), mg.Tanh()]
    return mg.Sequential(*layers[:-1])


def batch(n=6, d=4, classes=3, dtype="float64", seed=0):
    rng = np.random.default_rng(seed)
    x = to_device(rng.standard_normal((n, d)).astype(dtype))
    return x, to_device(rng.integers(0, classes, n))


def dataset(n=20, d=4, classes=3, dtype="float64"):
    x, y = batch(n, d, classes, dtype)
    return mg.data.Dataset(x, y, classes=classes)


def changed(before, after):
    return {key for key in before if not np.array_equal(before[key], after[key])}


# ------------------------------------------------------------------ layers and arrays in attributes


class Held(mg.Layer):
    def __init__(self, **attributes):
        super().__init__()
        for name, value in attributes.items():
            setattr(self, name, value)


class Shortcut(mg.Sequential):
    """A network with a layer that is none of its `layers`."""

    def __init__(self, *layers, shortcut):
        super().__init__(*layers)
        self.shortcut = shortcut


LINEAR = mg.Linear(4, 3, seed=0)
INSIDE = {
    "inner": {"inner": LINEAR},
    "blocks[1]": {"blocks": [mg.ReLU, LINEAR]},
    "by_name['a']": {"by_name": {"a": LINEAR}},
    "pair[0]": {"pair": (LINEAR,)},
    "some[0]": {"some": {LINEAR}},
    "deep['x'][0][0]": {"deep": {"x": [[LINEAR]]}},
}


@pytest.mark.parametrize(("name", "attributes"), INSIDE.items(), ids=list(INSIDE))
@pytest.mark.on_host
def test_layers_in_attributes_are_found_wherever_they_are(name, attributes):
    """In a list or a dict they were never trained, and nothing said so."""
    layer = Held(**attributes)
    for use in (
        lambda: list(layer.leaves()),
        lambda: mg.SGD(layer, 0.1),
        lambda: mg.SGD(mg.Sequential(layer, mg.Linear(3, 2, seed=0)), 0.1),
        layer.state_dict,
    ):
        with pytest.raises(TypeError) as error:
            use()
        assert f"Held holds layers of its own ({name})" in str(error.value)
        assert "derive it from Sequential" in str(error.value)


@pytest.mark.on_host
def test_a_network_s_layer_outside_its_layers_is_found():
    linear = mg.Linear(4, 4, seed=0)
    with pytest.raises(TypeError, match="shortcut"):
        mg.SGD(Shortcut(mg.Linear(4, 4, seed=1), shortcut=linear), 0.1)
    assert mg.SGD(Shortcut(mg.Tanh(), linear, shortcut=linear), 0.1)  # a second name is none
    looped = Held(own=[])
    looped.own.append(looped.own)
    looped.me = looped
    assert list(looped.leaves()) == [("", looped)]


@pytest.mark.on_host
def test_arrays_in_attributes_are_told_by_name():
    array, other = np.ones(3), np.ones((2, 2), "float32")
    layer = Held(scale=array, parts=[1, other], n=3, labels=np.arange(3), number=np.float64(2))
    layer.params["W"] = layer.alias = np.ones(2)
    layer.buffers["mean"] = np.ones(2)
    layer.cache = np.ones(2)
    assert layer.unregistered().keys() == {"scale", "parts[1]"}
    assert layer.unregistered()["scale"] is array
    block = mg.Sequential(mg.Tanh(), layer)
    block.alpha = np.ones(1)
    assert mg.Sequential(block).unregistered().keys() == {"0.alpha", "0.1.scale", "0.1.parts[1]"}
    for known in (mg.models.mlp((4, 3), seed=0), mg.functions.Ravine(), mg.BatchNorm1d(3)):
        assert known.unregistered() == {}


def test_an_optimiser_without_parameters_is_refused(xp):
    """It stepped nothing, and the loss stayed where it was."""
    with pytest.raises(ValueError, match="this one has none: it would learn nothing"):
        mg.SGD(mg.Sequential(mg.Tanh()), 0.1)
    layer = Held(scale=xp.ones(3))
    with pytest.raises(ValueError, match=r"self\.scale is an array but not in params"):
        mg.SGD(layer, 0.1)
    layer.shift = xp.ones(3)
    with pytest.raises(ValueError, match=r"self\.scale, self\.shift are arrays but not in params"):
        mg.Adam(layer, 0.1)


@pytest.mark.parametrize(
    ("given", "got"),
    [
        (lambda m: m.params, "a Flat"),
        (lambda m: list(m.params.values()), "a list"),
        (lambda m: mg.Sequential, "the class Sequential"),
        (lambda m: None, "a NoneType"),
    ],
)
def test_an_optimiser_takes_the_model(given, got):
    with pytest.raises(TypeError, match=f"SGD.*steps the parameters of a model, got {got}: pass"):
        mg.SGD(given(net()), 0.1)


def test_a_gradient_of_no_parameter_is_refused(rng):
    """A layer that keeps its scale out of params wrote grads["scale"] for nothing."""
    model = net()
    optimizer = mg.SGD(model, 0.1)
    Backprop().estimate(model, mg.CrossEntropyLoss(), *batch())
    model[0].grads["scale"] = model[0].grads["b"]
    before = model.state_dict()
    with pytest.raises(KeyError, match=r"0\.Linear\.backward wrote gradients for \['scale'\]"):
        optimizer.step()
    assert not changed(before, model.state_dict())
    model[0].grads = {"W": model[0].grads["W"], "b": 0.5}
    with pytest.raises(TypeError, match=r"0\.b: .* wrote 0\.5, a float, and not an array"):
        optimizer.step()


# ------------------------------------------------------------------ a network's dicts


def test_a_networks_params_and_grads_are_written_through():
    """Gradients clipped by hand, and weights set by name, changed nothing."""
    inner = net(sizes=(5, 2))
    model = mg.Sequential(mg.Linear(4, 5, dtype="float64", seed=0), mg.Tanh(), inner)
    params, grads = model.params, model.grads
    assert list(params) == ["0.W", "0.b", "2.0.W", "2.0.b"]
    assert len(grads) == 0
    assert not grads
    Backprop().estimate(model, mg.CrossEntropyLoss(), *batch(classes=2))
    assert grads.keys() == params.keys()  # it shows what the layers have now
    new = to_device(np.full((5, 2), 7.0))
    params["2.0.W"] = new
    assert inner[0].params["W"] is new
    before = to_host(grads["0.W"]).copy()
    grads["0.W"] *= 0.5
    np.testing.assert_array_equal(to_host(model[0].grads["W"]), 0.5 * before)
    grads["2.0.b"] = 3 * grads["2.0.b"]
    del grads["0.b"]
    assert model[0].grads.keys() == {"W"}
    model.grads |= {"0.b": to_device(np.zeros(5))}
    assert model[0].grads.keys() == {"W", "b"}
    grads.update({"0.b": to_device(np.ones(5))})
    assert to_host(model[0].grads["b"]).tolist() == [1] * 5
    assert grads.pop("0.b") is not None
    assert "0.b" not in grads
    grads.clear()
    assert all(leaf.grads == {} for _, leaf in model.leaves())
    model.grads = {"0.b": to_device(np.ones(5))}
    assert grads.keys() == {"0.b"}
    model.grads = {}
    assert grads == {}


def test_a_networks_dicts_are_like_dicts():
    model = net()
    params, plain = model.params, dict(model.params)
    assert isinstance(params, Flat)
    assert repr(params) == repr(plain)
    assert params == params.copy()
    assert type(params.copy()) is dict
    assert list((params | {"x": 1}).items())[-1] == ("x", 1)
    assert list({"x": 1} | params) == ["x", *plain]
    assert next(iter(params.values())) is plain["0.W"]
    assert params.get("7.W") is None
    assert "0.W" in params
    assert "0.gamma" not in params
    assert 3 not in params
    model.params = plain
    assert all(model.params[k] is a for k, a in plain.items())


@pytest.mark.parametrize("key", ["1.W", "7.W", "0.gamma", "W", "0.", "-1.W", "0.W.x", 3, ""])
def test_unknown_names_are_refused_with_the_known_ones(key):
    model = mg.Sequential(net(), net())
    value = to_device(np.ones((4, 5)))
    for mapping in (model.params, model.grads):
        with pytest.raises(KeyError, match=r"the model's names are \['0\.0\.W', "):
            mapping[key] = value
        with pytest.raises(KeyError, match="model's names"):
            mapping[key]
        with pytest.raises(KeyError, match="model's names"):
            del mapping[key]
    with pytest.raises(KeyError, match="no gradient yet"):
        model.grads["0.0.W"]
    with pytest.raises(KeyError, match="params needs"):
        model.params = {"0.0.W": value}


@pytest.mark.parametrize("kind", ["params", "grads"])
def test_what_does_not_fit_is_refused(kind):
    model = net()
    mapping, before = getattr(model, kind), dict(getattr(model, kind))
    with pytest.raises(ValueError, match=rf"{kind}\['0.W'\]: expected shape \(4, 5\), got \(5, 4"):
        mapping["0.W"] = to_device(np.ones((5, 4)))
    with pytest.raises(TypeError, match=r"expected float64, got float32; cast with .astype"):
        mapping["0.W"] = to_device(np.ones((4, 5), "float32"))
    with pytest.raises(TypeError, match="expected a NumPy or CuPy array, got float"):
        mapping["0.W"] = 0.5
    assert all(mapping[key] is array for key, array in before.items())


def test_clipping_by_hand_clips(rng):
    model = net()
    optimizer = mg.SGD(model, 1.0)
    Backprop().estimate(model, mg.CrossEntropyLoss(), *batch())
    for name in model.grads:
        grad = model.grads[name]
        model.grads[name] = mg.backend.array_module(grad).clip(grad, -1e-3, 1e-3)
    before = model.state_dict()
    optimizer.step()
    moved = max(np.abs(a - before[key]).max() for key, a in model.state_dict().items())
    assert 0 < moved <= 1e-3 * (1 + 1e-9)


# ------------------------------------------------------------------ shared arrays


def tied_net(dtype="float64"):
    """Two square layers with one W, biases of their own, and a top."""
    a, b = (mg.Linear(4, 4, dtype=dtype, seed=i) for i in (0, 1))
    b.params["W"] = a.params["W"]
    return mg.Sequential(a, mg.Tanh(), b, mg.Tanh(), mg.Linear(4, 3, dtype=dtype, seed=2))


OPTIMIZERS = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9}),
    ("SGD", {"lr": 0.1, "weight_decay": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    ("Adam", {"lr": 0.01}),
    ("Adam", {"lr": 0.01, "weight_decay": 0.1}),
    ("AdamW", {"lr": 0.01, "weight_decay": 0.1}),
    ("RMSprop", {"lr": 0.01, "weight_decay": 0.1, "momentum": 0.5}),
    ("Adagrad", {"lr": 0.1, "weight_decay": 0.1}),
]


@pytest.mark.parametrize(("name", "settings"), OPTIMIZERS, ids=[f"{n}{s}" for n, s in OPTIMIZERS])
@pytest.mark.parametrize("by_name", [False, True])
def test_tied_weights_are_pytorchs(name, settings, by_name):
    """Stepped twice, they were wrong under momentum, weight decay and Adam."""
    torch = pytest.importorskip("torch")
    model = tied_net()
    if by_name:  # set by flat name, and after the optimiser was made
        model = mg.Sequential(*mg.Sequential(*tied_net().layers).layers)
        model[2].params["W"] = model[2].params["W"].copy()
    optimizer = getattr(mg, name)(model, **settings)
    if by_name:
        model.params["2.W"] = model.params["0.W"]
    linear = [torch.nn.Linear(a, b).double() for a, b in ((4, 4), (4, 4), (4, 3))]
    twin = torch.nn.Sequential(linear[0], torch.nn.Tanh(), linear[1], torch.nn.Tanh(), linear[2])
    state = mg.to_torch_state_dict(model)
    twin.load_state_dict({key: torch.from_numpy(a) for key, a in state.items()})
    linear[1].weight = linear[0].weight
    twin_optimizer = getattr(torch.optim, name)(twin.parameters(), **settings)
    for step in range(4):
        x, y = batch(seed=step)
        Backprop().estimate(model, mg.CrossEntropyLoss(), x, y)
        optimizer.step()
        twin_optimizer.zero_grad()
        output = twin(torch.from_numpy(to_host(x)))
        torch.nn.functional.cross_entropy(output, torch.from_numpy(to_host(y))).backward()
        twin_optimizer.step()
    for key, array in mg.to_torch_state_dict(model).items():
        theirs = twin.state_dict()[key].numpy()
        np.testing.assert_allclose(array, theirs, rtol=1e-9, atol=1e-12, err_msg=key)
    assert model.params["0.W"] is model.params["2.W"]
    assert "2.W" not in optimizer.state


def test_a_shared_arrays_state_survives():
    models = tied_net(), tied_net()
    optimizers = [mg.Adam(model, 0.01) for model in models]
    Backprop().estimate(models[0], mg.CrossEntropyLoss(), *batch())
    optimizers[0].step()
    models[1].load_state_dict(models[0].state_dict())
    optimizers[1].load_state_dict(optimizers[0].state_dict())
    for model, optimizer in zip(models, optimizers, strict=True):
        Backprop().estimate(model, mg.CrossEntropyLoss(), *batch(seed=1))
        optimizer.step()
    assert not changed(models[0].state_dict(), models[1].state_dict())


def test_a_shared_array_is_left_out_only_when_all_its_layers_are():
    model, twin = tied_net(), tied_net()
    optimizer = mg.SGD(model, 0.1)
    Backprop().estimate(model, mg.CrossEntropyLoss(), *batch())
    model[0].grads = {}
    grad = to_host(model[2].grads["W"]).copy()
    optimizer.step()
    moved = to_host(model.params["0.W"]) - to_host(twin.params["0.W"])
    np.testing.assert_allclose(moved, -0.1 * grad, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    "view", [lambda a: a.T, lambda a: a[:], lambda a: a.reshape(4, 4), lambda a: a[::-1]]
)
def test_views_of_each_other_are_refused(view):
    """W and W.T are two arrays and the same numbers: each step moved them twice."""
    a, b = (mg.Linear(4, 4, seed=i) for i in (0, 1))
    model = mg.Sequential(a, b)
    optimizer = mg.SGD(model, 0.1)
    b.params["W"] = view(a.params["W"])
    with pytest.raises(ValueError, match=r"0\.W and 1\.W are two arrays in the same memory"):
        mg.SGD(model, 0.1)
    Backprop().estimate(model, mg.CrossEntropyLoss(), *batch(classes=4, dtype="float32"))
    before = model.state_dict()
    with pytest.raises(ValueError, match="same memory"):
        optimizer.step()
    assert not changed(before, model.state_dict())


def test_parts_of_one_array_that_do_not_overlap_are_fine(xp):
    whole = xp.zeros((4, 6), "float32")
    a, b = (mg.Linear(4, 3, seed=i) for i in (0, 1))
    a.params["W"], b.params["W"] = whole[:, ::2], whole[:, 1::2]
    assert tied({"a": a.params["W"], "b": b.params["W"]}) == {}


def test_conflicting_values_for_a_shared_array_are_refused():
    """The last one won."""
    model = tied_net()
    before = state = model.state_dict()
    state = state | {"2.W": state["2.W"] + 1}
    with pytest.raises(ValueError, match=r"0\.W and 2\.W are one array.*same values"):
        model.load_state_dict(state)
    assert not changed(before, model.state_dict())
    model.load_state_dict(before)


@pytest.mark.on_host
def test_a_shared_array_is_counted_once(capsys):
    text = tied_net("float32").summary()
    assert text.parameters == 16 + 4 + 4 + 15
    assert text.parameter_bytes == 4 * text.parameters
    assert [row.parameters for row in text.rows] == [20, 0, 4, 0, 15]
    assert f"parameters: {text.parameters}" in capsys.readouterr().out


@pytest.mark.on_host
def test_tied_weights_do_not_go_to_two_processes():
    model = tied_net("float32")
    with pytest.raises(ValueError, match=r"are one array in two blocks"):
        mg.asynchronous.fit(
            model,
            mg.CrossEntropyLoss(),
            Backprop(),
            mg.SGD(model, 0.1),
            dataset(dtype="float32"),
            epochs=1,
            batch_size=5,
        )


def test_the_summary_of_a_layer_made_of_layers_is_one_row():
    """It went through the inner layers one after another, whatever forward did."""

    class Double(mg.Sequential):
        def forward(self, x, train=True):
            y = super().forward(x, train)
            return mg.backend.array_module(y).concatenate([y, y], axis=1)

    text = mg.Sequential(Double(mg.Linear(4, 3, seed=0)), mg.Linear(6, 2, seed=1)).summary()
    assert [(row.name, row.shape, row.parameters) for row in text.rows] == [
        ("Double-0", (6,), 15),
        ("Linear-1", (2,), 14),
    ]


# ------------------------------------------------------------------ an optimiser of another model


STALE = {
    "replaced": lambda m: setattr(m, "layers", (mg.Linear(4, 3, dtype="float64", seed=9),)),
    "appended": lambda m: setattr(m, "layers", (*m.layers, mg.Tanh())),
    "replaced inside": lambda m: setattr(m[0], "layers", (mg.Tanh(),)),
}


@pytest.mark.parametrize("change", STALE.values(), ids=list(STALE))
def test_layers_that_came_after_the_optimiser_are_seen(change):
    """They never learned, and nothing said so."""
    model = mg.Sequential(net(sizes=(4, 4)), mg.Linear(4, 3, dtype="float64", seed=0))
    optimizer = mg.SGD(model, 0.1)
    change(model)
    for use in (
        optimizer.step,
        lambda: check_belongs(model, optimizer, None),
        lambda: mg.fit(
            model,
            mg.CrossEntropyLoss(),
            Backprop(),
            optimizer,
            dataset(),
            epochs=1,
            batch_size=5,
        ),
    ):
        with pytest.raises(ValueError, match=r"make it anew, SGD\(model, lr=...\)"):
            use()
    mg.SGD(model, 0.1).step()


def test_an_optimiser_of_the_net_that_was_made_longer_is_refused():
    short = net(sizes=(4, 3))
    optimizer = mg.SGD(short, 0.1)
    model = mg.Sequential(*short.layers, mg.Linear(3, 3, dtype="float64", seed=4))
    with pytest.raises(ValueError, match=r"layers \['1\.'\] would never move.*SGD\(model\[2:\], "):
        check_belongs(model, optimizer, None)
    for part in (model[:1], model[0], model):  # a part, on purpose
        check_belongs(model, mg.SGD(part, 0.1), None)


def test_a_parameter_that_comes_later_learns(rng):
    class Gain(mg.Layer):
        def forward(self, x, train=True):
            self.cache = x
            return x * self.params["gain"] if "gain" in self.params else x.copy()

        def backward(self, dy):
            if "gain" not in self.params:
                return dy.copy()
            self.grads["gain"] = (dy * self.recall()).sum(axis=0)
            return dy * self.params["gain"]

    layer = Gain("float64")
    model = mg.Sequential(layer, net(sizes=(4, 3)))
    optimizer = mg.Adam(model, 0.1)
    layer.params["gain"] = to_device(np.ones(4))
    Backprop().estimate(model, mg.CrossEntropyLoss(), *batch())
    optimizer.step()
    assert (to_host(layer.params["gain"]) != 1).all()


@pytest.mark.on_host
def test_layers_are_checked_when_they_are_set():
    model = net()
    with pytest.raises(TypeError, match="takes layers, got int at 1"):
        model.layers = [mg.Tanh(), 3]
    with pytest.raises(ValueError, match="stands in the net twice"):
        model.layers = (model[0], model[0])
    assert len(model) == 3
    model.layers = [mg.Tanh()]
    assert isinstance(model.layers, tuple)


# ------------------------------------------------------------------ random layers


class GaussianNoise(mg.Layer):
    """y = x + noise in training, written as the docstrings of `once` and `reseed` say."""

    def __init__(self, sigma=0.3, seed=0, dtype=None):
        super().__init__(dtype)
        self.sigma = sigma
        self.reseed(seed)

    def reseed(self, seed):
        self.rng = np.random.default_rng(seed)

    def draw(self, x):
        return to_device((self.sigma * self.rng.standard_normal(x.shape)).astype(x.dtype), like=x)

    def forward(self, x, train=True):
        self.check_input(x)
        self.cache = True
        if not train:
            return x.copy()
        return x + self.once(f"noise {x.shape}", lambda: self.draw(x))

    def backward(self, dy):
        self.recall()
        return dy.copy()

    def jvp(self, x_dot, params_dot=None):
        self.recall()
        return x_dot.copy()


class RandomDepth(mg.Sequential):
    """A network with a random choice of its own: half of its passes skip it."""

    def __init__(self, *layers):
        super().__init__(*layers)
        self.rng = np.random.default_rng(0)

    def reseed(self, seed):
        super().reseed(seed)
        self.rng = np.random.default_rng(seed)

    def forward(self, x, train=True):
        factor = self.once("factor", lambda: self.rng.random())
        self.cache = factor
        return factor * super().forward(x, train)

    def backward(self, dy):
        return super().backward(self.recall() * dy)

    def jvp(self, x_dot, params_dot=None):
        return self.recall() * super().jvp(x_dot, params_dot)


@pytest.mark.parametrize("kind", ["noise", "depth"])
@pytest.mark.parametrize("scheme", ["central", "one-sided"])
def test_a_random_layer_written_from_the_docstrings_has_right_differences(kind, scheme):
    """Noise drawn anew for each evaluation gave directions of any kind, 1000 times too long."""
    inner = net(sizes=(4, 5, 3))
    model = (
        mg.Sequential(GaussianNoise(), inner, GaussianNoise())
        if kind == "noise"
        else mg.Sequential(RandomDepth(inner), mg.Tanh())
    )
    assert mg.gradcheck.check(model, batch()[0])
    loss, (x, y) = mg.CrossEntropyLoss(), batch()
    model.reseed(5)
    Backprop().estimate(model, loss, x, y)
    expected = {key: to_host(g).copy() for key, g in model.grads.items()}
    n = sum(a.size for a in model.params.values())
    model.reseed(5)
    rule = ForwardGradient(n, "orthonormal", "finite-difference", scheme=scheme)
    rule.estimate(model, loss, x, y)
    for key, grad in model.grads.items():
        np.testing.assert_allclose(to_host(grad), expected[key], atol=1e-5, err_msg=key)


def test_holding_ends_with_its_block():
    model = mg.Sequential(RandomDepth(GaussianNoise()))
    x = batch()[0]
    with holding(model):
        first = to_host(model(x)).copy()
        with holding(model):
            np.testing.assert_array_equal(to_host(model(x)), first)
        np.testing.assert_array_equal(to_host(model(x)), first)
    assert not np.array_equal(to_host(model(x)), first)


def test_dropping_the_cache_drops_that_of_a_network_with_a_forward_of_its_own():
    model = mg.Sequential(RandomDepth(mg.Tanh()))
    model(batch()[0])
    model.drop_cache()
    assert model[0].cache is None
    with pytest.raises(RuntimeError, match="call forward"):
        model[0].recall()


# ------------------------------------------------------------------ labels, targets, inputs


@pytest.mark.parametrize("make", [mg.CrossEntropyLoss, mg.NLLLoss])
@pytest.mark.parametrize(
    ("dtype", "C"), [("uint8", 256), ("uint8", 300), ("int8", 200), ("int16", 40000), ("uint64", 9)]
)
def test_labels_may_be_of_a_narrow_dtype(make, dtype, C, rng):
    """256 classes are too many for uint8 to count: it raised OverflowError."""
    z = to_device(rng.standard_normal((5, C)))
    labels = rng.integers(0, min(C, np.iinfo(dtype).max + 1), 5)
    narrow, wide = (make() for _ in range(2))
    values = [
        loss.forward(z, to_device(labels.astype(kind)))
        for loss, kind in ((narrow, dtype), (wide, "int64"))
    ]
    assert values[0] == values[1]
    np.testing.assert_array_equal(to_host(narrow.backward()), to_host(wide.backward()))
    assert narrow.jvp(z) == wide.jvp(z)
    bad = labels.astype("int64")
    bad[2] = C
    with pytest.raises(ValueError, match=rf"labels must be in \[0, {C}\)"):
        narrow.forward(z, to_device(bad))


def test_a_data_set_may_have_labels_of_a_narrow_dtype(rng):
    y = np.arange(256).astype("uint8")
    x = to_device(rng.random((256, 4)).astype("float32"))
    data = mg.data.Dataset(x, to_device(y), classes=256)
    model = mg.Sequential(mg.Linear(4, 256, seed=0))
    history = mg.fit(
        model,
        mg.CrossEntropyLoss(),
        Backprop(),
        mg.SGD(model, 0.1),
        data,
        epochs=1,
        batch_size=100,
    )
    assert math.isfinite(history.train_loss[0])
    with pytest.raises(ValueError, match=r"labels must be in \[0, 100\), got -128 to 127"):
        mg.data.Dataset(x, to_device(np.arange(256).astype("int8")), classes=100)


@pytest.mark.parametrize("value", [-0.1, 1.1, 3.0, float("nan"), float("-inf")])
def test_bce_refuses_targets_outside_0_1(value, rng):
    """It gave a negative loss."""
    p, t = to_device(rng.uniform(0.1, 0.9, (4, 3))), rng.random((4, 3))
    t[1, 2] = value
    with pytest.raises(ValueError, match=r"targets in \[0, 1\], got"):
        mg.BCELoss()(p, to_device(t))
    assert np.isnan(to_host(mg.BCELoss().each(p, to_device(t)))).tolist() == [
        False,
        True,
        False,
        False,
    ]
    t[1, 2] = 1.0
    assert mg.BCELoss()(p, to_device(t)) > 0


@pytest.mark.on_host
def test_bce_looks_at_targets_only_when_the_loss_is_nan(monkeypatch):
    """A run whose output is NaN is not told that its targets are wrong."""
    p, t = np.full((2, 1), np.nan), np.ones((2, 1))
    with np.errstate(invalid="ignore"):
        assert math.isnan(mg.BCELoss()(p, t))


NUMBER = np.array(0.5, "float32")
LAYERS = [
    lambda: mg.Linear(4, 3, seed=0),
    lambda: mg.Conv2d(1, 2, 3, seed=0),
    lambda: mg.MaxPool2d(2),
    lambda: mg.BatchNorm1d(3),
    lambda: mg.BatchNorm2d(3),
    lambda: mg.Dropout(0.5),
    mg.Flatten,
    mg.ReLU,
    mg.Sigmoid,
    mg.Tanh,
    mg.Softmax,
    mg.LogSoftmax,
    lambda: mg.Sequential(mg.ReLU()),
    mg.functions.Beale,
]


@pytest.mark.parametrize("make", LAYERS)
def test_a_single_number_is_no_batch(make, xp):
    with pytest.raises(ValueError, match=r"expected x of shape \(N.*got \(\)"):
        make().forward(xp.asarray(NUMBER))
    with pytest.raises(ValueError, match=r"got \(\)"):
        mg.Sequential(make()).predict(xp.asarray(NUMBER))


@pytest.mark.parametrize("make", [mg.CrossEntropyLoss, mg.NLLLoss, mg.BCELoss, mg.MSELoss])
def test_a_single_number_is_no_output(make, xp):
    number = xp.asarray(NUMBER)
    for way in ("forward", "each"):
        with pytest.raises(ValueError, match=r"expected.*got \(\)"):
            getattr(make(), way)(number, number)


def test_a_single_number_is_no_data_set(xp):
    y = xp.asarray(np.array(1))
    for x, labels in ((xp.asarray(NUMBER), y), (xp.ones((3, 2)), y)):
        with pytest.raises(ValueError, match=r"expected x of shape \(N, ...\).*\(\)"):
            mg.data.Dataset(x, labels)


# ------------------------------------------------------------------ advice that works when followed


def follow(error):
    """The call that an error advises: what stands behind "cast with" or "convert it with"."""
    text = str(error.value)
    for words in ("convert it with ", "cast with "):
        if words in text:
            return text.partition(words)[2].split(" or build")[0].split(" and ")[0]
    raise AssertionError(text)


@pytest.mark.parametrize("dtype", ["float16", "int64", "uint8"])
@pytest.mark.parametrize("make", [lambda: mg.Linear(4, 3, seed=0), mg.Tanh])
@pytest.mark.on_host
def test_the_advice_on_a_dtype_works(make, dtype):
    """float16 was told to build the layer with dtype='float16', which is refused."""
    x = np.ones((2, 4), dtype)
    with pytest.raises(TypeError) as error:
        make().forward(x)
    assert "build the layer" not in str(error.value)
    assert make().forward(eval(follow(error))).dtype == "float32"


@pytest.mark.on_host
def test_the_advice_on_the_other_float_works_both_ways():
    x = np.ones((2, 4))
    with pytest.raises(TypeError) as error:
        mg.Linear(4, 3).forward(x)
    assert mg.Linear(4, 3).forward(eval(follow(error))).dtype == "float32"
    assert "build the layer with dtype='float64'" in str(error.value)
    assert mg.Linear(4, 3, dtype="float64").forward(x).dtype == "float64"


@pytest.mark.on_host
def test_the_advice_on_lists_works():
    """Lists of labels were told to become float32, which is refused next."""
    import numpy

    target = [0, 1]
    with pytest.raises(TypeError) as error:
        mg.CrossEntropyLoss()(np.ones((2, 3)), target)
    assert mg.CrossEntropyLoss()(np.ones((2, 3)), eval(follow(error))) > 0
    assert numpy is np
    assert len(mg.data.Dataset([[0.0], [1.0]], target)) == 2  # a data set takes them as they are


@pytest.mark.on_host
def test_the_advice_on_a_data_sets_dtypes_works():
    x, y = np.full((2, 3), 255, "uint8"), np.array([False, True])
    with pytest.raises(TypeError, match=r"x\.astype\('float32'\), pixels / 255$"):
        mg.data.Dataset(x, y)
    with pytest.raises(TypeError) as error:
        mg.data.Dataset(x.astype("float32"), y)
    assert "x.astype" not in str(error.value)
    labels, values = follow(error).split(" or ")
    assert mg.data.Dataset(x.astype("float32"), eval(labels)).kind == "labels"
    assert mg.data.Dataset(x.astype("float32"), eval(values)).kind == "values"


def fit(model=None, loss=None, rule=None, optimizer=None, train=None, **options):
    """A run of one epoch in which all that is not given is right."""
    model = net() if model is None else model
    return mg.fit(
        model,
        loss or mg.CrossEntropyLoss(),
        rule or Backprop(),
        optimizer or mg.SGD(model, options.pop("lr", 0.1)),
        train or dataset(),
        **{"epochs": 1, "batch_size": 5} | options,
    )


@pytest.mark.on_host
def test_a_loss_that_is_not_finite_says_where_to_look():
    """NaN data was told that a smaller lr may help."""
    broken = dataset()
    broken.x[3, 1] = np.nan  # after the check of the data set
    assert fit(train=broken).stopped.endswith("x has NaN or infinite values: look at the data")
    model = net()
    model.params["0.b"][1] = np.inf
    model.params["2.W"][0, 0] = np.nan
    assert "0.b was not finite before the first step" in fit(model).stopped
    history = fit(net(sizes=(4, 3)), lr=1.7e308, epochs=4)
    assert history.stopped.endswith("a smaller lr may help")


# ------------------------------------------------------------------ arguments of fit


def _other_schedule():
    return mg.StepLR(mg.SGD(net(), 0.1), 3)


WRONG = {
    "model class": (
        {"model": mg.Sequential},
        TypeError,
        "model must be a Layer, got the class Seq",
    ),
    "model": ({"model": 3}, TypeError, "model must be a Layer, got 3; as mg.Sequential"),
    "loss class": ({"loss": mg.MSELoss}, TypeError, "loss must be a Loss, got the class MSELoss"),
    "loss": ({"loss": "mse"}, TypeError, "loss must be a Loss, got 'mse'"),
    "rule class": ({"rule": Backprop}, TypeError, "rule must be a Rule, got the class Backprop"),
    "rule": ({"rule": "backprop"}, TypeError, "rule must be a Rule, got 'backprop'"),
    "rule, optimizer": ({"rule": mg.SGD(net(), 0.1)}, TypeError, "rule must be a Rule, got SGD"),
    "optimizer class": ({"optimizer": mg.SGD}, TypeError, "optimizer must be a.*the class SGD"),
    "optimizer": ({"optimizer": 0.1}, TypeError, "optimizer must be an Optimizer, got 0.1"),
    "train": ({"train": (1, 2)}, TypeError, "train must be a Dataset, got tuple"),
    "test": ({"test": [1]}, TypeError, "test must be a Dataset, got list"),
    "validation": ({"validation": 3}, TypeError, "validation must be a Dataset, got 3"),
    "schedule class": ({"schedule": mg.StepLR}, TypeError, "schedule must be.*the class StepLR"),
    "schedule": ({"schedule": "step"}, TypeError, "schedule must be a Schedule, got 'step'"),
    "another's schedule": ({"schedule": _other_schedule()}, ValueError, "another optimiser's"),
    "epochs": ({"epochs": 1.5}, ValueError, "epochs must be an integer of at least 0, got 1.5"),
    "epochs text": ({"epochs": "3"}, ValueError, "epochs must be an integer.*got '3'"),
    "batch_size": ({"batch_size": 0}, ValueError, "batch_size must be.*at least 1, got 0"),
    "batch_size float": ({"batch_size": 2.0}, ValueError, "batch_size must be an integer"),
    "seed": ({"seed": -1}, ValueError, "seed must be an integer of at least 0, got -1"),
    "seed None": ({"seed": None}, ValueError, "seed must be an integer.*got None"),
    "seed text": ({"seed": "0"}, ValueError, "seed must be an integer.*got '0'"),
    "augment": ({"augment": "flip"}, TypeError, "augment must be a function .* got str"),
    "drop_last": ({"drop_last": "no"}, TypeError, "drop_last must be True or False, got 'no'"),
    "sampling": ({"sampling": "even"}, ValueError, "sampling must be None or one of 'balanced'"),
    "shuffle": ({"shuffle": "no"}, TypeError, "shuffle must be True or False, got 'no'"),
    "evaluate_every": ({"evaluate_every": 0}, ValueError, "evaluate_every must be"),
    "metrics": ({"metrics": "mae"}, TypeError, "metrics must be a list of names and functions"),
    "metrics name": ({"metrics": ["mea"]}, ValueError, "there is no metric 'mea'"),
    "early_stopping": (
        {"early_stopping": 5},
        TypeError,
        "must be an EarlyStopping.patience=5., got",
    ),
    "callback": ({"callback": 3}, TypeError, r"callback must be a function of \(history\), got 3"),
    "step_callback": (
        {"step_callback": "p"},
        TypeError,
        r"step_callback must be a function of \(step, loss\), got 'p'",
    ),
    "history": ({"history": {}}, TypeError, "history must be a History, got dict"),
    "checkpoint": ({"checkpoint": 3}, TypeError, "checkpoint must be the path of a file, got 3"),
    "every": ({"checkpoint": "a.npz", "every": "now"}, ValueError, "every says how often to save"),
    "keep": ({"checkpoint": "a.npz", "keep": 0}, ValueError, "keep must be an integer of at least"),
    "resume": ({"checkpoint": "a.npz", "resume": "no"}, TypeError, "resume must be True or False"),
    "capture": ({"capture": "yes"}, TypeError, "capture must be True or False"),
}


@pytest.mark.parametrize(("options", "error", "message"), WRONG.values(), ids=list(WRONG))
@pytest.mark.on_host
def test_fit_checks_every_argument_before_the_first_step(options, error, message):
    model = net()
    before = model.state_dict()
    given = {"model": model, "optimizer": mg.SGD(model, 0.1)} | options
    with pytest.raises(error, match=message):
        fit(**given)
    assert not changed(before, model.state_dict())
    assert model.grads == {}


@pytest.mark.on_host
def test_every_argument_of_fit_is_tried_wrong():
    import inspect

    tried = {name for options, _, _ in WRONG.values() for name in options}
    assert tried == set(inspect.signature(mg.fit).parameters) - {"progress"}


@pytest.mark.parametrize("name", ["model class", "loss", "rule class", "optimizer class", "seed"])
@pytest.mark.on_host
def test_a_fit_with_processes_checks_them_too(name):
    options, error, _ = WRONG[name]
    (argument,) = options
    model = net("float32")
    given = {
        "model": model,
        "loss": mg.CrossEntropyLoss(),
        "rule": Backprop(),
        "optimizer": mg.SGD(model, 0.1),
        "train": dataset(dtype="float32"),
        "epochs": 1,
        "batch_size": 5,
    }
    with pytest.raises(error, match=f"^{argument} must be"):
        mg.asynchronous.fit(**given | options)


@pytest.mark.on_host
def test_evaluate_checks_its_arguments():
    data = dataset()
    for arguments, message in (
        ((mg.Sequential, mg.MSELoss(), data), "model must be a Layer, got the class"),
        ((net(), mg.CrossEntropyLoss, data), "loss must be a Loss, got the class Cross"),
        ((net(), mg.CrossEntropyLoss(), data.x), "dataset must be a Dataset, got ndarray"),
    ):
        with pytest.raises(TypeError, match=message):
            mg.evaluate(*arguments)
    with pytest.raises(ValueError, match="batch_size must be an integer"):
        mg.evaluate(net(), mg.CrossEntropyLoss(), data, "8")


BAD_NUMBERS = [
    ("0.1", TypeError),
    (None, TypeError),
    (True, TypeError),
    ([0.1], TypeError),
    (float("nan"), ValueError),
    (-0.1, ValueError),
    (float("inf"), ValueError),
]


@pytest.mark.parametrize(("value", "error"), BAD_NUMBERS)
@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("lr", lambda v: mg.SGD(net(), v)),
        ("lr", lambda v: mg.Adam(net(), lr=v)),
        ("momentum", lambda v: mg.SGD(net(), 0.1, momentum=v)),
        ("weight_decay", lambda v: mg.SGD(net(), 0.1, weight_decay=v)),
        ("eps", lambda v: mg.Adam(net(), 0.1, eps=v)),
        ("betas", lambda v: mg.Adam(net(), 0.1, betas=(0.9, v))),
        ("weight_decay", lambda v: mg.Adam(net(), 0.1, weight_decay=v)),
        ("weight_decay", lambda v: mg.AdamW(net(), 0.1, weight_decay=v)),
        ("alpha", lambda v: mg.RMSprop(net(), 0.1, alpha=v)),
        ("eps", lambda v: mg.RMSprop(net(), 0.1, eps=v)),
        ("weight_decay", lambda v: mg.RMSprop(net(), 0.1, weight_decay=v)),
        ("momentum", lambda v: mg.RMSprop(net(), 0.1, momentum=v)),
        ("lr_decay", lambda v: mg.Adagrad(net(), 0.1, lr_decay=v)),
        ("weight_decay", lambda v: mg.Adagrad(net(), 0.1, weight_decay=v)),
        ("initial_accumulator_value", lambda v: mg.Adagrad(net(), 1, 0, 0, v)),
        ("eps", lambda v: mg.Adagrad(net(), 0.1, eps=v)),
        ("gamma", lambda v: mg.StepLR(mg.SGD(net(), 0.1), 3, v)),
        ("gamma", lambda v: mg.MultiStepLR(mg.SGD(net(), 0.1), [3], v)),
        ("gamma", lambda v: mg.ExponentialLR(mg.SGD(net(), 0.1), v)),
        ("eta_min", lambda v: mg.CosineAnnealingLR(mg.SGD(net(), 0.1), 3, v)),
        ("start_factor", lambda v: mg.LinearLR(mg.SGD(net(), 0.1), v)),
        ("end_factor", lambda v: mg.LinearLR(mg.SGD(net(), 0.1), 0.5, v)),
        ("power", lambda v: mg.PolynomialLR(mg.SGD(net(), 0.1), 3, v)),
        ("factor", lambda v: mg.ReduceLROnPlateau(mg.SGD(net(), 0.1), factor=v)),
        ("threshold", lambda v: mg.ReduceLROnPlateau(mg.SGD(net(), 0.1), threshold=v)),
        ("min_lr", lambda v: mg.ReduceLROnPlateau(mg.SGD(net(), 0.1), min_lr=v)),
        ("eps", lambda v: mg.ReduceLROnPlateau(mg.SGD(net(), 0.1), eps=v)),
        ("p", lambda v: mg.Dropout(v)),
    ],
)
@pytest.mark.on_host
def test_numbers_are_checked_and_named(name, make, value, error):
    with pytest.raises(error, match=f"^{name} must be"):
        make(value)


@pytest.mark.parametrize("value", [np.float32(0.5), np.array(0.5), np.int64(1), 1, 0, 0.5])
@pytest.mark.on_host
def test_numbers_of_any_kind_are_taken(value):
    lr = mg.SGD(net(), value).lr
    assert lr == value
    assert type(lr) is float


@pytest.mark.parametrize(("examples", "batch_size"), [(21, 5), (21, 20), (4, 1), (1, 8)])
def test_a_batch_norm_that_will_meet_a_single_example_is_refused_before_the_first_step(
    examples, batch_size
):
    """The error came at the epoch's end."""
    model = mg.Sequential(
        mg.Linear(4, 3, dtype="float64", seed=0), mg.BatchNorm1d(3, dtype="float64")
    )
    before = model.state_dict()
    with pytest.raises(ValueError, match="BatchNorm1d needs at least 2 examples") as error:
        fit(model, train=dataset(examples), batch_size=batch_size)
    assert not changed(before, model.state_dict())
    if "train.take(" in str(error.value):  # the advice works
        n = int(str(error.value).rpartition("take(")[2].rstrip(")"))
        fit(model, train=dataset(examples).take(n), batch_size=batch_size)
    else:
        assert batch_size == 1 or examples == 1


def test_images_of_many_pixels_may_come_alone(rng):
    x = to_device(rng.random((3, 2, 3, 3)).astype("float32"))
    data = mg.data.Dataset(x, to_device(np.array([0, 1, 0])), classes=2)
    model = mg.Sequential(mg.BatchNorm2d(2), mg.Flatten(), mg.Linear(18, 2, seed=0))
    assert len(fit(model, train=data, batch_size=2).train_loss) == 1


@pytest.mark.on_host
def test_a_milestone_at_0_acts_at_once():
    """It acted an epoch late. PyTorch's acts at once."""
    torch = pytest.importorskip("torch")
    optimizer = mg.SGD(net(), 0.2)
    schedule = mg.MultiStepLR(optimizer, [0, 2], 0.5)
    twin = torch.optim.SGD([torch.zeros(1, requires_grad=True)], 0.2)
    theirs = torch.optim.lr_scheduler.MultiStepLR(twin, [0, 2], 0.5)
    for _ in range(4):
        assert optimizer.lr == pytest.approx(twin.param_groups[0]["lr"], rel=1e-12)
        twin.step()
        schedule.step()
        theirs.step()
    seen = []
    model = net()
    sgd = mg.SGD(model, 0.2)
    fit(
        model,
        optimizer=sgd,
        schedule=mg.MultiStepLR(sgd, [0], 0.5),
        step_callback=lambda step, value: seen.append(sgd.lr),
    )
    assert seen[0] == 0.1


@pytest.mark.on_host
def test_a_schedule_of_ones_own_begins_at_its_first_factor():
    class WarmUp(mg.optim.Schedule):
        def factor(self, t):
            return min(1, (t + 1) / 10)

    class Slower(WarmUp):
        def __init__(self, optimizer, by, per="epoch"):
            super().__init__(optimizer, per)
            self.by = by

        def factor(self, t):
            return super().factor(t) / self.by

    for make, first in ((WarmUp, 0.1), (lambda o: Slower(o, 2), 0.05)):
        optimizer = mg.SGD(net(), 1.0)
        make(optimizer)
        assert optimizer.lr == first
    with pytest.raises(TypeError, match="sets the lr of an optimiser, got Sequential"):
        mg.StepLR(net(), 3)


# ------------------------------------------------------------------ what people type


def test_networks_and_losses_are_called():
    model, (x, y) = net(), batch()
    np.testing.assert_array_equal(to_host(model(x)), to_host(model.forward(x)))
    drop = mg.Dropout(0.5, seed=0)
    np.testing.assert_array_equal(to_host(drop(x, train=False)), to_host(x))
    assert mg.CrossEntropyLoss()(model(x), y) == mg.CrossEntropyLoss().forward(model(x), y)


def test_networks_are_indexed_sliced_and_gone_through():
    model = net(sizes=(4, 5, 6, 3))
    assert len(model) == 5
    assert model[0] is model.layers[0]
    assert model[-1] is model.layers[-1]
    assert list(model) == list(model.layers)
    part = model[1:4]
    assert type(part) is mg.Sequential
    assert part.layers == model.layers[1:4]
    assert part.params["1.W"] is model.params["2.W"]
    x = batch()[0]
    np.testing.assert_array_equal(to_host(model[2:](model[:2](x))), to_host(model(x)))
    with pytest.raises(IndexError):
        model[5]
    first, *rest = model
    assert first is model[0]
    assert len(rest) == 4


def test_a_part_is_trained_by_an_optimiser_of_its_own():
    model = net()
    before = model.state_dict()
    fit(model, optimizer=mg.SGD(model[1:], 0.1))
    assert changed(before, model.state_dict()) == {"2.W", "2.b"}


def test_fit_keeps_what_it_finds_on_a_validation_set():
    model = net()
    history = fit(model, validation=dataset(9), test=dataset(7), epochs=3, evaluate_every=2)
    assert len(history.validation_loss) == len(history.test_loss) == len(history.train_loss) == 2
    last = mg.evaluate(model, mg.CrossEntropyLoss(), dataset(9))
    assert (history.validation_loss[-1], history.validation_accuracy[-1]) == last
    assert history.validation_clean_accuracy == history.validation_accuracy
    last = mg.evaluate(model, mg.CrossEntropyLoss(), dataset(7))
    assert (history.test_loss[-1], history.test_accuracy[-1]) == last
    assert fit(net()).validation_loss == []


@pytest.mark.on_host
def test_a_validation_set_leaves_the_run_as_it_was():
    a, b = net(), net()
    with_it, without = fit(a, validation=dataset(9)), fit(b)
    assert with_it.step_loss == without.step_loss
    assert not changed(a.state_dict(), b.state_dict())


@pytest.mark.on_host
def test_a_history_saved_before_there_was_validation_is_read(tmp_path):
    history = fit(validation=dataset(9))
    history.save(tmp_path / "new.json")
    assert mg.History.load(tmp_path / "new.json") == history
    content = json.loads((tmp_path / "new.json").read_text())
    for name in ("validation_loss", "validation_accuracy", "validation_clean_accuracy"):
        del content[name]
    (tmp_path / "old.json").write_text(json.dumps(content))
    old = mg.History.load(tmp_path / "old.json")
    assert old.validation_loss == []
    assert old.train_loss == history.train_loss
    assert fit(history=old, validation=dataset(9)).validation_loss != []
    del content["train_loss"]
    (tmp_path / "bad.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match="it needs the keys"):
        mg.History.load(tmp_path / "bad.json")


@pytest.mark.on_host
def test_a_search_reads_the_validation_set_where_there_is_one():
    from minigrad.search.task import measured

    history = fit(validation=dataset(9), test=dataset(7))
    assert measured(history)["validation_loss"] == history.validation_loss[-1]
    assert measured(history)["best_validation_accuracy"] == max(history.validation_accuracy)
    only_test = fit(test=dataset(7))
    assert measured(only_test)["validation_loss"] == only_test.test_loss[-1]


DOCUMENTED = [
    mg.SGD,
    mg.Adam,
    mg.AdamW,
    mg.RMSprop,
    mg.Adagrad,
    mg.StepLR,
    mg.MultiStepLR,
    mg.ExponentialLR,
    mg.CosineAnnealingLR,
    mg.LinearLR,
    mg.PolynomialLR,
    mg.LambdaLR,
    mg.SequentialLR,
    mg.ReduceLROnPlateau,
    mg.EarlyStopping,
    mg.metrics.accuracy,
    mg.metrics.top_k,
    mg.metrics.confusion_matrix,
    mg.fit,
    mg.evaluate,
    mg.Linear,
    mg.Conv2d,
    mg.MaxPool2d,
    mg.BatchNorm1d,
    mg.BatchNorm2d,
    mg.ReLU,
    mg.Softmax,
    mg.Dropout,
    mg.Flatten,
    mg.Sequential,
    mg.data.Dataset,
    mg.data.augment.shift,
    mg.data.augment.flip,
    mg.data.augment.noise,
    mg.data.augment.chain,
    mg.functions.Point,
    mg.functions.Ravine,
    mg.functions.at,
    mg.functions.descend,
    mg.optim.Optimizer,
    mg.optim.Schedule,
    mg.Layer,
]


@pytest.mark.parametrize("item", DOCUMENTED, ids=lambda item: item.__name__)
@pytest.mark.on_host
def test_help_says_what_every_argument_is(item):
    import inspect
    import pydoc
    import re

    text = pydoc.plain(pydoc.render_doc(item))
    for name in inspect.signature(item).parameters:
        pattern = rf"^[ |]*(\w+, )*{name}(, \w+)*( {{2,}}|: )\S"
        assert re.search(pattern, text, re.MULTILINE), (
            f"{item.__name__} does not say what {name} is"
        )
