"""ForwardGradient by noise on activities: exact mean, example by example; variance; refusals."""

import numpy as np
import pytest
from reference.given_directions import NETS, Given, Residual, close, gradients, linear, make, signs

import minigrad as mg
from minigrad.backend import array_module, to_device, to_host
from minigrad.layers import Layer, holding
from minigrad.rules import Backprop, DirectionSampler, ForwardGradient
from minigrad.rules.chain import chain
from minigrad.rules.forward.evaluation import Evaluation


def images():
    """Two convolutions; pools with winners and losers, ReLUs on and off; 11 units."""
    rng = np.random.default_rng(4)
    model = mg.Sequential(
        mg.Conv2d(1, 1, 2, dtype="float64", seed=3),
        mg.MaxPool2d((1, 2)),
        mg.ReLU(),
        mg.Conv2d(1, 2, (2, 1), dtype="float64", seed=1),
        mg.Flatten(),
        mg.Dropout(0.3),
        linear(2, 3, 2),
    )
    x, t = rng.standard_normal((6, 1, 3, 3)), rng.integers(0, 3, 6)
    return model, mg.CrossEntropyLoss(), to_device(x), to_device(t)


def deep():
    """Three sites, one of them behind a nested net, one a composite layer; sigmoids and BCE."""
    rng = np.random.default_rng(5)
    model = mg.Sequential(
        mg.Tanh(),
        mg.Sequential(linear(3, 2, 0), mg.ReLU()),
        Residual(linear(2, 2, 1), mg.Sigmoid()),
        mg.ReLU(),
        mg.Softmax(),
        linear(2, 3, 2, bias=False),
        mg.Sigmoid(),
    )
    x, t = rng.standard_normal((6, 3)), rng.random((6, 3))
    return model, mg.BCELoss(), to_device(x), to_device(t)


BATCHES = {name: (lambda name=name: make(name, 6)) for name in NETS if name != "batch norm"}
BATCHES |= {"convolutions": images, "deep": deep}


def sites(model, x):
    """(the layers that have parameters, the shapes of an example's outputs of theirs)."""
    layers, shapes = [], []
    for _, layer in chain(model):
        x = layer.forward(x)
        if layer.params:
            layers.append(layer)
            shapes.append(x.shape[1:])
    return layers, shapes


def exactly(build, **options):
    """The mean over all vectors of signs, and backprop's gradient; each from one dropout mask."""
    model, loss, x, target = build()
    value, expected = gradients(Backprop(), model, loss, x, target)
    _, shapes = sites(model, x)
    table = signs(sum(int(np.prod(shape)) for shape in shapes))
    rule = ForwardGradient(len(table), perturb="activities", **options)
    rule.sampler = Given(table, shapes, len(table), per_example=True)
    ours, grads = gradients(rule, model, loss, x, target)
    assert ours == pytest.approx(value, rel=1e-12)
    return grads, expected, rule


@pytest.mark.parametrize("active", [True, False])
@pytest.mark.parametrize("layerwise", [True, False])
@pytest.mark.parametrize("name", BATCHES)
def test_the_mean_over_all_noise_is_the_gradient(name, layerwise, active):
    """Each example has another vector at a time, and all of them in the end."""
    grads, expected, rule = exactly(BATCHES[name], layerwise=layerwise, active=active)
    close(grads, expected)
    groups = len(sites(*BATCHES[name]()[::2])[0]) if layerwise else 1
    assert len(rule.derivatives) == rule.directions * groups
    assert {d.shape for d in rule.derivatives} == {(6,)}


@pytest.mark.parametrize("layerwise", [True, False])
@pytest.mark.parametrize("name", ["mlp", "convolutions"])
def test_it_is_so_for_each_example_alone(name, layerwise):
    """An example's slope has nothing of the others': with N of them as with one."""
    model, loss, x, target = BATCHES[name]()
    _, shapes = sites(model, x)
    n = sum(int(np.prod(shape)) for shape in shapes)
    rows = np.random.default_rng(0).standard_normal((6, n))
    rule = ForwardGradient(perturb="activities", layerwise=layerwise)
    for layer in model.layers:
        if isinstance(layer, mg.Dropout):
            layer.p = 0.0
    rule.sampler = Given(rows, shapes, 0, per_example=True)
    _, whole = gradients(rule, model, loss, x, target)
    slopes = [to_host(d) for d in rule.derivatives]
    total = dict.fromkeys(whole, 0)
    for i in range(6):
        rule.sampler = Given(np.roll(rows, -i, axis=0), shapes, 0, per_example=True)
        _, alone = gradients(rule, model, loss, x[i : i + 1], target[i : i + 1])
        total = {key: total[key] + grad / 6 for key, grad in alone.items()}
        for ours, all_of_them in zip(rule.derivatives, slopes, strict=True):
            assert float(ours[0]) == pytest.approx(all_of_them[i], rel=1e-10)
    close(total, whole)


def test_slopes_are_those_of_the_outputs_gradient():
    """d_n = <∂L_n/∂z_n, ε_n>, dz = d_n ε_n / N: by hand, for a net of one layer."""
    model, loss, x, target = make("one layer", 6)
    rule = ForwardGradient(2, perturb="activities", seed=9, clip=0.7)
    rule.estimate(model, loss, x, target)
    loss.forward(model.forward(x), target)
    delta, N = 6 * to_host(loss.backward()), 6
    dz, seen = 0, []
    for k in range(2):
        noise = array_module(x).empty((N, 2))
        DirectionSampler(seed=9).fill([noise], 1, k)
        d = (delta * to_host(noise)).sum(axis=1)
        np.testing.assert_allclose(to_host(rule.derivatives[k]), d, rtol=1e-12)
        seen += list(abs(d))
        dz = dz + np.clip(d, -0.7, 0.7)[:, None] * to_host(noise) / (2 * N)
    assert min(seen) < 0.7 < max(seen)
    np.testing.assert_allclose(to_host(model.grads["W"]), to_host(x).T @ dz, rtol=1e-12)
    np.testing.assert_allclose(to_host(model.grads["b"]), dz.sum(axis=0), rtol=1e-12)


def test_layer_by_layer_each_slope_is_of_one_layers_noise():
    model, loss, x, target = make("mlp", 6)
    options = {"perturb": "activities", "seed": 2}
    whole, parts = ForwardGradient(**options), ForwardGradient(**options, layerwise=True)
    for rule in (whole, parts):
        rule.estimate(model, loss, x, target)
    first, second = (to_host(d) for d in parts.derivatives)
    np.testing.assert_allclose(first + second, to_host(whole.derivatives[0]), rtol=1e-10)
    assert (abs(first) > 1e-6).all()
    assert (abs(second) > 1e-6).all()


# ------------------------------------------------------------------ units that nothing depends on


@pytest.mark.parametrize("name", BATCHES)
def test_active_units_are_those_that_the_next_layers_depend_on(name):
    """Found one by one: the tangent of each unit alone, up to the next layer with parameters or
    to one that is not monotone."""
    model, loss, x, target = BATCHES[name]()
    net, checked = Evaluation(model, loss, target), 0
    with holding(model):
        net.forward(x)
    masks = {site: to_host(mask) for site, mask in net.active().items()}
    for site, mask in masks.items():
        z = to_host(net.outputs[site])
        assert mask.shape == z.shape
        for index in np.ndindex(z.shape):
            unit = np.zeros_like(z)
            unit[index] = 1
            h_dot = to_device(unit)
            for layer in net.layers[site + 1 :]:
                if layer.params or isinstance(layer, mg.Softmax):
                    break
                h_dot = layer.jvp(h_dot, None)
            assert mask[index] == to_host(h_dot).any()
            checked += 1
    behind = [site + 1 < len(net.layers) and net.layers[site + 1].monotone for site in net.sites]
    assert [site in masks for site in net.sites] == behind
    if name in ("convolutions", "images", "no biases", "deep", "dropout"):
        assert not all(mask.all() for mask in masks.values())  # some are off
        assert checked


def test_units_that_are_off_get_no_noise():
    """A ReLU that is off for all: its layer's gradient is 0, not 0 on average."""
    found = {}
    for active in (True, False):
        model = mg.Sequential(linear(2, 3, 0), mg.ReLU(), linear(3, 2, 1))
        model.params["0.b"][1:2] = -50.0
        x, t = to_device(np.random.default_rng(0).standard_normal((5, 2))), np.arange(5) % 2
        rule = ForwardGradient(3, perturb="activities", active=active)
        rule.estimate(model, mg.CrossEntropyLoss(), x, to_device(t))
        found[active] = to_host(model.grads["0.b"]).copy()
    assert found[True][1] == 0
    assert found[False][1] != 0
    assert (found[True] != 0).sum() > 0


@pytest.mark.parametrize(
    "layer",
    [mg.ReLU, mg.Sigmoid, mg.Tanh, lambda: mg.Dropout(0.4, seed=0), lambda: mg.MaxPool2d(2, 1)],
)
def test_layers_that_call_themselves_monotone_are(layer, rng):
    """No Jacobian has an entry below 0; those that mix signs do not claim it."""
    layer, x = layer(), to_device(rng.standard_normal((2, 3, 4, 4)))
    y = layer.forward(x)
    assert layer.monotone
    for _ in range(30):
        x_dot = to_device(abs(rng.standard_normal(x.shape)) * (rng.random(x.shape) < 0.2))
        assert (to_host(layer.jvp(x_dot)) >= 0).all()
        dy = to_device(abs(rng.standard_normal(y.shape)))
        assert (to_host(layer.backward(dy)) >= 0).all()


@pytest.mark.on_host
def test_layers_that_are_not_monotone_do_not_say_so():
    layers = [mg.Softmax(), mg.LogSoftmax(), mg.BatchNorm1d(2), mg.Linear(2, 2), mg.Sequential()]
    layers += [mg.Conv2d(1, 1, 1), Layer(), Residual()]
    assert not any(layer.monotone for layer in layers)
    assert mg.Flatten().monotone
    assert [layer.mixes_examples for layer in layers] == [False, False, True] + 5 * [False]
    assert mg.BatchNorm2d(2).mixes_examples


# ------------------------------------------------------------------ the variance


@pytest.mark.on_host
@pytest.mark.parametrize(
    ("distribution", "K", "extra"),
    [("normal", 1, 1), ("normal", 2, 1), ("rademacher", 1, -1), ("rademacher", 2, -1)],
)
def test_the_variance_grows_with_units_not_with_weights(distribution, K, extra):
    """Total variance of one layer's dW: (q ± 1)/K Σ_n |x_n|² |δ_n|² / N², for q units."""
    rng, q, N = np.random.default_rng(3), 5, 4
    model = mg.Linear(7, q, bias=False, dtype="float64", seed=0)
    x, target = rng.standard_normal((N, 7)), rng.standard_normal((N, q))
    loss = mg.MSELoss()
    Backprop().estimate(model, loss, x, target)
    true, delta = model.grads["W"].copy(), loss.backward()  # 1/N is in it
    expected = (q + extra) / K * ((x**2).sum(axis=1) * (delta**2).sum(axis=1)).sum()
    rule = ForwardGradient(K, distribution, perturb="activities", seed=1)
    total = 0.0
    for _ in range(4000):
        rule.estimate(model, loss, x, target)
        total += ((model.grads["W"] - true) ** 2).sum() / 4000
    assert total == pytest.approx(expected, rel=0.05)


@pytest.mark.on_host
def test_layer_by_layer_and_active_units_alone_have_less_variance():
    rng = np.random.default_rng(3)
    x, t, found = rng.standard_normal((8, 4)), rng.integers(0, 3, 8), []
    model, loss = mg.models.mlp((4, 12, 12, 3), dtype="float64", seed=0), mg.CrossEntropyLoss()
    _, true = gradients(Backprop(), model, loss, x, t)
    for options in ({"active": False}, {}, {"layerwise": True}):
        rule = ForwardGradient(perturb="activities", seed=1, **options)
        steps = [gradients(rule, model, loss, x, t)[1]["1.W"] for _ in range(800)]
        found.append(((np.array(steps) - true["1.W"]) ** 2).sum(axis=(1, 2)).mean())
    assert found[2] < 0.8 * found[1]
    assert found[1] < 0.8 * found[0]


# ------------------------------------------------------------------ finite differences


@pytest.mark.parametrize("layerwise", [True, False])
@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize("name", BATCHES)
def test_finite_differences_are_the_slopes(name, directions, layerwise):
    """With dropout's mask the same in all evaluations."""
    found, options = {}, {"perturb": "activities", "layerwise": layerwise, "seed": 5}
    for mode, scheme in (
        ("jvp", "central"),
        ("finite-difference", "central"),
        ("finite-difference", "one-sided"),
    ):
        model, *batch = BATCHES[name]()
        rule = ForwardGradient(directions, mode=mode, scheme=scheme, **options)
        value, _ = gradients(rule, model, *batch)
        found[mode, scheme] = value, np.array([to_host(d) for d in rule.derivatives])
    (value, exact), (central_value, central), (one_sided_value, one_sided) = found.values()
    assert value == central_value == one_sided_value
    assert exact.shape == central.shape == one_sided.shape
    scale = abs(exact).max()
    np.testing.assert_allclose(central, exact, atol=1e-7 * scale)
    np.testing.assert_allclose(one_sided, exact, atol=1e-4 * scale)
    assert not np.array_equal(central, one_sided)


@pytest.mark.parametrize("name", ["mlp", "convolutions"])
def test_antithetic_pairs_are_central_differences(name):
    options = {"mode": "finite-difference", "perturb": "activities", "epsilon": 1e-3}
    pairs = ForwardGradient(4, scheme="one-sided", antithetic=True, **options)
    central = ForwardGradient(2, **options)
    model, *batch = BATCHES[name]()
    (_, ours), (_, theirs) = (gradients(rule, model, *batch) for rule in (pairs, central))
    close(ours, theirs, 1e-9, 1e-9)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_step_of_a_difference_is_as_given(dtype, rng):
    """L_n at z ± step ε, by hand: at a large step the curvature shows."""
    model, loss = mg.Linear(4, 3, dtype=dtype, seed=0), mg.MSELoss()
    x, target = (to_device(rng.standard_normal((5, m)).astype(dtype)) for m in (4, 3))
    rule = ForwardGradient(
        mode="finite-difference", perturb="activities", epsilon=0.5, scheme="one-sided"
    )
    rule.estimate(model, loss, x, target)
    noise = array_module(x).empty((5, 3), dtype)
    DirectionSampler().fill([noise], 1, 0)
    z = model.forward(x)
    d = (loss.each(z + 0.5 * noise, target) - loss.each(z, target)) / 0.5
    np.testing.assert_allclose(to_host(rule.derivatives[0]), to_host(d), rtol=1e-4)
    assert rule.derivatives[0].dtype == dtype


@pytest.mark.parametrize("scheme", ["central", "one-sided"])
def test_each_layers_input_is_that_of_the_point_itself(scheme):
    """dW = hᵀ dz with h as it is without noise, however large the difference's step is."""
    model, loss, x, target = make("mlp", 6)
    rule = ForwardGradient(
        2, mode="finite-difference", perturb="activities", epsilon=0.5, scheme=scheme, seed=4
    )
    rule.estimate(model, loss, x, target)
    grads = {key: to_host(grad).copy() for key, grad in model.grads.items()}
    h = to_host(model.layers[1].forward(model.layers[0].forward(x)))
    dz, draws = [0, 0], DirectionSampler(seed=4)
    for k, d in enumerate(rule.derivatives):
        noise = [array_module(x).empty(shape) for shape in ((6, 2), (6, 1))]
        draws.fill(noise, 1, k)
        dz = [a + to_host(d[:, None] * e) / 12 for a, e in zip(dz, noise, strict=True)]
    np.testing.assert_allclose(grads["0.W"], to_host(x).T @ dz[0], rtol=1e-10)
    np.testing.assert_allclose(grads["2.W"], h.T @ dz[1], rtol=1e-10)


def test_a_layer_that_puts_out_a_part_of_an_array(rng):
    """An output with gaps in memory, as a view has them, is perturbed like another."""

    class Half(mg.Linear):
        def forward(self, x, train=True):
            return super().forward(x, train)[:, ::2]

        def jvp(self, x_dot, params_dot=None):
            return super().jvp(x_dot, params_dot)[:, ::2]

        def backward_params(self, dy):
            wide = array_module(dy).zeros((len(dy), self.out_features))
            wide[:, ::2] = dy
            super().backward_params(wide)

    net = mg.Sequential(Half(3, 4, dtype="float64", seed=0), mg.Tanh(), linear(2, 2, 1))
    x, t = to_device(rng.standard_normal((5, 3))), to_device(np.arange(5) % 2)
    for options in ({}, {"mode": "finite-difference"}):
        rule = ForwardGradient(perturb="activities", **options)
        rule.estimate(net, mg.CrossEntropyLoss(), x, t)
        assert to_host(net.grads["0.W"]).any()


# ------------------------------------------------------------------ refusals and the rest


def test_batch_norm_is_refused():
    for name, layer in (("BatchNorm1d", mg.BatchNorm1d(2)), ("BatchNorm2d", mg.BatchNorm2d(2))):
        net = mg.Sequential(mg.Linear(2, 2, seed=0), mg.Sequential(layer))
        x = to_device(np.ones((3, 2), "float32"))
        with pytest.raises(ValueError, match=rf"{name} makes each example's loss depend.*weights"):
            ForwardGradient(perturb="activities").estimate(net, mg.MSELoss(), x, x)
        assert net.buffers["1.0.num_batches_tracked"] == 0


def test_bad_labels_are_named():
    model, loss, x, _ = make("one layer")
    bad = to_device(np.array([0, 1, 7, 1, 0]))
    with pytest.raises(ValueError, match=r"labels must be in \[0, 2\), got 0 to 7"):
        ForwardGradient(perturb="activities").estimate(model, loss, x, bad)


def test_a_loss_without_values_of_examples_says_so():
    class Own(mg.Loss):
        def forward(self, output, target):
            return 0.0

    model, _, x, target = make("mlp")
    with pytest.raises(NotImplementedError, match="Own has no each"):
        ForwardGradient(perturb="activities").estimate(model, Own(), x, target)
    with pytest.raises(NotImplementedError, match="Own has no each_jvp"):
        Own().each_jvp(x)


def test_a_batch_of_another_size_and_its_gradients_in_one_run():
    """The last batch of an epoch is smaller."""
    model, loss, x, target = make("mlp", 6)
    rule = ForwardGradient(perturb="activities", directions=2)
    for n in (6, 2, 1):
        value = rule.estimate(model, loss, x[:n], target[:n])
        assert value == pytest.approx(loss.forward(model.forward(x[:n]), target[:n]), rel=1e-12)
        assert all(np.isfinite(to_host(g)).all() for g in model.grads.values())


@pytest.mark.on_host
def test_no_gradient_passes_from_layer_to_layer():
    model, *batch = make("mlp")
    for layer in model.layers:
        layer.backward = None
    ForwardGradient(perturb="activities", active=False).estimate(model, *batch)
