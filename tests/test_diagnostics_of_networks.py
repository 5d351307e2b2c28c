"""Curvature, signal and noise, dead units, likeness, age: each where the answer is known."""

import contextlib
import copy

import numpy as np
import pytest

import minigrad as mg
from minigrad import diagnostics
from minigrad.backend import to_device, to_host
from minigrad.functions import Height, Ravine, at
from minigrad.rules import Backprop, WeightPerturbation, Wrapper

STEEP = (5.0, 3.0, 0.5, 2.0)


class Saddle(Ravine):
    """Curvature of either sign."""

    def __init__(self, *curvature):
        super().__init__(np.abs(curvature))
        self.curvature = curvature


def smooth(dtype="float64"):
    return mg.Sequential(
        mg.Linear(4, 5, dtype=dtype, seed=0), mg.Tanh(), mg.Linear(5, 3, dtype=dtype, seed=1)
    )


@pytest.fixture
def batch(rng):
    x = rng.standard_normal((6, 4))
    return to_device(x), to_device(np.array([0, 1, 2, 0, 1, 2]))


def direction(model, rng):
    return {name: to_device(rng.standard_normal(p.shape)) for name, p in model.params.items()}


@pytest.mark.on_host
def test_products_are_those_of_pytorch(batch, rng):
    """H v and G v of a smooth network, to a millionth."""
    torch = pytest.importorskip("torch")
    net, loss = smooth(), mg.CrossEntropyLoss()
    v = direction(net, rng)
    x, y = (torch.from_numpy(a) for a in batch)
    W, b, U, c = p = [torch.tensor(a, requires_grad=True) for a in net.params.values()]
    along = [torch.from_numpy(a) for a in v.values()]

    def derivative(values, by, directions):
        """Σ <values, directions> by `by`."""
        product = sum((a * d).sum() for a, d in zip(values, directions, strict=True))
        return torch.autograd.grad(product, by, create_graph=True)

    z = torch.tanh(x @ W + b) @ U + c
    value = torch.nn.functional.cross_entropy(z, y)
    hessian = derivative(torch.autograd.grad(value, p, create_graph=True), p, along)
    up = torch.zeros_like(z, requires_grad=True)
    (z_dot,) = derivative(derivative([z], p, [up]), up, along)  # J v, from Jᵀ up
    curved = derivative(torch.autograd.grad(value, z, create_graph=True), z, [z_dot])
    gauss_newton = derivative([z], p, [curved[0].detach()])
    for product, expected in (
        (diagnostics.hessian_product, hessian),
        (diagnostics.gauss_newton_product, gauss_newton),
    ):
        found = product(net, loss, *batch, v).values()
        expected = [e.detach().numpy() for e in expected]
        error = max(abs(a - e).max() for a, e in zip(found, expected, strict=True))
        assert error < 1e-6 * max(abs(e).max() for e in expected)


def test_a_float32_network_has_products_in_float64(batch, rng):
    wide, loss = smooth(), mg.CrossEntropyLoss()
    narrow = smooth("float32")
    narrow.load_state_dict({k: a.astype("float32") for k, a in wide.state_dict().items()})
    wide.load_state_dict({k: a.astype("float64") for k, a in narrow.state_dict().items()})
    v = {k: a.astype("float32") for k, a in direction(narrow, rng).items()}
    x = batch[0].astype("float32")
    for product in (diagnostics.hessian_product, diagnostics.gauss_newton_product):
        found = product(narrow, loss, x, batch[1], v)
        expected = product(wide, loss, x.astype("float64"), batch[1], v)
        for name in found:
            assert found[name].dtype == "float64"
            assert abs(found[name] - expected[name]).max() <= 1e-12
    assert narrow.params["0.W"].dtype == "float32"


def test_of_a_linear_network_and_a_squared_error_both_products_are_one(batch, rng):
    net = mg.Sequential(mg.Linear(4, 3, dtype="float64", seed=0))
    target = to_device(rng.standard_normal((6, 3)))
    v = direction(net, rng)
    H = diagnostics.hessian_product(net, mg.MSELoss(), batch[0], target, v)
    G = diagnostics.gauss_newton_product(net, mg.MSELoss(), batch[0], target, v)
    # H_L = 2/(N C), so G_W V = 2/(N C) xᵀ (x V + c)
    x = batch[0]
    expected = 2 / 18 * x.T @ (x @ v["0.W"] + v["0.b"])
    for product in (H, G):
        assert abs(product["0.W"] - expected).max() < 1e-7


def test_a_quadratic_has_its_trace_and_its_eigenvalue():
    bowl = at(Ravine(STEEP))
    found = diagnostics.stability(bowl, Height(), None, None, samples=3)
    assert found.trace == pytest.approx(sum(STEEP), rel=1e-7)  # exact: H is diagonal
    assert found.trace_error == pytest.approx(0, abs=1e-6)
    assert found.largest == pytest.approx(5, rel=1e-5)
    assert found.rank == pytest.approx(10.5 / 5, rel=1e-5)
    assert found.largest_lr() == pytest.approx(2 / 5, rel=1e-5)
    assert found.largest_lr(4) == pytest.approx(2 / (10.5 / 4 + 1.25 * 5), rel=1e-5)
    assert found.margin(0.2) == pytest.approx(0.5, rel=1e-5)
    assert "λ = 5" in str(found)
    # the loss is linear in its output, the height: H_L = 0
    flat = diagnostics.stability(bowl, Height(), None, None, matrix="gauss-newton")
    assert (flat.trace, flat.largest, flat.largest_lr()) == (0, 0, np.inf)


@pytest.mark.parametrize(("curvature", "largest"), [((-5, 3, 1), 3), ((-4, -1, -2), -1)])
def test_the_largest_eigenvalue_is_not_the_most_negative_one(curvature, largest):
    found = diagnostics.stability(at(Saddle(*curvature)), Height(), None, None)
    assert found.largest == pytest.approx(largest, rel=1e-3)


def test_the_trace_of_a_network(batch):
    """Hutchinson's estimate, beside the sum of all n products with unit vectors."""
    net, loss = smooth(), mg.CrossEntropyLoss()
    columns = []
    for name, p in net.params.items():
        for i in range(p.size):
            unit = np.zeros(p.size)
            unit[i] = 1
            v = {name: to_device(unit.reshape(p.shape))}
            H = diagnostics.hessian_product(net, loss, *batch, v)
            columns.append(np.concatenate([to_host(a).ravel() for a in H.values()]))
    H = np.array(columns)
    assert abs(H - H.T).max() < 1e-8
    found = diagnostics.stability(net, loss, *batch, samples=60)
    assert abs(found.trace - np.trace(H)) < 4 * found.trace_error
    assert found.largest == pytest.approx(np.linalg.eigvalsh(H)[-1], rel=1e-3)


def test_a_shared_array_moves_once_and_frozen_layers_stay(batch, rng):
    net = mg.Sequential(
        *(mg.Linear(4, 4, bias=False, dtype="float64", seed=0) for _ in range(2)),
        mg.Linear(4, 3, dtype="float64", seed=1),
    )
    net[1].params["W"] = net[0].params["W"]
    net[2].frozen = True
    v = {"0.W": to_device(rng.standard_normal((4, 4)))}
    epsilon, values = 1e-4, []
    W = net[0].params["W"]
    start = W.copy()
    for step in (-1, 0, 1):
        W[...] = start + step * epsilon * v["0.W"]
        values.append(mg.CrossEntropyLoss().forward(net.forward(batch[0]), batch[1]))
    W[...] = start
    H = diagnostics.hessian_product(net, mg.CrossEntropyLoss(), *batch, v)
    assert list(H) == ["0.W"]
    second = (values[0] - 2 * values[1] + values[2]) / epsilon**2
    assert diagnostics.product(v, H) == pytest.approx(second, rel=1e-5)
    G = diagnostics.gauss_newton_product(net, mg.CrossEntropyLoss(), *batch, v)
    z = net.forward(batch[0])
    z_dot = net.jvp(None, {"0.W": v["0.W"], "1.W": v["0.W"]})
    p = np.exp(to_host(z))
    p /= p.sum(axis=1, keepdims=True)
    z_dot = to_host(z_dot)
    curved = p * (z_dot - (p * z_dot).sum(axis=1, keepdims=True)) / 6
    assert diagnostics.product(v, G) == pytest.approx((z_dot * curved).sum(), rel=1e-7)


class Scaled(Wrapper):
    def estimate(self, model, loss, x, target):
        value = super().estimate(model, loss, x, target)
        for _, leaf in model.leaves():
            leaf.grads = {name: 1.5 * g for name, g in leaf.grads.items()}
        return value


def test_one_step_on_a_quadratic():
    """L(θ - a c g) - L(θ) = -a c |g|² + a² c²/2 gᵀ H g."""
    h = np.array(STEEP)
    bowl = at(Ravine(h))
    found = diagnostics.one_step(Scaled(Backprop()), bowl, Height(), None, None, lr=0.1)
    gradient, scaled = (-0.1 * c * (h**2).sum() + 0.005 * c * c * (h**3).sum() for c in (1, 1.5))
    assert found.gradient == pytest.approx(gradient)
    assert found.each == pytest.approx(np.full(8, scaled))
    assert found.efficiency == pytest.approx(scaled / gradient)
    assert diagnostics.one_step(Backprop(), bowl, Height(), None, None, lr=1).efficiency == 1


def test_a_short_step_gains_what_quality_calls_efficiency(batch):
    net = mg.Sequential(*smooth().layers[:2], mg.Dropout(0.4, seed=3), smooth().layers[2])
    args = (WeightPerturbation(3), net, mg.CrossEntropyLoss(), *batch)
    found = diagnostics.one_step(*args, lr=1e-6, seed=5)
    each = diagnostics.quality(*args, seed=5).total.each["efficiency"]
    assert found.each / found.gradient == pytest.approx(each, rel=1e-3)


def test_signal_and_noise_of_single_examples(batch):
    net, loss = smooth(), mg.CrossEntropyLoss()
    found = diagnostics.signal_to_noise(net, loss, *batch)
    grads = []
    for i in range(6):
        Backprop().estimate(net, loss, batch[0][i : i + 1], batch[1][i : i + 1])
        grads.append(to_host(net.grads["0.W"]))
    mean, std = np.mean(grads, axis=0), np.std(grads, axis=0)
    assert to_host(found.snr["0.W"]) == pytest.approx(abs(mean) / (std / np.sqrt(6)))
    assert found.total.null == pytest.approx(mg.rules.well_tempered.null_fraction(6))
    halves = diagnostics.signal_to_noise(net, loss, *batch, micro_batch_size=3, per="layer")
    assert set(halves.batches.values()) == {2}


def test_spreads_are_of_what_activations_put_out_and_of_its_gradient():
    W = to_device(np.diag([3.0, -4.0]))
    net = mg.Sequential(
        mg.Linear(2, 2, bias=False, dtype="float64"),
        mg.ReLU(),
        mg.Linear(2, 2, bias=False, dtype="float64"),
        mg.Tanh(),
    )
    for layer in (net[0], net[2]):
        layer.params["W"][...] = W
    x, target = to_device(np.array([[1.0, -1.0]])), to_device(np.zeros((1, 2)))
    found = diagnostics.spreads(net, mg.MSELoss(reduction="sum"), x, target)
    y = np.tanh([9.0, -16.0])
    h = np.array([3.0, 4.0])
    dh = 2 * y * (1 - y**2) * [3, -4]
    assert found.names == ("1", "3")
    for values, arrays in ((found.outputs, (h, y)), (found.gradients, (dh, 2 * y))):
        assert values == pytest.approx([np.sqrt((a**2).mean()) for a in arrays])


def test_dead_units():
    net = mg.Sequential(
        mg.Conv2d(1, 3, 3, padding=1, dtype="float64", seed=0),
        mg.ReLU(),
        mg.Flatten(),
        mg.Linear(48, 4, dtype="float64", seed=1),
        mg.ReLU(),
        mg.Linear(4, 2, dtype="float64", seed=2),
        mg.Tanh(),
    )
    net[0].params["b"][...] = to_device(np.array([0.1, -100, 0.1]))
    net[3].params["b"][...] = to_device(np.array([-100, 0.1, 0.1, -100]))
    x = to_device(np.random.default_rng(0).standard_normal((7, 1, 4, 4)))
    for batch_size in (3, 100):
        dead = diagnostics.dead_units(net, x, batch_size)
        assert list(dead) == ["1", "4", "6"]
        assert dead["1"].tolist() == [False, True, False]
        assert dead["4"].tolist() == [True, False, False, True]
        assert dead["6"].mean() == 0
    steps = mg.Sequential(mg.ReLU())  # each feature is alive for the last of the examples alone
    x = to_device(np.where(np.arange(7) == 6, 1.0, -1.0)[:, None] * np.ones(2))
    assert not diagnostics.dead_units(steps, x, 3)["0"].any()
    assert diagnostics.dead_units(steps, x[:-1], 3)["0"].all()


def test_recall_by_class(batch):
    net = smooth()
    net[2].params["b"][...] = to_device(np.array([0, 0, -100.0]))
    read = to_host(net.predict(batch[0]).argmax(axis=1))
    y = to_host(batch[1])
    expected = [(read[y == c] == c).mean() for c in range(3)]
    for batch_size in (4, 100):
        assert diagnostics.class_recall(net, *batch, batch_size).tolist() == expected
    assert expected[2] == 0


def test_cka_is_one_for_what_is_rotated_and_known_for_single_features(rng):
    a = to_device(rng.standard_normal((9, 4)))
    turn = to_device(np.linalg.qr(rng.standard_normal((4, 4)))[0])
    assert diagnostics.cka(a, 3 * a @ turn + 5) == pytest.approx(1)
    wide = to_device(rng.standard_normal((9, 20)))  # by the other formula: fewer examples
    turn = to_device(np.linalg.qr(rng.standard_normal((20, 20)))[0])
    assert diagnostics.cka(wide, wide @ turn) == pytest.approx(1)
    both = diagnostics.cka(a, wide)
    A, B = (to_host(m) - to_host(m).mean(axis=0) for m in (a, wide))
    norms = [np.linalg.norm(m) for m in (A.T @ B, A.T @ A, B.T @ B)]
    assert both == pytest.approx(norms[0] ** 2 / (norms[1] * norms[2]))
    one, other = a[:, :1], a[:, 1:2]  # of single features it is the squared correlation
    r = np.corrcoef(to_host(one)[:, 0], to_host(other)[:, 0])[0, 1]
    assert diagnostics.cka(one, other) == pytest.approx(r**2)
    assert np.isnan(diagnostics.cka(a, a * 0))
    with pytest.raises(ValueError, match="the same examples"):
        diagnostics.cka(a, a[:3])


def test_likeness_of_networks(batch):
    net, other = smooth(), smooth()
    turn = np.linalg.qr(np.random.default_rng(1).standard_normal((5, 5)))[0]
    other[0].params["W"][...] = net[0].params["W"] @ to_device(turn)
    other[0].params["b"][...] = net[0].params["b"] @ to_device(turn)
    found = diagnostics.likeness(net, other, batch[0], batch_size=4)
    assert list(found) == ["0", "1", "2"]
    assert found["0"] == pytest.approx(1)  # rotated
    assert found["1"] < 0.999  # and then squashed
    assert diagnostics.activations(net, batch[0])["1"].shape == (6, 5)


def test_the_age_of_gradients(batch):
    net, loss = smooth(), mg.CrossEntropyLoss()
    stale = mg.rules.StaleGradients(net, every=3)
    assert diagnostics.gradient_age(stale) == {"0": 0, "2": 0}
    ages = []
    for _ in range(5):
        stale.estimate(net, loss, *batch)
        ages.append(diagnostics.gradient_age(Wrapper(stale))["0"])
    assert ages == [0, 1, 2, 0, 1]
    half = mg.rules.SyntheticGradients(net, update_probability=0.5)
    expected = {"0": 0, "2": 0}
    for _ in range(6):
        half.estimate(net, loss, *batch)
        for name in expected:
            expected[name] = 0 if net[int(name)].grads else expected[name] + 1
        assert diagnostics.gradient_age(half) == expected
    assert diagnostics.gradient_age(Backprop()) == {}


def test_vectors():
    a = to_device(np.array([3.0, 4.0], "float32"))
    b = to_device(np.array([4.0, 3.0], "float32"))
    assert diagnostics.norm(a) == 5
    assert diagnostics.product({"x": a, "y": a}, {"x": b, "y": b}) == 48
    assert diagnostics.cosine(a, b) == pytest.approx(24 / 25)
    assert diagnostics.cosine(a, a) == 1
    assert np.isnan(diagnostics.cosine(a, 0 * a))
    for wrong, error in ((a[:1], ValueError), ({"x": a}, TypeError)):
        with pytest.raises(error):
            diagnostics.product(a, wrong)


@pytest.mark.parametrize(
    "measure",
    [
        lambda net, loss, x, y: diagnostics.stability(net, loss, x, y, samples=2, steps=2),
        lambda net, loss, x, y: diagnostics.gauss_newton_product(net, loss, x, y, dict(net.params)),
        lambda net, loss, x, y: diagnostics.one_step(WeightPerturbation(), net, loss, x, y, lr=0.1),
        lambda net, loss, x, y: diagnostics.signal_to_noise(net, loss, x, y, micro_batch_size=2),
        lambda net, loss, x, y: diagnostics.likeness(net, net, x),
        lambda net, loss, x, y: diagnostics.dead_units(net, x),
        lambda net, loss, x, y: diagnostics.spreads(net, loss, x, y),
        lambda net, loss, x, y: diagnostics.class_recall(net, x, y),
        # errors in the middle
        lambda net, loss, x, y: diagnostics.stability(net, loss, x, y + 5),
        lambda net, loss, x, y: diagnostics.signal_to_noise(net, loss, x, y + 5, 2),
        lambda net, loss, x, y: diagnostics.spreads(net, loss, x, y + 5),
        lambda net, loss, x, y: diagnostics.class_recall(net, x[:, :3], y),
    ],
)
def test_nothing_changes(measure, batch, request):
    net = mg.Sequential(
        mg.Linear(4, 5, dtype="float64", seed=0),
        mg.BatchNorm1d(5, dtype="float64"),
        mg.ReLU(),
        mg.Dropout(0.3, seed=1),
        mg.Linear(5, 3, dtype="float64", seed=2),
    )
    loss = mg.CrossEntropyLoss()
    Backprop().estimate(net, loss, *batch)
    twin, its_loss = copy.deepcopy((net, loss))
    caches = [id(layer.cache) for layer in net.modules()]
    grads = {name: (id(g), g.copy()) for name, g in net.grads.items()}
    with contextlib.suppress(ValueError):
        measure(net, loss, *batch)
    assert [id(layer.cache) for layer in net.modules()] == caches
    for name, g in net.grads.items():
        assert id(g) == grads[name][0]
        assert bool((g == grads[name][1]).all())
    for name, array in net.state_dict().items():
        assert np.array_equal(array, twin.state_dict()[name])
    assert Backprop().estimate(net, loss, *batch) == Backprop().estimate(twin, its_loss, *batch)


@pytest.mark.on_host
def test_what_cannot_be_measured_says_so(batch, rng):
    net, loss = smooth(), mg.CrossEntropyLoss()
    v = direction(net, rng)
    H = diagnostics.hessian_product
    for call, error, words in (
        (lambda: H(net, loss, *batch, {"1.W": v["0.W"]}), KeyError, "parameters that move are"),
        (lambda: H(net, loss, *batch, {"0.W": v["0.b"]}), ValueError, "expected shape"),
        (lambda: H(net, loss, *batch, v["0.W"]), TypeError, "v is a dict"),
        (lambda: H(net, None, *batch, v), TypeError, "loss must be a minigrad.Loss"),
        (
            lambda: diagnostics.stability(net, loss, *batch, matrix="fisher"),
            ValueError,
            "matrix must be one of hessian, gauss-newton",
        ),
        (lambda: diagnostics.stability(net, loss, *batch, samples=0), ValueError, "samples"),
        (lambda: diagnostics.stability(net, loss, *batch, steps=0), ValueError, "steps"),
        (lambda: diagnostics.signal_to_noise(net, loss, *batch, 6), ValueError, "smaller micro"),
        (lambda: diagnostics.one_step(Backprop(), net, loss, *batch, lr=0), ValueError, "lr must"),
        (lambda: diagnostics.dead_units(net, batch[0][:0]), ValueError, "expected examples"),
        (lambda: diagnostics.spreads(net[:1], loss, *batch), ValueError, "no activation"),
        (lambda: diagnostics.class_recall(None, *batch), TypeError, "model must be"),
        (lambda: diagnostics.activations(net, batch[0], 0), ValueError, "batch_size"),
    ):
        with pytest.raises(error, match=words):
            call()
