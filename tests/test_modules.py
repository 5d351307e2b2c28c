"""The parts of decoupled networks: modules, blocks, and the report on both."""

import copy
import pickle

import numpy as np
import pytest
from reference.plain_modules import CLASSES, plain

import minigrad as mg
from minigrad.backend import to_device, to_host
from minigrad.rules import GradientModule, InputModule, Module, SyntheticGradients
from minigrad.rules.synthetic.best_linear import best_linear
from minigrad.rules.synthetic.blocks import Block, split
from minigrad.rules.synthetic.interfaces import r_squared

N = 6
FEATURES, IMAGES = (5,), (2, 3, 4)
KINDS = [
    (shape, classes, hidden)
    for shape in (FEATURES, IMAGES)
    for classes in (CLASSES, None)
    for hidden in ((), (4,))
]
kinds = pytest.mark.parametrize(("shape", "classes", "hidden"), KINDS)


def module(shape, classes, hidden, lr=0.0, start=1, **options):
    """A module whose weights are random, its last layer's too; with lr = 0 they stay."""
    options = {"dtype": "float64", "kernel_size": 3, "rng": np.random.default_rng(0)} | options
    made = GradientModule(shape, classes, hidden, optimizer=lambda net: mg.SGD(net, lr), **options)
    randomise(made, start)
    return made


def randomise(made, seed):
    rng = np.random.default_rng(seed)
    for param in made.net.params.values():
        param[...] = to_device(rng.uniform(-1, 1, param.shape).astype(param.dtype))


def draw(shape, seed=2, n=N):
    """h, labels and a dh, on the host."""
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, *shape)), rng.integers(0, CLASSES, n), rng.random((n, *shape))


def predict(made, h, y):
    return to_host(made.predict(to_device(h), to_device(y)))


def on_host(arrays):
    return {key: to_host(array).copy() for key, array in arrays.items()}


def differences(loss, params, step=1e-5):
    """Central differences of loss() by every single number in `params`."""
    slopes = {}
    for key, param in params.items():
        value = to_host(param).copy()
        slope = slopes[key] = np.empty_like(value)
        for at in np.ndindex(value.shape):
            around = []
            for sign in (1, -1):
                moved = value.copy()
                moved[at] += sign * step
                param[...] = to_device(moved)
                around.append(loss())
            slope[at] = (around[0] - around[1]) / (2 * step)
        param[...] = to_device(value)
    return slopes


# Modules


@kinds
@pytest.mark.parametrize("scaled", [True, False])
def test_it_predicts_and_descends_what_it_says(shape, classes, hidden, scaled):
    """1/(2N) Σ ‖M - N dh‖², or the mean of (dh_hat - dh)²; by every weight, the plane's too."""
    made = module(shape, classes, hidden, scaled=scaled)
    h, y, dh = draw(shape)

    def M():
        return plain(on_host(made.net.params).values(), h, y, classes, hidden)

    def loss():
        return ((M() - N * dh) ** 2).sum() / (2 * N) if scaled else ((M() - dh) ** 2).mean()

    got = predict(made, h, y)
    assert got.shape == h.shape
    np.testing.assert_allclose(got, M() / N if scaled else M(), rtol=1e-10, atol=1e-12)
    made.learn(to_device(dh))
    expected, got = differences(loss, made.net.params), on_host(made.net.grads)
    assert got.keys() == expected.keys() == made.net.params.keys()
    for key, slope in expected.items():
        np.testing.assert_allclose(got[key], slope, rtol=1e-6, atol=1e-7, err_msg=key)
    flat = sum(abs(slope).max() < 1e-5 for slope in expected.values())
    assert flat == len(hidden)  # the biases before batch norm


@pytest.mark.parametrize(("shape", "hidden"), [(FEATURES, (4,)), (IMAGES, ()), (IMAGES, (7, 4))])
def test_an_input_module_descends_half_the_squared_error(shape, hidden):
    x, _, _ = draw((1, 3, 2))
    h, _, _ = draw(shape, seed=3)
    made = InputModule(6, shape, hidden, optimizer=lambda net: mg.SGD(net, 0), dtype="float64")
    randomise(made, 4)

    def forward():
        z, w = x.reshape(N, 6), [to_host(param) for param in made.net.params.values()]
        for i in range(0, len(w), 2):
            z = (np.maximum(z, 0) if i else z) @ w[i] + w[i + 1]
        return z.reshape(h.shape)

    got = to_host(made.predict(to_device(x)))
    np.testing.assert_allclose(got, forward(), rtol=1e-12)
    made.learn(to_device(h))
    expected = differences(lambda: ((forward() - h) ** 2).sum() / (2 * N), made.net.params)
    for key, grad in on_host(made.net.grads).items():
        np.testing.assert_allclose(grad, expected[key], rtol=1e-6, atol=1e-8)


@kinds
def test_learning_is_one_step_of_the_modules_own_optimiser(shape, classes, hidden):
    made = module(shape, classes, hidden, lr=1.0)
    h, y, dh = draw(shape)
    before = on_host(made.net.params)
    predict(made, h, y)
    assert all(np.array_equal(v, before[k]) for k, v in on_host(made.net.params).items())
    made.learn(to_device(dh))
    grads = on_host(made.net.grads)
    for key, after in on_host(made.net.params).items():
        np.testing.assert_allclose(after, before[key] - grads[key], rtol=1e-12)
    made.rescale(0.25)
    assert made.optimizer.lr == 0.25
    made.rescale(0.5)
    assert made.optimizer.lr == 0.5  # of the lr at the start


@kinds
@pytest.mark.parametrize("scaled", [True, False])
def test_the_size_of_its_gradient_does_not_depend_on_the_batch(shape, classes, hidden, scaled):
    """Twice the same examples, with the mean loss's dh of half the size."""
    grads = []
    for times in (1, 2):
        h, y, dh = (np.concatenate([a] * times) for a in draw(shape))
        made = module(shape, classes, hidden, scaled=scaled)
        for param in made.trunk.layers[-1].params.values():
            param *= 1.0 if scaled else 0.0  # without scale, M itself would have to shrink
        predict(made, h, y)
        made.learn(to_device(dh / times))
        grads.append(on_host(made.net.grads))
    for key, grad in grads[0].items():
        expected = grad if scaled else grad / 2
        np.testing.assert_allclose(grads[1][key], expected, rtol=1e-9, atol=1e-12)
    assert any(grad.any() for grad in grads[0].values())


@kinds
def test_it_starts_at_zero_and_learns_what_depends_on_the_label(shape, classes, hidden):
    options = {"kernel_size": 3, "dtype": "float64", "rng": np.random.default_rng(0)}
    made = GradientModule(
        shape, classes, hidden, optimizer=lambda net: mg.Adam(net, 0.03), **options
    )
    h, y, dh = draw(shape)
    dh = dh * (y - 1).reshape(-1, *[1] * len(shape))  # for label 1 it is 0, for 0 and 2 opposite
    assert not predict(made, h, y).any()
    for _ in range(100):
        predict(made, h, y)
        made.learn(to_device(dh / N))
    told, others = predict(made, h, y) * N, (y + 1) % CLASSES
    assert ((told - dh) ** 2).mean() < (0.5 if classes else 0.95) * (dh**2).mean()
    differ = abs(told - predict(made, h, others) * N).reshape(N, -1).mean(axis=1)
    assert (differ > 0.02).all() if classes else not differ.any()
    if not classes:  # it does not look at a target
        np.testing.assert_array_equal(predict(made, h, np.zeros((N, 2, 5))) * N, told)


@pytest.mark.parametrize(
    ("target", "got"),
    [(np.zeros(N), "float64 of shape (6,)"), (np.zeros((N, 1), "int64"), "int64 of shape (6, 1)")],
)
def test_told_something_else_it_says_what_to_do(target, got):
    with pytest.raises(TypeError, match="needs integer labels") as caught:
        predict(module(FEATURES, CLASSES, ()), draw(FEATURES)[0], target)
    assert f"got {got}; use conditioned=False" in str(caught.value)


@kinds
def test_modules_change_and_keep_nothing_of_what_they_are_given(shape, classes, hidden):
    made, (h, y, dh) = module(shape, classes, hidden, lr=0.1), draw(shape)
    inputs = InputModule(
        h[0].size, shape, hidden, optimizer=lambda net: mg.SGD(net, 0.1), dtype="float64"
    )
    given = [to_device(a.copy()) for a in (h, y, dh)]
    first = made.predict(given[0], given[1])
    kept, aside = to_host(first).copy(), inputs.predict(given[0])
    guess = to_host(aside).copy()
    made.learn(given[2])
    inputs.learn(given[0])
    for array, before in zip([*given, first, aside], (h, y, dh, kept, guess), strict=True):
        np.testing.assert_array_equal(to_host(array), before)


@kinds
def test_a_float32_module_stays_float32(shape, classes, hidden):
    made = module(shape, classes, hidden, lr=0.1, dtype="float32")
    h, y, dh = draw(shape)
    assert predict(made, h.astype("float32"), y).dtype == "float32"
    made.learn(to_device(dh.astype("float32")))
    for arrays in (made.net.params, made.net.grads):
        assert {str(array.dtype) for array in arrays.values()} == {"float32"}


# Blocks

mlp = mg.models.mlp
NETS = {
    "mlp": (lambda: mlp((4, 6, 5, 3), seed=0), [2, 4]),
    "batch norm": (lambda: mlp((4, 6, 5, 3), batch_norm=True, seed=0), [3, 6]),
    "lenet": (lambda: mg.models.lenet(0.5, seed=0), [1, 4, 9]),
    "convnet": (lambda: mg.models.forward_convnet(seed=0), [1, 3, 6, 8, 12]),
    "ds4420": (lambda: mg.models.ds4420_toy(seed=0), [1]),  # not after the one on top
    "two activations": (
        lambda: mg.Sequential(mg.Tanh(), mg.Linear(4, 6), mg.Tanh(), mg.ReLU(), mg.Linear(6, 3)),
        [2],
    ),
    "nested": (
        lambda: mg.Sequential(
            mg.Sequential(mg.Linear(4, 6), mg.Sequential(mg.Tanh())),
            mg.Sequential(mg.Linear(6, 6), mg.ReLU(), mg.Linear(6, 5), mg.Sigmoid()),
            mg.Linear(5, 3),
        ),
        [0, 1],
    ),
    "nested on top": (
        lambda: mg.Sequential(
            mg.Linear(4, 6), mg.Tanh(), mg.Sequential(mg.Linear(6, 3), mg.Sigmoid())
        ),
        [1],
    ),
}


@pytest.mark.parametrize("name", NETS)
def test_by_default_a_network_is_cut_after_each_activation(name):
    build, cuts = NETS[name]
    model = build()
    blocks = split(model)
    assert [block.stop - 1 for block in blocks[:-1]] == cuts
    assert [layer for block in blocks for layer in block.layers] == list(model.layers)
    assert all(isinstance(block, Block) and block.params for block in blocks)
    names = [name for block in blocks for name in block.keys().values()]
    assert names == list(model.params)
    for block in blocks:
        for own, name in block.keys().items():
            assert block.params[own] is model.params[name]


def test_blocks_are_the_networks_own_layers():
    model = mlp((4, 6, 5, 3), dtype="float64", seed=0)
    blocks = split(model, [1, 4])
    assert [(block.start, block.stop) for block in blocks] == [(0, 2), (2, 5), (5, 6)]
    x = to_device(draw((4,))[0])
    h = x
    for block in blocks:
        h = block.forward(h)
    np.testing.assert_array_equal(to_host(h), to_host(model.forward(x)))
    model.backward(h)
    blocks[1].drop_grads()
    assert list(model.grads) == ["1.W", "1.b", "5.W", "5.b"]
    assert blocks[1].grads == {}


@pytest.mark.on_host
@pytest.mark.parametrize("cuts", [[-1], [5], [6], [2, 2], [4, 2], [], [0, 9], [1.7], 2, "ab"])
def test_interfaces_must_be_numbers_of_layers_that_rise(cuts):
    message = r"rising, each after a layer and before another: from 0 to 4, got"
    with pytest.raises(ValueError, match=message) as caught:
        split(mlp((4, 6, 5, 3), seed=0), cuts)
    assert str(caught.value).endswith(repr(cuts))


def rule(model=None, **options):
    return SyntheticGradients(mlp((4, 6, 5, 3), seed=0) if model is None else model, **options)


@pytest.mark.on_host
@pytest.mark.parametrize(
    ("message", "make"),
    [
        (
            "block of layers 0 to 0 has no parameters: .* leave out one",
            lambda: rule(interfaces=[0]),
        ),
        ("layers 2 to 2 has no parameters", lambda: rule(interfaces=[1, 2])),
        ("no activation with parameters on both sides", lambda: rule(mg.models.logistic(seed=0))),
        (r"input_shape=\(1, 28, 28\)", lambda: rule(mg.models.lenet(seed=0))),
        ("mode must be one of .*'bp-lambda'.*'unlocked'.*got 'bp'", lambda: rule(mode="bp")),
        (r"in \(0, 1\], got 0", lambda: rule(update_probability=0)),
        (r"in \(0, 1\], got 1.5", lambda: rule(update_probability=1.5)),
        *(
            (
                f"mode '{mode}' updates all blocks .* goes with sequential and unlocked",
                lambda mode=mode: rule(mode=mode, update_probability=0.5),
            )
            for mode in ("bp-lambda", "locked", "stale", "no-backprop")
        ),
        (r"mixture must be in \[0, 1\], got -0.1", lambda: rule(mixture=-0.1)),
        (r"mixture must be in \[0, 1\], got 2", lambda: rule(mode="bp-lambda", mixture=2)),
        ("every must be an integer of at least 1, got 0", lambda: rule(every=0)),
        ("warm_up must be an integer of at least 0, got -1", lambda: rule(warm_up=-1)),
        ("has 2 interfaces, got 1 modules", lambda: rule(modules=[module((6,), 3, ())])),
        ("hidden must be an integer of at least 1, got 0", lambda: rule(hidden=(4, 0))),
        ("kernel_size must be odd", lambda: module(IMAGES, 3, (), kernel_size=4)),
        (
            r"features \(D,\) or images \(C, H, W\), this one has \(2, 3\)",
            lambda: module((2, 3), 3, ()),
        ),
        (
            r"model's output \(N, C\), this one puts out .*2, 3, 3.*use conditioned=False",
            lambda: rule(
                mg.Sequential(mg.Conv2d(1, 2, 3), mg.ReLU(), mg.Conv2d(2, 2, 2)),
                input_shape=(1, 6, 6),
            ),
        ),
    ],
)
def test_what_is_asked_for_must_make_sense(message, make):
    with pytest.raises(ValueError, match=message):
        make()


def test_modules_are_made_as_asked_for():
    options = {"mode": "unlocked", "hidden": (7,), "input_hidden": (9, 8)}
    model = mlp((4, 6, 5, 3), seed=0)
    made, same, other = (rule(model, seed=seed, **options) for seed in (1, 1, 2))
    sizes = [
        [param.shape for param in part.net.params.values() if param.ndim == 2]
        for part in [*made.modules, *made.inputs]
    ]
    assert sizes == [
        [(6 + 3, 7), (7, 6)],
        [(5 + 3, 7), (7, 5)],
        [(4, 9), (9, 8), (8, 6)],
        [(4, 9), (9, 8), (8, 5)],
    ]
    untold = rule(model, conditioned=False, interfaces=[4])
    assert [untold.modules[0].net.params["0.0.W"].shape] == [(5, 5)]
    for i in (0, 2):
        start, again, another = (
            on_host([*r.modules, *r.inputs][i].net.params) for r in (made, same, other)
        )
        assert all(np.array_equal(start[key], again[key]) for key in start)
        assert not all(np.array_equal(start[key], another[key]) for key in start)
    assert all(leaf.cache is None for _, leaf in model.leaves())  # of the look at the shapes


@pytest.mark.on_host
def test_what_it_works_with_must_be_its_own():
    with pytest.raises(TypeError, match=r"only a Sequential can be cut .* got Linear; write Seq"):
        rule(mg.Linear(4, 3))
    x, y, _ = draw((4,))
    with pytest.raises(ValueError, match=r"another model's; .* SyntheticGradients\(model\)"):
        rule().estimate(mlp((4, 6, 5, 3)), mg.CrossEntropyLoss(), x.astype("float32"), y)


def test_without_labels_it_says_what_to_do_and_then_works():
    model = mg.models.ds4420_toy(dtype="float64", seed=0)
    x, target = to_device(np.ones((2, 3))), to_device(np.array([[0.0], [1.0]]))
    with pytest.raises(TypeError, match=r"got float64 of shape \(2, 1\); use conditioned=False"):
        rule(model).estimate(model, mg.BCELoss(), x, target)
    value = rule(model, conditioned=False).estimate(model, mg.BCELoss(), x, target)
    assert np.isfinite(value)


@pytest.mark.on_host
def test_an_empty_sequential_is_a_layer_like_another():
    model = mg.Sequential(mg.Linear(4, 6), mg.Sequential(), mg.Tanh(), mg.Linear(6, 3))
    assert [block.stop - 1 for block in split(model)[:-1]] == [2]


# The report


class Given(Module):
    """Predicts what it was given."""

    def __init__(self, dh_hat):
        self.dh_hat = to_device(dh_hat)

    def predict(self, h, target):
        return self.dh_hat

    def learn(self, dh):
        pass


def tanh_net(seed=0, dropout=False):
    layers = [mg.Dropout(0.4, seed=1)] if dropout else []
    return mg.Sequential(
        mg.Linear(4, 6, dtype="float64", seed=seed),
        mg.Tanh(),
        mg.Linear(6, 5, dtype="float64", seed=seed + 1),
        mg.Tanh(),
        *layers,
        mg.Linear(5, CLASSES, dtype="float64", seed=seed + 2),
    )


def true_gradients(model, x, y, d2=None):
    """dh at both interfaces in plain NumPy; the lower from d2, if given, at the upper."""
    W1, b1, W2, b2, W3, b3 = (to_host(param) for param in model.params.values())
    h1 = np.tanh(x @ W1 + b1)
    h2 = np.tanh(h1 @ W2 + b2)
    p = np.exp(h2 @ W3 + b3)
    dh2 = (p / p.sum(axis=1, keepdims=True) - np.eye(CLASSES)[y]) @ W3.T / len(x)
    return ((dh2 if d2 is None else d2) * (1 - h2**2)) @ W2.T, dh2


def test_the_report_is_the_plain_formulas():
    model, (x, y, _) = tanh_net(), draw((4,))
    dh1, dh2 = true_gradients(model, x, y)
    rng = np.random.default_rng(5)
    d1, d2 = (dh + 0.3 * dh.std() * rng.standard_normal(dh.shape) for dh in (dh1, dh2))
    taught1, _ = true_gradients(model, x, y, d2)
    made = SyntheticGradients(model, modules=[Given(d1), Given(d2)])
    report = made.report(mg.CrossEntropyLoss(), to_device(x), to_device(y))
    for i, (after, d, dh, taught) in enumerate([(1, d1, dh1, taught1), (3, d2, dh2, dh2)]):
        got = report.interfaces[i]
        assert got.after == after
        for r2, of in ((got.r2_true, dh), (got.r2_bootstrapped, taught)):
            spread = sum(((of[:, j] - of[:, j].mean()) ** 2).sum() for j in range(of.shape[1]))
            assert r2 == pytest.approx(1 - ((d - of) ** 2).sum() / spread, rel=1e-10)
        product = np.einsum("nd,nd", d, dh)
        assert got.cosine == pytest.approx(product / np.sqrt((d**2).sum() * (dh**2).sum()))
        assert got.norm_ratio == pytest.approx(np.sqrt((d**2).sum() / (dh**2).sum()))
        assert 0 < got.r2_true < 1
    assert report.interfaces[0].r2_true != pytest.approx(report.interfaces[0].r2_bootstrapped)
    title, *rows, top = str(report).splitlines()
    for word in ("after layer", "R² true", "R² taught", "cosine", "norm", "updates below", "age"):
        assert word in title
    for row, one in zip(rows, report.interfaces, strict=True):
        shown = f"{one.r2_true:.3f} {one.r2_bootstrapped:.3f} {one.cosine:.3f} {one.norm_ratio:.2f}"
        assert row.split() == [str(one.after), *shown.split(), "0", "0"]
    assert top.split() == ["top", "0", "0"]
    assert np.isnan(r_squared(d1, np.ones_like(d1)))  # nothing there to explain


def test_the_best_linear_module_is_found_by_least_squares():
    rng = np.random.default_rng(0)
    net = mg.Sequential(
        mg.Linear(4, 5, dtype="float64", rng=rng),
        mg.ReLU(),
        mg.Linear(5, CLASSES, dtype="float64", rng=rng),
    )
    x, y = to_device(rng.standard_normal((60, 4))), to_device(rng.integers(0, CLASSES, 60))
    h = np.maximum(to_host(x) @ to_host(net.params["0.W"]) + to_host(net.params["0.b"]), 0)
    W2, b2 = (to_host(net.params[f"2.{name}"]) for name in "Wb")
    p = np.exp(h @ W2 + b2)
    p /= p.sum(axis=1, keepdims=True)
    dh = (p - np.eye(CLASSES)[to_host(y)]) @ W2.T / 60
    for classes, more in ((None, []), (CLASSES, [np.eye(CLASSES)[to_host(y)][:, 1:]])):
        features = np.hstack([h, np.ones((60, 1)), *more])
        hat = features @ np.linalg.solve(features.T @ features, features.T @ dh)
        expected = r_squared(hat, dh)
        found = best_linear(net, mg.CrossEntropyLoss(), x, y, classes)
        assert found == pytest.approx(expected, rel=1e-9)
    net.params["2.W"][...] *= 1e-9  # then p is the same for all, and the label says all
    assert best_linear(net, mg.CrossEntropyLoss(), x, y, CLASSES) == pytest.approx(1)


@pytest.mark.parametrize("batch_norm", [False, True])
def test_exact_predictions_are_reported_as_perfect_and_none_as_none(batch_norm):
    (x, y, _), loss = draw((4,)), mg.CrossEntropyLoss()
    model, twin = (mlp((4, 6, 5, 3), batch_norm=batch_norm, dtype="float64", seed=0) for _ in "ab")
    batch, exact = (loss, to_device(x), to_device(y)), []
    loss.forward(twin.forward(batch[1]), batch[2])
    dh = loss.backward()
    for block in reversed(split(twin)[1:]):  # in training mode, as the rule itself
        dh = block.backward(dh)
        exact.insert(0, Given(to_host(dh)))
    for interface in SyntheticGradients(model, modules=exact).report(*batch).interfaces:
        for number in (interface.r2_true, interface.r2_bootstrapped, interface.cosine):
            assert number == pytest.approx(1, abs=1e-12)
        assert interface.norm_ratio == pytest.approx(1)
    for interface in SyntheticGradients(model).report(*batch).interfaces:  # zero at the start
        assert interface.r2_true <= 0
        assert np.isnan(interface.cosine)
        assert interface.norm_ratio == 0


def test_the_report_tells_the_updates_and_their_age():
    model, (x, y, _) = tanh_net(), draw((4,))
    batch = mg.CrossEntropyLoss(), to_device(x), to_device(y)
    made = SyntheticGradients(model, update_probability=0.4, seed=3)
    for _ in range(9):
        made.estimate(model, *batch)
    report = made.report(*batch)
    made.updates[0] += 1
    assert report.updates[0] + 1 == made.updates[0]  # a list of its own
    made.updates[0] -= 1
    assert report.updates == made.updates
    assert report.ages == [9 - last for last in made.last_update]
    assert len(set(report.updates)) > 1
    rows = [line.split()[-2:] for line in str(report).splitlines()[1:]]
    assert rows == [[str(n), str(a)] for n, a in zip(report.updates, report.ages, strict=True)]
    stale = SyntheticGradients(model, mode="stale", every=4)
    for _ in range(3):
        stale.estimate(model, *batch)
    report = stale.report(*batch)
    assert (report.interfaces, report.updates, report.ages) == ([], [3] * 3, [2] * 3)
    assert str(report).splitlines()[-1].split() == ["top", "3", "2"]


def everything(model, loss, made):
    grads = {f"d{key}": grad for key, grad in model.grads.items()}
    dz = {"dz": loss.backward()}  # the loss still knows its batch
    return on_host(model.state_dict() | grads | dz) | made.state_dict()


def bn_net():
    return mlp((4, 6, 5, 3), batch_norm=True, dtype="float64", seed=0)


@pytest.mark.parametrize("mode", ["sequential", "locked", "unlocked", "stale"])
@pytest.mark.parametrize(
    "build",
    [
        bn_net,
        pytest.param(
            lambda: tanh_net(dropout=True),
            id="dropout",
        ),
    ],
)
def test_a_report_changes_nothing(build, mode):
    runs = []
    for look in (True, False):
        model, loss = build(), mg.CrossEntropyLoss()
        made = SyntheticGradients(model, hidden=(4,), mode=mode)
        adam, values = mg.Adam(model, 0.01), []
        for seed in range(6):
            x, y, _ = draw((4,), seed)
            x, y = to_device(x), to_device(y)
            values.append(made.estimate(model, loss, x, y))
            if look:
                before = everything(model, loss, made)
                made.report(loss, x[:5], y[:5])
                after = everything(model, loss, made)
                assert before.keys() == after.keys()
                assert all(np.array_equal(before[key], after[key]) for key in before)
            adam.step()
        runs.append((values, model.state_dict(), made.state_dict()))
    assert runs[0][0] == runs[1][0]
    for a, b in zip(runs[0][1:], runs[1][1:], strict=True):
        assert all(np.array_equal(a[key], b[key]) for key in b)


@pytest.mark.on_host
def test_a_net_that_is_no_plain_chain_is_not_cut():
    class Residual(mg.Sequential):
        def forward(self, x, train=True):
            return x + super().forward(x, train)

    model = Residual(mg.Linear(4, 4), mg.Tanh(), mg.Linear(4, 4))
    with pytest.raises(TypeError, match="Residual has a forward, backward or jvp of its own"):
        split(model)


@pytest.mark.on_host
@pytest.mark.parametrize("hidden", [5, "5", None])
def test_hidden_sizes_are_a_list(hidden):
    with pytest.raises(ValueError, match=r"hidden is a list of sizes, such as \[256\]"):
        mg.rules.SyntheticGradients(mg.models.mlp((4, 3, 2)), hidden=hidden)
    with pytest.raises(ValueError, match="input_hidden is a list"):
        mg.rules.SyntheticGradients(mg.models.mlp((4, 3, 2)), mode="unlocked", input_hidden=hidden)


def test_what_a_module_is_taught_depends_on_the_mode(rng):
    """ "locked" teaches the true gradient: both R² are one; "bp-lambda" lies between."""
    x, y = to_device(rng.standard_normal((9, 4))), to_device(rng.integers(0, 3, 9))
    found = {}
    for mode, options in (("locked", {}), ("sequential", {}), ("bp-lambda", {"mixture": 1.0})):
        net = mg.models.mlp((4, 7, 6, 3), "tanh", dtype="float64", seed=0)
        rule = mg.rules.SyntheticGradients(net, mode=mode, lr=0.05, **options)
        for _ in range(5):
            rule.estimate(net, mg.CrossEntropyLoss(), x, y)
        found[mode] = rule.report(mg.CrossEntropyLoss(), x, y).interfaces
    for mode in ("locked", "bp-lambda"):
        assert all(i.r2_true == pytest.approx(i.r2_bootstrapped) for i in found[mode])
    assert abs(found["sequential"][0].r2_true - found["sequential"][0].r2_bootstrapped) > 0.01


def test_a_copy_of_a_dropout_goes_on_with_its_stream(rng):
    layer = mg.Dropout(0.5, seed=1)
    x = to_device(rng.random((20, 20)))
    first = to_host(layer.forward(x))
    layer.drop_cache()
    twins = copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))
    second = to_host(layer.forward(x))
    assert not np.array_equal(first, second)
    for twin in twins:
        np.testing.assert_array_equal(to_host(twin.forward(x)), second)


def test_a_module_of_ones_own_needs_predict_and_learn_alone(rng):
    """A schedule, a saved state and a report work with it, too."""

    class Constant(mg.rules.Module):
        def predict(self, h, target):
            return h * 0.01

        def learn(self, dh):
            self.taught = dh

    x, y = to_device(rng.standard_normal((9, 4))), to_device(rng.integers(0, 3, 9))
    net = mg.models.mlp((4, 7, 3), "tanh", dtype="float64", seed=0)
    rule = mg.rules.SyntheticGradients(net, modules=[Constant()])
    rule.estimate(net, mg.CrossEntropyLoss(), x, y)
    assert rule.modules[0].taught.shape == (9, 7)
    rule.rescale(0.1)
    rule.load_state_dict(net, rule.state_dict())
    assert rule.report(mg.CrossEntropyLoss(), x, y).interfaces[0].norm_ratio > 0
    for method in ("predict", "learn"):
        with pytest.raises(NotImplementedError, match=f"Module has no {method}"):
            getattr(mg.rules.Module(), method)(*[None] * (2 if method == "predict" else 1))
