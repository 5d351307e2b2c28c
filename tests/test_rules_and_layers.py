"""Rules on networks that are not plain: shared arrays, frozen layers, residual blocks, noise."""

import math

import numpy as np
import pytest
from cases import rule_cases
from reference.given_directions import Given, Residual, basis, close, flat, gradients, linear, signs

import minigrad as mg
from minigrad.backend import array_module, to_device, to_host
from minigrad.rules import (
    ActivityPerturbation,
    Backprop,
    GuidedForwardGradient,
    Rule,
    StaleGradients,
    SyntheticGradients,
    WeightPerturbation,
    WellTempered,
)
from minigrad.rules.chain import chain
from minigrad.rules.frozen import frozen, may_be_frozen
from minigrad.rules.sharing import shared

every_rule = pytest.mark.parametrize("case", **rule_cases)


# ------------------------------------------------------------------ layers of a teacher's own


class Frozen(mg.Linear):
    """Passes gradients on, and has none itself."""

    def backward(self, dy):
        dx = super().backward(dy)
        self.grads = {}
        return dx

    def backward_params(self, dy):
        super().backward_params(dy)
        self.grads = {}


class FrozenBlock(mg.Sequential):
    """All layers inside are frozen."""

    def backward(self, dy):
        dx = super().backward(dy)
        for _, leaf in self.leaves():
            leaf.grads = {}
        return dx

    def backward_params(self, dy):
        super().backward_params(dy)
        for _, leaf in self.leaves():
            leaf.grads = {}


class LeakyReLU(mg.Layer):
    """y = x where x > 0, else x/10."""

    is_activation = True
    monotone = True

    def forward(self, x, train=True):
        self.cache = array_module(x).where(x > 0, 1.0, 0.1).astype(x.dtype)
        return x * self.cache

    def backward(self, dy):
        return dy * self.recall()

    def jvp(self, x_dot, params_dot=None):
        return x_dot * self.recall()


class GaussianNoise(mg.Layer):
    """y = x + noise in training."""

    def __init__(self, sigma, seed=0):
        super().__init__()
        self.sigma = sigma
        self.reseed(seed)

    def reseed(self, seed):
        self.rng = np.random.default_rng(seed)

    def forward(self, x, train=True):
        self.cache = True
        if not train:
            return x
        draw = lambda: to_device(self.rng.standard_normal(x.shape).astype(x.dtype))  # noqa: E731
        return x + self.sigma * self.once("noise", draw)

    def backward(self, dy):
        return dy

    def jvp(self, x_dot, params_dot=None):
        return x_dot


def teacher(frozen_layer=None, n=6):
    """(a net with all of them, a loss, a batch); 11 units in layers that have parameters."""
    still = frozen_layer or Frozen(2, 2, dtype="float64", seed=2)
    model = mg.Sequential(
        linear(3, 2, 0),
        LeakyReLU(),
        GaussianNoise(0.1),
        Residual(linear(2, 2, 1), mg.Tanh()),
        mg.Tanh(),
        still,
        mg.Sigmoid(),
        linear(2, 3, 3),
    )
    rng = np.random.default_rng(4)
    x, y = rng.standard_normal((n, 3)), rng.integers(0, 3, n)
    return model, mg.CrossEntropyLoss(), to_device(x), to_device(y)


FROZEN = {
    "layer": lambda: Frozen(2, 2, dtype="float64", seed=2),
    "block": lambda: FrozenBlock(linear(2, 2, 2)),
    "block in a block": lambda: mg.Sequential(FrozenBlock(linear(2, 2, 2), mg.Tanh())),
}
every_frozen = pytest.mark.parametrize("kind", FROZEN)


def numeric(model, loss, x, target, arrays, h=1e-6):
    """∂L/∂a of each array by central differences, whoever has the array."""
    found = []
    for array in arrays:
        grad = np.zeros(array.shape)
        for index in np.ndindex(array.shape):
            values = []
            for sign in (1, -1):
                array[index] += sign * h
                model.reseed(3)
                values.append(loss.forward(model.forward(x), target))
                array[index] -= sign * h
            grad[index] = (values[0] - values[1]) / (2 * h)
        found.append(grad)
    return found


@every_frozen
@every_rule
def test_every_rule_takes_a_teachers_layers_and_leaves_frozen_ones_alone(case, kind):
    model, loss, x, target = teacher(FROZEN[kind]())
    rule, optimizer = case.make(model), mg.SGD(model, 0.1)
    before = model.state_dict()
    for _ in range(6):
        value = rule.estimate(model, loss, x, target)
        assert math.isfinite(value)
        assert all(leaf.grads == {} for _, leaf in model.layers[5].leaves())
        assert all(np.isfinite(to_host(grad)).all() for grad in model.grads.values())
        optimizer.step()
    moved = {key for key, a in model.state_dict().items() if not np.array_equal(a, before[key])}
    assert {key for key in moved if key.startswith("5.")} == set()
    last = "7." if case.any_model else "0."  # ForwardForward leaves the last layer out
    assert {key for key in moved if key.startswith(last)} == {f"{last}W", f"{last}b"}


def test_the_teachers_network_has_the_gradient_of_its_loss():
    model, *batch = teacher()
    _, grads = gradients(Backprop(), model, *batch)
    names = [key for key in model.params if not key.startswith("5.")]
    assert list(grads) == names
    expected = numeric(model, *batch, [model.params[key] for key in names])
    close(grads, dict(zip(names, expected, strict=True)), 1e-6, 1e-8)


@every_frozen
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"regenerate": True},
        {"method": "finite-difference", "epsilon": 1e-5},
        {"method": "finite-difference", "epsilon": 1e-5, "regenerate": True},
    ],
    ids=str,
)
def test_the_mean_over_all_directions_is_the_gradient_of_what_moves(options, kind):
    """Frozen parameters have no direction: n is the number of the others."""
    model, *batch = teacher(FROZEN[kind]())
    _, expected = gradients(Backprop(), model, *batch)
    n = flat(expected).size
    rule = WeightPerturbation(n, **options)
    rule.sampler = Given(basis(n), [grad.shape for grad in expected.values()], n)
    _, grads = gradients(rule, model, *batch)
    exact = "method" not in options
    close(grads, expected, 1e-10 if exact else 1e-6, 1e-12 if exact else 1e-7)


@every_frozen
def test_the_mean_over_all_noise_is_the_gradient_of_what_moves(kind):
    model, *batch = teacher(FROZEN[kind]())
    _, expected = gradients(Backprop(), model, *batch)
    shapes = [(2,), (2,), (2,), (3,)]
    table = signs(9)
    rule = ActivityPerturbation(len(table))
    rule.sampler = Given(table, shapes, len(table), per_example=True)
    _, grads = gradients(rule, model, *batch)
    close(grads, expected, 1e-10, 1e-12)


@every_frozen
def test_one_direction_leaves_frozen_layers_out(kind):
    model, *batch = teacher(FROZEN[kind]())
    _, expected = gradients(Backprop(), model, *batch)
    rule = WeightPerturbation(1, "rademacher")
    _, grads = gradients(rule, model, *batch)
    assert grads.keys() == expected.keys()
    (slope,) = rule.derivatives
    np.testing.assert_allclose(abs(flat(grads)), abs(slope), rtol=1e-12)
    assert slope == pytest.approx(np.sign(flat(grads) / slope) @ flat(expected), rel=1e-9)


def test_a_frozen_layer_is_known_from_one_pass():
    assert not may_be_frozen(linear(2, 2, 2))
    plain, _, x, _ = teacher(linear(2, 2, 2))
    assert may_be_frozen(plain), "its residual block has a backward of its own"
    assert frozen(plain, x) == set()
    for make in FROZEN.values():
        model, _, x, _ = teacher(make())
        assert may_be_frozen(model)
        (prefix,) = [prefix for prefix, leaf in model.layers[5].leaves("5.") if leaf.params]
        assert frozen(model, x) == {prefix}
        assert all(leaf._kept is None for _, leaf in model.leaves())
    assert [type(layer).__name__ for _, layer in chain(model)][5] == "FrozenBlock"


def test_a_layer_that_is_frozen_by_a_method_of_its_own():
    model, *batch = teacher(linear(2, 2, 2))
    still = model.layers[5]
    backward = still.backward

    def without(dy):
        dx = backward(dy)
        still.grads = {}
        return dx

    still.backward = without
    for rule in (WeightPerturbation(), WeightPerturbation(3, regenerate=True)):
        _, grads = gradients(rule, model, *batch)
        assert not any(key.startswith("5.") for key in grads)


@every_frozen
def test_stale_gradients_of_a_frozen_layer_are_saved_and_loaded(kind):
    model, loss, x, target = teacher(FROZEN[kind]())
    rule = StaleGradients(model, every=3)
    rule.estimate(model, loss, x, target)
    other = StaleGradients(model, every=3)
    other.load_state_dict(model, rule.state_dict())
    other.estimate(model, loss, x, target)
    assert not any(key.startswith("5.") for key in model.grads)
    assert any(key.startswith("7.") for key in model.grads)


def test_a_model_that_is_one_residual_block():
    """It cannot be cut; every rule that needs no cut takes it."""
    model = Residual(linear(3, 3, 0), mg.Tanh(), linear(3, 3, 1))
    rng = np.random.default_rng(4)
    batch = mg.MSELoss(), *(to_device(rng.standard_normal((5, 3))) for _ in range(2))
    _, expected = gradients(Backprop(), model, *batch)
    n = flat(expected).size
    close(gradients(WeightPerturbation(n, "orthonormal"), model, *batch)[1], expected, 1e-9, 1e-10)
    close(gradients(GuidedForwardGradient(Backprop()), model, *batch)[1], expected, 1e-9)
    close(gradients(StaleGradients(model), model, *batch)[1], expected)
    with pytest.raises(TypeError, match="put it as one layer into a Sequential"):
        SyntheticGradients(model)


# ------------------------------------------------------------------ arrays that layers share


def tied():
    """Two layers with one matrix, and biases of their own."""
    model = mg.Sequential(linear(2, 2, 0), mg.Tanh(), linear(2, 2, 1), mg.Tanh(), linear(2, 3, 2))
    model.layers[2].params["W"] = model.layers[0].params["W"]
    rng = np.random.default_rng(5)
    x, y = rng.standard_normal((6, 2)), rng.integers(0, 3, 6)
    return model, mg.CrossEntropyLoss(), to_device(x), to_device(y)


def by_array(grads):
    """Gradients of the shared matrix added up, as an optimiser does."""
    return {"0.W": grads["0.W"] + grads["2.W"]} | {
        key: grad for key, grad in grads.items() if key not in ("0.W", "2.W")
    }


def true():
    """The gradient by differences: the matrix is one variable."""
    model, *batch = tied()
    names = ["0.W", "0.b", "2.b", "4.W", "4.b"]
    return dict(zip(names, numeric(model, *batch, [model.params[k] for k in names]), strict=True))


def test_layers_that_share_an_array_are_found():
    model, *_ = tied()
    assert shared(model) == {"0.W": ["0.W", "2.W"]}
    assert shared(mg.models.mlp((2, 3, 2))) == {}


def test_backprops_parts_add_up_to_the_gradient():
    model, *batch = tied()
    close(by_array(gradients(Backprop(), model, *batch)[1]), true(), 1e-6, 1e-8)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"regenerate": True},
        {"method": "finite-difference", "epsilon": 1e-5},
        {"method": "finite-difference", "epsilon": 1e-5, "regenerate": True},
    ],
    ids=str,
)
def test_the_mean_over_all_directions_is_the_gradient_of_a_tied_net(options):
    """Each layer's use of the matrix has its own direction, and an estimate of its part."""
    model, *batch = tied()
    before = model.state_dict()
    _, parts = gradients(Backprop(), model, *batch)
    n = flat(parts).size
    rule = WeightPerturbation(n, **options)
    rule.sampler = Given(basis(n), [grad.shape for grad in parts.values()], n)
    _, grads = gradients(rule, model, *batch)
    close(by_array(grads), true(), 1e-6, 1e-7)
    close(grads, parts, 1e-6, 1e-7)
    assert model.layers[2].params["W"] is model.layers[0].params["W"]
    assert all(np.array_equal(array, before[key]) for key, array in model.state_dict().items())


def test_the_mean_over_all_noise_is_the_gradient_of_a_tied_net():
    model, *batch = tied()
    rule = ActivityPerturbation(128)
    rule.sampler = Given(signs(7), [(2,), (2,), (3,)], 128, per_example=True)
    close(by_array(gradients(rule, model, *batch)[1]), true(), 1e-6, 1e-8)


class Guess(Rule):
    """Proposes what it is given; layers that are left out get no gradient."""

    def __init__(self, values, left_out=()):
        self.values = values
        self.left_out = left_out

    def estimate(self, model, loss, x, target):
        for prefix, leaf in model.leaves():
            names = [] if prefix in self.left_out else leaf.params
            leaf.grads = {name: to_device(self.values[prefix + name]) for name in names}
        return 0.0


@pytest.mark.parametrize("seed", range(20))
def test_a_guided_step_on_a_tied_net_is_the_projection_and_never_uphill(seed):
    model, *batch = tied()
    rng = np.random.default_rng(seed)
    values = {key: rng.standard_normal(p.shape) for key, p in model.params.items()}
    _, grads = gradients(GuidedForwardGradient(Guess(values)), model, *batch)
    np.testing.assert_array_equal(grads["0.W"], grads["2.W"])
    u, g, ours = flat(by_array(values)), flat(true()), flat(by_array(grads))
    np.testing.assert_allclose(ours, (g @ u) * u / (u @ u), rtol=1e-6, atol=1e-8)
    assert ours @ g >= 0


@pytest.mark.parametrize("out", ["0.", "2."])
def test_a_guide_that_leaves_out_one_of_the_layers(out):
    """The matrix moves by the other's guess, and in both layers."""
    model, *batch = tied()
    rng = np.random.default_rng(1)
    values = {key: rng.standard_normal(p.shape) for key, p in model.params.items()}
    rule = GuidedForwardGradient(Guess(values, left_out=(out,)))
    _, grads = gradients(rule, model, *batch)
    assert set(grads) == {key for key in values if not key.startswith(out)}
    expected = true()
    expected["2.W"] = expected["0.W"]
    u = np.concatenate([values[key].ravel() for key in grads])
    g = np.concatenate([expected[key].ravel() for key in grads])
    np.testing.assert_allclose(flat(grads), (g @ u) * u / (u @ u), rtol=1e-6, atol=1e-8)


def series(count=5):
    rng = np.random.default_rng(6)
    for _ in range(count):
        yield to_device(rng.standard_normal((6, 2))), to_device(rng.integers(0, 3, 6))


def test_well_tempered_gates_a_shared_array_by_the_ratio_of_its_whole_gradient():
    model, loss, *_ = tied()
    rule, seen = WellTempered(window=4), []
    for step, (x, y) in enumerate(series()):
        _, plain = gradients(Backprop(), model, loss, x, y)
        _, grads = gradients(rule, model, loss, x, y)
        if step < 4:
            seen.append(by_array(plain))
            close(grads, plain)
    assert set(rule.snr) == {"0.W", "0.b", "2.b", "4.W", "4.b"}
    expected = {}
    for key, part in by_array(plain).items():
        g = np.array([grads[key] for grads in seen])
        snr = abs(g.mean(axis=0)) / (g.std(axis=0) / 2)
        np.testing.assert_allclose(to_host(rule.snr[key]), snr, rtol=1e-8)
        expected[key] = np.minimum(1, snr) * part
    close(by_array(grads), expected, 1e-8, 1e-10)
    other = WellTempered(window=4)
    other.load_state_dict(model, rule.state_dict())
    close(gradients(other, model, loss, x, y)[1], grads)


def test_well_tempered_within_the_step_on_a_tied_net():
    model, loss, x, y = tied()
    rule, seen = WellTempered(micro_batch_size=2), []
    _, grads = gradients(rule, model, loss, x, y)
    for start in range(0, 6, 2):
        _, part = gradients(Backprop(), model, loss, x[start : start + 2], y[start : start + 2])
        seen.append(by_array(part))
    expected = {}
    for key in seen[0]:
        g = np.array([part[key] for part in seen])
        snr = abs(g.mean(axis=0)) / (g.std(axis=0) / np.sqrt(3))
        expected[key] = np.minimum(1, snr) * g.mean(axis=0)
    close(by_array(grads), expected, 1e-8, 1e-10)


@every_rule
def test_every_rule_takes_a_tied_net(case):
    model, loss, *_ = tied()
    rule = case.make(model)
    if not case.any_model:
        assert "writes a label into the first 3 numbers of x" in rule.why_not(model, loss)
        return
    for x, y in series(6):
        assert math.isfinite(rule.estimate(model, loss, x, y))
        rule.end_epoch()
        assert all(np.isfinite(to_host(grad)).all() for grad in model.grads.values())
        assert model.layers[2].params["W"] is model.layers[0].params["W"]
