"""Slopes by finite differences: as exact as they can be, of one function, at no cost in memory."""

import tracemalloc

import numpy as np
import pytest
from reference.given_directions import NETS, close, flat, gradients, make

import minigrad as mg
from minigrad import threads
from minigrad.backend import to_device, to_host
from minigrad.rules import Backprop, DirectionSampler, ForwardGradient
from minigrad.rules.forward.finite_differences import default_epsilon

ONE_SIDED = {"mode": "finite-difference", "scheme": "one-sided"}
CENTRAL = {"mode": "finite-difference"}


def network(activation, dtype, seed=0, size=20):
    """(model, loss, x, target): 20-16-16-5, 64 examples."""
    model = mg.models.mlp((size, 16, 16, 5), activation, dtype=dtype, seed=seed)
    rng = np.random.default_rng(seed)
    x = to_device(rng.standard_normal((64, size)).astype(dtype))
    return model, mg.CrossEntropyLoss(), x, to_device(rng.integers(0, 5, 64))


def errors(activation, dtype, steps=12, distribution="normal", **options):
    """|d - <∇L, v>| in units of |∇L|, which is how far the slopes are from 0, step by step."""
    model, *batch = network(activation, dtype)
    exact, rule = (
        ForwardGradient(distribution=distribution, seed=2, **given) for given in ({}, options)
    )
    found = []
    for _ in range(steps):
        values = [r.estimate(model, *batch) for r in (exact, rule)]
        assert values[1] == pytest.approx(values[0], rel=1e-4)
        found.append(rule.derivatives[0] - exact.derivatives[0])
    Backprop().estimate(model, *batch)
    length = np.sqrt(sum((to_host(g).astype("float64") ** 2).sum() for g in model.grads.values()))
    return abs(np.array(found)) / length


# ------------------------------------------------------------------ how exact


@pytest.mark.parametrize("distribution", ["normal", "rademacher", "sphere", "orthonormal"])
def test_central_ones_in_float64_are_exact_to_eight_digits(distribution):
    assert errors("tanh", "float64", distribution=distribution, **CENTRAL).max() < 1e-8


def test_kinks_cost_some_of_them_a_little():
    assert np.median(errors("relu", "float64", **CENTRAL)) < 1e-6


@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize("options", [CENTRAL, ONE_SIDED], ids=["central", "one-sided"])
def test_in_float32_they_are_good_to_one_percent(options, activation):
    assert errors(activation, "float32", **options).max() < 0.01


def test_one_sided_ones_in_float64():
    assert 1e-10 < np.median(errors("tanh", "float64", **ONE_SIDED)) < 1e-5


@pytest.mark.parametrize(
    ("activation", "dtype", "options"),
    [
        ("tanh", "float64", CENTRAL),
        ("tanh", "float64", ONE_SIDED),
        ("tanh", "float32", ONE_SIDED),
        ("relu", "float32", CENTRAL),
        ("relu", "float32", ONE_SIDED),
    ],
)
def test_the_automatic_step_is_better_than_much_larger_and_smaller_ones(activation, dtype, options):
    step = default_epsilon(
        list(network(activation, dtype)[0].params.values()), options.get("scheme", "central")
    )
    own, larger, smaller = (
        np.median(errors(activation, dtype, **options, epsilon=step * factor))
        for factor in (1, 100, 0.01)
    )
    assert own == np.median(errors(activation, dtype, **options))  # None is this step
    assert own < 0.7 * larger
    assert own < 0.3 * smaller


@pytest.mark.parametrize("scheme", ["central", "one-sided"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_automatic_step_is_that_of_the_formula(dtype, scheme, rng):
    """u^(1/2) |θ|/|v|, or u^(1/3) |θ|/|v| for central ones in float64, with |v| = √n."""
    arrays = [rng.normal(0, 0.3, shape).astype(dtype) for shape in ((7, 4), (3,), ())]
    arrays = [np.asarray(a) for a in arrays]
    theta = np.sqrt(sum((a.astype("float64") ** 2).sum() for a in arrays))
    u = 2.0**-24 if dtype == "float32" else 2.0**-53
    power = 1 / 3 if (dtype, scheme) == ("float64", "central") else 1 / 2
    found = default_epsilon([to_device(a) for a in arrays], scheme)
    assert found == pytest.approx(u**power * theta / np.sqrt(32), rel=1e-12)
    assert default_epsilon([to_device(0 * a) for a in arrays], scheme) == pytest.approx(
        u**power / np.sqrt(32), rel=1e-12
    )


# ------------------------------------------------------------------ of which function


def by_hand(model, loss, x, target, v, epsilon):
    """L(θ + εv) with a copy of the parameters."""
    kept = model.state_dict()
    for p, direction in zip(model.params.values(), v, strict=True):
        p += epsilon * direction
    model.reseed(3)
    value = loss.forward(model.forward(x), target)
    model.load_state_dict(kept)
    return value


@pytest.mark.parametrize("regenerate", [False, True])
@pytest.mark.parametrize("scheme", ["central", "one-sided"])
@pytest.mark.parametrize("name", NETS)
def test_it_is_the_difference_of_the_loss_at_two_points(name, scheme, regenerate):
    """Also with dropout, all evaluations with one mask; the value is the schemes' own."""
    model, *batch = make(name)
    epsilon, K = 1e-3, 3
    rule = ForwardGradient(
        K, **CENTRAL, scheme=scheme, epsilon=epsilon, regenerate=regenerate, seed=8
    )
    value, grads = gradients(rule, model, *batch)
    params, draws = list(model.params.values()), DirectionSampler(seed=8)
    slopes, values, rows = [], [], []
    for k in range(K):
        v = [mg.backend.array_module(p).empty_like(p) for p in params]
        draws.fill(v, 1, k)
        plus, minus, here = (by_hand(model, *batch, v, e) for e in (epsilon, -epsilon, 0))
        values += [plus, minus] if scheme == "central" else [here]
        central = (plus - minus) / (2 * epsilon)
        slopes.append(central if scheme == "central" else (plus - here) / epsilon)
        rows.append(np.concatenate([to_host(a).ravel() for a in v]))
    np.testing.assert_allclose(rule.derivatives, slopes, rtol=1e-9, atol=1e-10)
    assert value == pytest.approx(np.mean(values), rel=1e-12)
    expected = sum(d * row for d, row in zip(slopes, rows, strict=True)) / K
    np.testing.assert_allclose(flat(grads), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("options", [CENTRAL, ONE_SIDED], ids=["central", "one-sided"])
def test_dropouts_mask_is_another_in_the_next_step(options):
    model, loss, x, target = make("dropout", n=40)
    rule = ForwardGradient(**options, epsilon=1e-12)
    model.reseed(3)
    first, second = (rule.estimate(model, loss, x, target) for _ in range(2))
    model.reseed(3)
    expected = [loss.forward(model.forward(x), target) for _ in range(2)]
    assert [first, second] == pytest.approx(expected, rel=1e-9)
    assert first != pytest.approx(second, rel=1e-3)


@pytest.mark.parametrize(
    ("distribution", "regenerate"),
    [
        ("normal", False),
        ("normal", True),
        ("rademacher", False),
        ("rademacher", True),
        ("sphere", False),
        ("orthonormal", False),
    ],
)
@pytest.mark.parametrize("name", ["mlp", "images", "dropout"])
def test_antithetic_pairs_are_central_differences(name, distribution, regenerate):
    """K one-sided ones along v and -v have the mean of K/2 central ones; the same draws."""
    given = {"distribution": distribution, "epsilon": 1e-3, "regenerate": regenerate}
    model, *batch = make(name)
    pairs = ForwardGradient(4, **ONE_SIDED, **given, antithetic=True)
    central = ForwardGradient(2, **CENTRAL, **given)
    for _ in range(2):
        (_, ours), (_, theirs) = (gradients(rule, model, *batch) for rule in (pairs, central))
        close(ours, theirs, 1e-9, 1e-9)
    plus, minus = np.array(pairs.derivatives).reshape(2, 2).T
    np.testing.assert_allclose((plus - minus) / 2, central.derivatives, rtol=1e-9, atol=1e-9)
    assert (abs(plus + minus) > 1e-9).all()


@pytest.mark.parametrize("options", [CENTRAL, ONE_SIDED], ids=["central", "one-sided"])
def test_it_is_forward_passes_and_nothing_else(options):
    """2K of them, or K + 1; nothing runs backward, and no tangent."""
    model, *batch = make("mlp")
    calls = []
    for i, layer in enumerate(model.layers):
        layer.backward = layer.jvp = layer.forward_jvp = layer.backward_params = None
        layer.forward = lambda *x, i=i, go=layer.forward, **o: calls.append(i) or go(*x, **o)
    batch[0].jvp = batch[0].backward = None
    ForwardGradient(3, **options).estimate(model, *batch)
    assert calls == [0, 1, 2] * (6 if options is CENTRAL else 4)


# ------------------------------------------------------------------ memory


def peak(rule, depth, width, n, dtype="float32"):
    """Bytes that a step takes at most beyond what there was, in copies of the parameters."""
    rng = np.random.default_rng(0)
    model = mg.models.mlp([width] * (depth + 1), dtype=dtype, seed=0)
    batch = rng.standard_normal((n, width)).astype(dtype), rng.integers(0, width, n)
    rule.estimate(model, mg.CrossEntropyLoss(), *batch)  # scratch memory is there from now on
    for _, leaf in model.leaves():
        leaf.grads = {}
    tracemalloc.start()
    rule.estimate(model, mg.CrossEntropyLoss(), *batch)
    found = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return found, sum(p.nbytes for p in model.params.values())


@pytest.mark.on_host
@pytest.mark.parametrize(
    "options",
    [CENTRAL, ONE_SIDED, CENTRAL | {"regenerate": True}, {}, {"regenerate": True}],
    ids=str,
)
def test_memory_does_not_grow_with_depth(options):
    """Activations of 2000 examples, eight times a layer's at most, whether 2 layers or 20."""
    K = 1 if options in ({}, {"regenerate": True}) else 2
    activations = 2000 * 32 * 4
    for depth in (2, 20):
        found, params = peak(ForwardGradient(K, **options), depth, 32, 2000)
        assert found < 2 * params + 8 * activations


@pytest.mark.on_host
def test_backprops_memory_does_grow_with_depth():
    activations = 2000 * 32 * 4
    found, params = peak(Backprop(), 20, 32, 2000)
    assert found > 2 * params + 15 * activations


@pytest.mark.on_host
@pytest.mark.parametrize("options", [{}, CENTRAL, ONE_SIDED], ids=str)
@pytest.mark.parametrize("regenerate", [False, True])
def test_memory_does_not_grow_with_the_number_of_directions(options, regenerate):
    """Six layers of 200 x 200: the gradient is a copy of all parameters, the direction another, or,
    drawn again, a layer's share of one; and up to three arrays the size of a layer for a moment.
    (Activations of 2 examples: next to nothing.)"""
    found, tangent = {}, 2 * 200 * 4
    for K in (4, 32):
        rule = ForwardGradient(K, **options, regenerate=regenerate)
        found[K], params = peak(rule, 6, 200, 2)
    tangents = 32 * 2 * tangent if regenerate and not options else 0  # K go up side by side
    assert found[32] < 1.02 * found[4] + tangents
    copies = found[4] / params
    assert copies < (1 + 3.5 / 6 if regenerate else 2 + 2.5 / 6)
    assert copies > (1 if regenerate else 2)


@pytest.mark.on_host
@pytest.mark.parametrize("depth", [2, 3])
@pytest.mark.parametrize("options", [{}, CENTRAL], ids=str)
def test_drawn_again_a_direction_costs_one_layers_memory(options, depth, threads_as_before):
    """Layers of 900 x 900: beside the gradient a layer, and 2 MB for a thread that draws."""
    threads.set_threads(1)
    layer = 900 * 900 * 4
    for regenerate in (True, False):
        rule = ForwardGradient(2, **options, regenerate=regenerate)
        found, params = peak(rule, depth, 900, 2)
        assert (found < params + layer + 2e6) is regenerate
        assert found < 2 * params + (2 if options else 0) * layer + 2e6


def test_pairs_along_as_many_orthonormal_directions_as_parameters_are_the_gradient():
    """18 differences along 9 directions and back."""
    model, *batch = make("mlp")
    _, expected = gradients(Backprop(), model, *batch)
    rule = ForwardGradient(18, "orthonormal", **ONE_SIDED, antithetic=True, epsilon=1e-5)
    close(gradients(rule, model, *batch)[1], expected, 1e-6, 1e-8)
