"""The quality of a rule's gradient: known answers, and nothing changes."""

import copy
import json

import cases
import numpy as np
import pytest

import minigrad as mg
from minigrad import generators
from minigrad.backend import to_device, to_host
from minigrad.diagnostics import quality
from minigrad.functions import Height, Ravine, at
from minigrad.rules import Backprop, WeightPerturbation, Wrapper


@pytest.fixture
def batch(rng):
    x = rng.standard_normal((6, 4)).astype("float32")
    return to_device(x), to_device(np.array([0, 1, 2, 0, 1, 2]))


def network(batch_norm=True, dtype="float32"):
    norm = [mg.BatchNorm1d(5, dtype=dtype)] if batch_norm else []
    return mg.Sequential(
        mg.Linear(4, 5, dtype=dtype, seed=0),
        *norm,
        mg.ReLU(),
        mg.Dropout(0.3, seed=1),
        mg.Linear(5, 3, dtype=dtype, seed=2),
    )


class Scaled(Wrapper):
    """`factor` times what the wrapped rule estimates, and noise from a generator of its own."""

    def __init__(self, rule, factor=1.0, noise=0.0):
        super().__init__(rule)
        self.factor = factor
        self.noise = noise
        self.rng = np.random.default_rng(4)

    def estimate(self, model, loss, x, target):
        value = super().estimate(model, loss, x, target)
        for _, leaf in model.leaves():
            leaf.grads = {
                name: self.factor * g
                + self.noise * to_device(self.rng.standard_normal(g.shape).astype(g.dtype), g)
                for name, g in leaf.grads.items()
            }
        return value


def test_backprop_is_the_gradient(batch):
    """Exactly, also where dropout draws masks."""
    found = quality(Backprop(), network(), mg.CrossEntropyLoss(), *batch, replicates=3)
    assert list(found.layers) == ["0", "1", "4"]
    for measures in (*found.layers.values(), found.total):
        assert (measures.cosine, measures.angle, measures.norm_ratio) == (1, 0, 1)
        assert (measures.sign_agreement, measures.efficiency) == (1, 1)
        assert (measures.bias2, measures.variance, measures.error) == (0, 0, 0)
        assert measures.snr == np.inf


@pytest.mark.parametrize("distribution", ["normal", "rademacher"])
def test_forward_gradients_have_no_bias_and_the_variance_of_the_formulas(distribution):
    n, K, R = 12, 3, 120
    bowl = at(Ravine(np.linspace(1, 3, n)))
    rule = WeightPerturbation(K, distribution)
    found = quality(rule, bowl, Height(), None, None, replicates=R).total
    variance = {"normal": n + 1, "rademacher": n - 1}[distribution] / K
    error = found.each["error"]
    assert abs(error.mean() - variance) < 5 * error.std(ddof=1) / np.sqrt(R)
    assert found.variance == pytest.approx(found.error, rel=0.05)
    # bias² scatters about 0 by less than the variance that it is corrected by
    assert abs(found.bias2) < 2 * variance / R
    assert found.snr == pytest.approx(1 / variance, rel=0.4)
    assert found.efficiency == pytest.approx(1, abs=5 * np.std(found.each["efficiency"]) / R**0.5)
    mean_square = (found.each["norm_ratio"] ** 2).mean()
    assert mean_square == pytest.approx(1 + variance, rel=0.3)


@pytest.mark.parametrize("factor", [1.5, -1.0])
def test_a_multiple_of_the_gradient(batch, factor):
    found = quality(Scaled(Backprop(), factor), network(), mg.CrossEntropyLoss(), *batch)
    for measures in (*found.layers.values(), found.total):
        sign = np.sign(factor)
        assert measures.cosine == pytest.approx(sign, abs=1e-6)
        assert measures.angle == pytest.approx(90 - 90 * sign, abs=0.1)
        assert measures.norm_ratio == pytest.approx(abs(factor), rel=1e-6)
        assert measures.sign_agreement == (factor > 0)
        assert measures.bias2 == pytest.approx((factor - 1) ** 2, rel=1e-5)
        assert measures.variance == 0
        assert measures.efficiency == pytest.approx(factor, rel=1e-6)


def test_known_noise_beside_a_known_bias(batch):
    """ĝ = 1.5 g + 0.01 ε: bias² .25, variance 10⁻⁴ n/|g|²."""
    net = network(dtype="float64")
    loss, x = mg.CrossEntropyLoss(), batch[0].astype("float64")
    R = 60
    rule = Scaled(Backprop(), 1.5, noise=0.01)
    found = quality(rule, net, loss, x, batch[1], replicates=R)
    with mg.layers.holding(net):
        Backprop().estimate(net, loss, x, batch[1])
    for name, measures in found.layers.items():
        grads = [to_host(g).ravel() for g in net[int(name)].grads.values()]
        g = np.concatenate(grads)
        variance = 1e-4 * g.size / (g @ g)
        # each is a mean of n R squares: its relative error is √(2/(n R))
        assert measures.variance == pytest.approx(variance, rel=5 * (2 / R / g.size) ** 0.5)
        assert measures.bias2 == pytest.approx(0.25, abs=5 * (variance / g.size / R) ** 0.5)
        noise = variance * (g @ g)
        assert measures.snr == pytest.approx(2.25 * (g @ g) / noise, rel=0.3)


class LeavesOut(Backprop):
    """Backprop without the first layer, in every estimate or for some seeds."""

    def __init__(self, share=1.0):
        self.share = share
        self.rng = np.random.default_rng(0)

    def estimate(self, model, loss, x, target):
        value = super().estimate(model, loss, x, target)
        if self.rng.random() < self.share:
            model[0].grads = {}
        return value


def test_a_layer_that_is_left_out_counts_as_zero(batch):
    args = (network(), mg.CrossEntropyLoss(), *batch)
    found = quality(LeavesOut(), *args).layers["0"]
    assert np.isnan([found.cosine, found.angle, found.snr]).all()
    assert (found.norm_ratio, found.sign_agreement, found.efficiency) == (0, 0, 0)
    assert (found.bias2, found.variance, found.error) == (1, 0, 1)
    half = quality(LeavesOut(0.5), *args, replicates=40)
    mean = half.layers["0"].efficiency
    assert 0.2 < mean < 0.8
    assert half.layers["0"].cosine == 1  # of those that are there
    assert half.layers["0"].variance == pytest.approx(mean * (1 - mean) * 40 / 39)
    assert half.layers["4"].variance == 0


def test_one_estimate_has_no_variance(batch):
    found = quality(Backprop(), network(), mg.CrossEntropyLoss(), *batch, replicates=1).total
    assert np.isnan([found.bias2, found.variance, found.snr]).all()
    assert (found.cosine, found.error) == (1, 0)


def test_no_gradient(batch):
    """Where g = 0 there is nothing to compare with."""
    net = network()
    net[4].params["W"][...] = 0
    found = quality(Backprop(), net, mg.CrossEntropyLoss(), *batch)
    below = found.layers["0"]
    assert np.isnan([below.cosine, below.norm_ratio, below.sign_agreement, below.bias2]).all()
    assert np.isnan([below.variance, below.error, below.efficiency]).all()
    assert found.total.cosine == 1
    json.dumps(found.as_dict(), allow_nan=False)


def state_of(*parts):
    """All that can change, to be compared: as text where it is not an array."""
    found = {}
    for i, part in enumerate(parts):
        found |= {
            f"{i} {k}": v for k, v in copy.deepcopy(getattr(part, "state_dict", dict)()).items()
        }
        found[f"{i} rng"] = repr(part.rng_state())
        if isinstance(part, mg.Layer):
            found |= {f"grad {k}": g.copy() for k, g in part.grads.items()}
            found |= {f"cache {j}": id(m.cache) for j, m in enumerate(part.modules())}
            found |= {f"held {j}": m._kept for j, m in enumerate(part.modules())}
        else:
            found[f"cache of {i}"] = id(getattr(part, "cache", None))
    found["numpy"] = repr(generators.common_state())
    return {k: to_host(v) if hasattr(v, "shape") else v for k, v in found.items()}


def assert_same(a, b):
    assert a.keys() == b.keys()
    for name in a:
        assert np.array_equal(a[name], b[name]), name


class Fails(Wrapper):
    """Estimates, draws from everywhere, and fails."""

    rng = np.random.default_rng(5)  # of the class: copies share it

    def estimate(self, model, loss, x, target):
        super().estimate(model, loss, x, target)
        generators.COMMON["numpy"].random()
        self.rng.random()
        raise RuntimeError("on purpose")


@pytest.mark.parametrize("case", **cases.rule_cases)
def test_nothing_changes(case, batch):
    net, loss = network(case.batch_norm), mg.CrossEntropyLoss()
    rule = case.make(net)
    optimizer = mg.SGD(net, 0.1, momentum=0.9)
    for _ in range(2):
        rule.estimate(net, loss, *batch)
        optimizer.step()
    parts = (net, rule, loss, optimizer)
    before = state_of(*parts)
    twin = copy.deepcopy((net, rule, loss))
    quality(rule, net, loss, *batch, replicates=2)
    assert_same(state_of(*parts), before)
    class_state = repr(Fails.rng.bit_generator.state)
    with pytest.raises(RuntimeError, match="on purpose"):
        quality(Fails(rule), net, loss, *batch)
    assert_same(state_of(*parts), before)
    assert repr(Fails.rng.bit_generator.state) == class_state
    values = [r.estimate(m, f, *batch) for m, r, f in ((net, rule, loss), twin)]
    assert values[0] == values[1]
    assert_same(
        state_of(net, rule),
        state_of(*twin[:2])
        | {name: value for name, value in state_of(net, rule).items() if name.startswith("cache")},
    )


@pytest.mark.on_host
@pytest.mark.parametrize("case", **cases.rule_cases)
def test_reseed_decides_all_random_numbers(case, batch):
    """The same seed, the same estimates; and the replicates of a rule that draws differ."""
    net, loss = network(case.batch_norm), mg.CrossEntropyLoss()
    rule = case.make(net)
    found = []
    for seed in (1, 1, 2, 3):
        its_net, its_rule, its_loss = copy.deepcopy((net, rule, loss))
        its_rule.reseed(seed)
        its_rule.estimate(its_net, its_loss, *batch)
        found.append({name: to_host(g) for name, g in its_net.grads.items()})
    assert_same(found[0], found[1])
    draws = ("Perturbation", "half", "Forward", "decay", "ClippedGradients value")
    if any(word in case.name for word in draws) and "Accumulated" not in case.name:
        assert any(
            other.keys() != found[0].keys()
            or any(not np.array_equal(other[k], found[0][k]) for k in other)
            for other in found[2:]
        )


def test_the_seed_decides(batch):
    args = (WeightPerturbation(2), network(), mg.CrossEntropyLoss(), *batch)
    first, again, other = (quality(*args, seed=seed).total for seed in (3, 3, 4))
    assert first == again
    assert first != other


def test_within_holding_the_masks_are_those_drawn_before(batch):
    net, loss = network(), mg.CrossEntropyLoss()
    with mg.layers.holding(net):
        value = loss.forward(net.forward(batch[0]), batch[1])
        found = quality(Backprop(), net, loss, *batch, replicates=1)
        assert found.loss == value
    assert net[3]._kept is None


def test_frozen_layers_and_shared_arrays(batch, rng):
    net = mg.Sequential(
        mg.Linear(4, 4, dtype="float32", seed=0),
        mg.Tanh(),
        mg.Linear(4, 4, dtype="float32", seed=1),
        mg.Linear(4, 3, dtype="float32", seed=2),
    )
    net[2].params["W"] = net[0].params["W"]
    net[3].frozen = True
    guided = mg.rules.GuidedForwardGradient(Backprop())
    for rule in (Backprop(), guided):  # the second gives each layer an equal part
        found = quality(rule, net, mg.CrossEntropyLoss(), *batch)
        assert list(found.layers) == ["0", "2"]
        cosine = found.layers["0"].cosine
        assert cosine == pytest.approx(1, abs=1e-6 if rule is not guided else 0.1)
    net[0].frozen = net[2].frozen = True
    with pytest.raises(ValueError, match="no parameter that moves"):
        quality(Backprop(), net, mg.CrossEntropyLoss(), *batch)


def test_signs_are_compared_where_there_is_a_gradient():
    bowl = at(Ravine([1.0, 1e-4, 2.0]))  # the gradient is (1, 10⁻⁴, 2)

    class Flipped(Backprop):
        def estimate(self, model, loss, x, target):
            value = super().estimate(model, loss, x, target)
            model[0].grads = {"x": model[0].grads["x"] * to_device(np.array([1.0, -1.0, -1.0]))}
            return value

    assert quality(Flipped(), bowl, Height(), None, None).total.sign_agreement == 0.5


def test_it_prints_and_becomes_json(batch):
    found = quality(WeightPerturbation(), network(), mg.CrossEntropyLoss(), *batch, replicates=4)
    lines = str(found).splitlines()
    assert lines[1].split()[:4] == ["layer", "cosine", "angle", "norm"]
    assert [line.split()[0] for line in lines[2:]] == ["0", "1", "4", "all"]
    plain = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert plain["layers"]["4"]["cosine"] == found.layers["4"].cosine
    assert plain["total"]["bias2"] == found.total.bias2
    assert plain["replicates"] == 4
    assert (
        quality(Backprop(), network(), mg.CrossEntropyLoss(), *batch).as_dict()["total"]["snr"]
        is None
    )


@pytest.mark.on_host
def test_what_cannot_be_measured_says_so(batch):
    net, loss = network(), mg.CrossEntropyLoss()
    for wrong, error, words in (
        ({"replicates": 0}, ValueError, "replicates must be an integer of at least 1"),
        ({"seed": -1}, ValueError, "seed must be"),
        ({"rule": Backprop}, TypeError, "rule must be a rule"),
        ({"model": 3}, TypeError, "model must be a minigrad.Layer"),
        ({"loss": None}, TypeError, "loss must be a minigrad.Loss"),
        ({"rule": mg.rules.ActivityPerturbation()}, ValueError, "depend on the whole batch"),
        ({"rule": mg.rules.StaleGradients(network())}, ValueError, "another model's"),
    ):
        given = {"rule": Backprop(), "model": net, "loss": loss, "replicates": 2} | wrong
        with pytest.raises(error, match=words):
            quality(x=batch[0], target=batch[1], **given)
    rule = Backprop()
    rule.lines = (line for line in "abc")  # a generator of Python cannot be copied
    with pytest.raises(TypeError, match="works on copies, and Backprop"):
        quality(rule, net, loss, *batch)
