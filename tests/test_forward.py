"""ForwardGradient along directions of weights: its mean, its variance, its options."""

import inspect
import math

import numpy as np
import pytest
from reference.given_directions import (
    NETS,
    Given,
    basis,
    close,
    flat,
    gradients,
    is_held,
    make,
    signs,
)

import minigrad as mg
from minigrad import threads
from minigrad.backend import to_device, to_host
from minigrad.functions import Beale, Height, Ravine, Rosenbrock, at, descend
from minigrad.kernels import products
from minigrad.layers import linear
from minigrad.rules import (
    ActivityPerturbation,
    Backprop,
    DirectionSampler,
    ForwardGradient,
    GuidedForwardGradient,
    WeightPerturbation,
    WellTempered,
)

NOTHING = np.zeros((1, 0))


def images(n, shape=(1, 28, 28), classes=10, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.random((n, *shape), dtype="float32")
    return to_device(x), to_device(rng.integers(0, classes, n))


def forward(name="mlp", **options):
    """(loss, gradients, rule) of one step on a net of the table."""
    rule = ForwardGradient(**options)
    value, grads = gradients(rule, *make(name))
    return value, grads, rule


# ------------------------------------------------------------------ the mean is the gradient


@pytest.mark.parametrize("regenerate", [False, True])
@pytest.mark.parametrize("table", [basis, signs])
@pytest.mark.parametrize("name", NETS)
def test_the_mean_over_all_directions_is_the_gradient(name, table, regenerate):
    """Over √n times each unit vector, and over all 2^n vectors of signs: exactly."""
    model, *batch = make(name)
    value, expected = gradients(Backprop(), model, *batch)
    shapes = [p.shape for p in model.params.values()]
    rows = table(sum(p.size for p in model.params.values()))
    rule = ForwardGradient(directions=len(rows), regenerate=regenerate)
    rule.sampler = Given(rows, shapes, len(rows))
    ours, grads = gradients(rule, model, *batch)
    close(grads, expected)
    assert ours == pytest.approx(value, rel=1e-12)
    slopes = [row @ flat(expected) for row in rows]
    np.testing.assert_allclose(rule.derivatives, slopes, rtol=1e-10, atol=1e-12)
    assert all(type(d) is float for d in rule.derivatives)


@pytest.mark.parametrize("name", NETS)
def test_one_direction_a_step_has_the_same_mean(name):
    """K = 1 goes another way: value and slope together, v becomes the gradient."""
    model, *batch = make(name)
    value, expected = gradients(Backprop(), model, *batch)
    shapes = [p.shape for p in model.params.values()]
    rows = basis(sum(p.size for p in model.params.values()))
    rule, total = ForwardGradient(), dict.fromkeys(expected, 0)
    rule.sampler = Given(rows, shapes, 1)
    for row in rows:
        ours, grads = gradients(rule, model, *batch)
        assert ours == pytest.approx(value, rel=1e-12)
        assert rule.derivatives == pytest.approx([row @ flat(expected)], rel=1e-10, abs=1e-12)
        total = {key: total[key] + grad / len(rows) for key, grad in grads.items()}
    close(total, expected)


@pytest.mark.parametrize("options", [{}, {"directions": 3}, {"directions": 3, "regenerate": True}])
def test_a_gradient_not_of_length_one_over_k_is_found(options):
    """The comparison above can fail: a table of directions that are too long."""
    model, *batch = make("mlp")
    _, expected = gradients(Backprop(), model, *batch)
    rule = ForwardGradient(**options | {"directions": 9})
    rule.sampler = Given(1.01 * basis(9), [p.shape for p in model.params.values()], 9)
    with pytest.raises(AssertionError):
        close(gradients(rule, model, *batch)[1], expected)


@pytest.mark.parametrize("name", NETS)
def test_as_many_orthonormal_directions_as_parameters_are_the_gradient(name):
    model, *batch = make(name)
    _, expected = gradients(Backprop(), model, *batch)
    n = flat(expected).size
    close(gradients(ForwardGradient(n, "orthonormal"), model, *batch)[1], expected, 1e-10, 1e-10)


@pytest.mark.parametrize("distribution", ["normal", "rademacher", "sphere", "orthonormal"])
@pytest.mark.parametrize("directions", [1, 3])
@pytest.mark.parametrize("name", NETS)
def test_the_estimate_is_the_mean_of_slope_times_direction(name, directions, distribution):
    """The directions are those that Directions draws for this seed and step."""
    model, *batch = make(name)
    value, gradient = gradients(Backprop(), model, *batch)
    rule = ForwardGradient(directions, distribution, seed=4)
    draws, like = DirectionSampler(distribution, 4), list(model.params.values())
    for step in (1, 2):
        ours, grads = gradients(rule, model, *batch)
        arrays = [mg.backend.array_module(p).empty_like(p) for p in like]
        rows = []
        for k in range(directions):
            if distribution == "orthonormal":
                arrays = draws.orthonormal(like, step, directions)[k]
            else:
                draws.fill(arrays, step, k)
            rows.append(np.concatenate([to_host(a).ravel() for a in arrays]))
        slopes = [row @ flat(gradient) for row in rows]
        expected = sum(d * row for d, row in zip(slopes, rows, strict=True)) / directions
        np.testing.assert_allclose(flat(grads), expected, rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(rule.derivatives, slopes, rtol=1e-10, atol=1e-12)
        assert ours == pytest.approx(value, rel=1e-12)
        assert rule.steps == step


# ------------------------------------------------------------------ the variance


VARIANCES = [
    ("normal", 1, lambda n, K: n + 1),
    ("normal", 4, lambda n, K: (n + 1) / K),
    ("rademacher", 1, lambda n, K: n - 1),
    ("rademacher", 4, lambda n, K: (n - 1) / K),
    ("sphere", 1, lambda n, K: n - 1),
    ("sphere", 4, lambda n, K: (n - 1) / K),
    ("orthonormal", 1, lambda n, K: n - 1),
    ("orthonormal", 4, lambda n, K: n / K - 1),
]


@pytest.mark.on_host
@pytest.mark.parametrize(("distribution", "K", "formula"), VARIANCES)
def test_the_total_variance(distribution, K, formula):
    """In units of the gradient's squared length, within 3 %; the mean within 5 deviations."""
    n, steps = 12, 6000 // K
    model = at(Ravine(np.linspace(0.5, 3, n)))
    gradient = np.linspace(0.5, 3, n)
    rule, rows = ForwardGradient(K, distribution, seed=1), []
    for _ in range(steps):
        rule.estimate(model, Height(), NOTHING, NOTHING)
        rows.append(model.grads["0.x"].copy())
    rows, length = np.array(rows), gradient @ gradient
    variance = ((rows - gradient) ** 2).sum(axis=1).mean() / length
    assert variance == pytest.approx(formula(n, K), rel=0.03)
    distance = rows.mean(axis=0) - gradient
    assert (abs(distance) < 5 * rows.std(axis=0) / math.sqrt(steps)).all()


@pytest.mark.on_host
def test_each_coordinates_spread_at_a_point_of_beales():
    """std_i = √(|∇|² + ∇_i²) for normal directions: 10^5 of them at (1.5, -0.1)."""
    surface, n = Beale(), 100_000
    v = np.empty((n, 2))
    DirectionSampler(seed=3).fill([v], 1, 0)
    surface.forward(np.broadcast_to([1.5, -0.1], (n, 2)))
    g = surface.jvp(v)[:, None] * v
    gradient, spread = np.array([-3.433947, -0.807885]), np.array([4.923, 3.619])
    assert (abs(g.mean(axis=0) - gradient) < 4 * spread / math.sqrt(n)).all()
    np.testing.assert_allclose(g.std(axis=0), spread, rtol=0.03)
    model, rows = at(surface, (1.5, -0.1)), []
    rule = ForwardGradient(seed=2)
    for _ in range(3000):  # the rule's own, for a coarser look
        rule.estimate(model, Height(), NOTHING, NOTHING)
        rows.append(model.grads["0.x"].copy())
    assert (abs(np.mean(rows, axis=0) - gradient) < 4 * spread / math.sqrt(3000)).all()
    np.testing.assert_allclose(np.std(rows, axis=0), spread, rtol=0.1)


# ------------------------------------------------------------------ descents


@pytest.mark.on_host
@pytest.mark.parametrize("K", [1, 4, 16])
def test_the_largest_stable_step(K):
    """lr_max = 2/(tr H/K + (1 + 1/K) λ): 0.6 of it descends, 1.5 of it does not."""
    curvature, largest, medians = 10 * 0.86112 ** np.arange(60), 10.0, []
    trace = curvature.sum()
    assert trace == pytest.approx(72, abs=0.01)
    lr_max = 2 / (trace / K + (1 + 1 / K) * largest)
    for share in (0.6, 1.5):
        falls = []
        for seed in range(3):
            model = at(Ravine(curvature))
            optimizer = mg.SGD(model, share * lr_max)
            heights = descend(model, ForwardGradient(K, seed=seed), optimizer, 200).heights
            falls.append(heights[-1] / heights[0])
        medians.append(np.median(falls))
    assert medians[0] < 0.1
    assert medians[1] > 1


@pytest.mark.on_host
def test_ten_descents_on_beales_function():
    """Gradient descent ends at 5.56e-5."""
    for seed in range(10):
        model = at(Beale())
        heights = descend(model, ForwardGradient(seed=seed), mg.SGD(model, 0.01), 1000).heights
        assert 3e-5 < heights[-1] < 1.2e-4


@pytest.mark.on_host
@pytest.mark.slow
def test_a_descent_on_rosenbrocks_function():
    """Gradient descent ends at 5.32e-6."""
    model = at(Rosenbrock())
    rule, sgd = ForwardGradient(), mg.SGD(model, 5e-4)
    for _ in range(25_000):
        rule.estimate(model, Height(), NOTHING, NOTHING)
        sgd.step()
    assert 4e-6 < float(Rosenbrock().heights(*model.params["0.x"])) < 9e-6


# ------------------------------------------------------------------ drawn again


@pytest.mark.parametrize("directions", [1, 2, 5])
@pytest.mark.parametrize("distribution", ["normal", "rademacher"])
@pytest.mark.parametrize("name", NETS)
def test_directions_drawn_again_are_the_same(name, distribution, directions):
    options = {"name": name, "directions": directions, "distribution": distribution}
    (value, kept, rule), (again, drawn, other) = (
        forward(regenerate=regenerate, **options) for regenerate in (False, True)
    )
    close(drawn, kept, 1e-11, 1e-13)
    assert again == pytest.approx(value, rel=1e-12)
    np.testing.assert_allclose(other.derivatives, rule.derivatives, rtol=1e-11, atol=1e-13)


WAYS = [
    {},
    {"directions": 3},
    {"directions": 3, "regenerate": True},
    {"directions": 2, "distribution": "orthonormal"},
    {"mode": "finite-difference"},
    {"mode": "finite-difference", "directions": 2, "regenerate": True, "scheme": "one-sided"},
    {"perturb": "activities"},
    {"perturb": "activities", "directions": 2, "mode": "finite-difference", "layerwise": True},
    {"guide": Backprop()},
]
ways = pytest.mark.parametrize("options", WAYS, ids=str)


@ways
def test_one_seed_gives_one_result_and_another_another(options):
    found = [forward(seed=seed, **options) for seed in (3, 3, 4)]
    (value, grads, rule), (again, same, twin), (_, other, _) = found
    assert value == again
    assert all(np.array_equal(same[key], grads[key]) for key in grads)
    assert all(
        np.array_equal(to_host(a), to_host(b))
        for a, b in zip(rule.derivatives, twin.derivatives, strict=True)
    )
    assert options.get("guide") or not np.array_equal(flat(other), flat(grads))


@ways
def test_a_loaded_rule_goes_on_bit_for_bit(options, tmp_path):
    model, *batch = make("mlp")
    rule = ForwardGradient(seed=6, **options)
    for _ in range(3):
        rule.estimate(model, *batch)
    np.savez(tmp_path / "rule.npz", **rule.state_dict())
    other = ForwardGradient(seed=6, **options)
    with np.load(tmp_path / "rule.npz", allow_pickle=False) as file:
        other.load_state_dict(model, dict(file))
    assert other.steps == rule.steps == 3
    for _ in range(2):
        (value, grads), (again, same) = (gradients(r, model, *batch) for r in (rule, other))
        assert value == again
        assert all(np.array_equal(same[key], grads[key]) for key in grads)


@pytest.mark.on_host
def test_a_state_that_does_not_fit_is_refused():
    model, rule = make("mlp")[0], ForwardGradient(seed=1)
    assert rule.state_dict() == {"seed": 1, "steps": 0}
    with pytest.raises(KeyError, match=r"no state of a WeightPerturbation: \['seed'\] missing"):
        rule.load_state_dict(model, {"steps": 1})
    with pytest.raises(ValueError, match="of seed 2, this rule of 1"):
        rule.load_state_dict(model, {"seed": 2, "steps": 1})
    with pytest.raises(KeyError, match="this rule has no guide"):
        rule.load_state_dict(model, {"seed": 1, "steps": 1, "guide/steps": 3})
    assert rule.steps == 0


@pytest.mark.on_host
@pytest.mark.usefixtures("threads_as_before")
@pytest.mark.parametrize("options", [{}, {"directions": 2}, {"directions": 2, "regenerate": True}])
def test_threads_give_the_same_slopes_to_rounding(options):
    """And the same directions, bit for bit: dW_hat / slope."""
    x, t = images(8)
    found = []
    for n in (1, 2):
        threads.set_threads(n)
        model, rule = mg.models.mlp((784, 800, 10), seed=0), ForwardGradient(**options)
        rule.estimate(model, mg.CrossEntropyLoss(), x, t)
        found.append((rule.derivatives, model.grads["1.W"]))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-4)
    np.testing.assert_allclose(found[0][1], found[1][1], rtol=1e-3, atol=1e-5)


# ------------------------------------------------------------------ clip


@pytest.mark.parametrize("regenerate", [False, True])
@pytest.mark.parametrize("directions", [1, 4])
@pytest.mark.parametrize("mode", ["jvp", "finite-difference"])
def test_each_slope_is_clipped_and_known_as_it_was(mode, directions, regenerate):
    options = {"directions": directions, "mode": mode, "regenerate": regenerate, "seed": 11}
    model, *batch = make("one layer")
    _, expected = gradients(Backprop(), model, *batch)
    rows = 5 * basis(8)[[0, 3, 1, 2]]
    slopes = rows @ flat(expected)
    clip = float(np.sort(abs(slopes[:directions]))[directions // 2]) * 0.9
    rule = ForwardGradient(clip=clip, **options)
    rule.sampler = Given(rows, [p.shape for p in model.params.values()], directions)
    _, grads = gradients(rule, model, *batch)
    mean = (np.clip(slopes, -clip, clip)[:, None] * rows)[:directions].mean(axis=0)
    np.testing.assert_allclose(flat(grads), mean, rtol=1e-7, atol=1e-8)
    np.testing.assert_allclose(rule.derivatives, slopes[:directions], rtol=1e-7, atol=1e-8)
    assert len({np.sign(d) for d in slopes}) == 2
    assert max(abs(slopes[:directions])) > clip


@pytest.mark.on_host
def test_a_slope_that_is_no_number_stays_one():
    rule = ForwardGradient(clip=1.0)
    assert math.isnan(rule.clipped(math.nan))
    assert [rule.clipped(d) for d in (math.inf, -math.inf, 0.5, -3.0)] == [1, -1, 0.5, -1]
    np.testing.assert_array_equal(rule.clipped(np.array([np.nan, 2, -2])), [np.nan, 1, -1])
    assert ForwardGradient().clipped(1e9) == 1e9


# ------------------------------------------------------------------ what it leaves alone


@ways
@pytest.mark.parametrize("name", ["mlp", "images", "dropout", "composite"])
def test_parameters_inputs_and_caches_are_left_as_they_were(name, options):
    model, loss, x, target = make(name)
    params = dict(model.params)
    before = model.state_dict() | {"x": to_host(x).copy(), "target": to_host(target).copy()}
    rule = ForwardGradient(**options)
    for _ in range(2):
        rule.estimate(model, loss, x, target)
    for key, array in (model.params | {"x": x, "target": target}).items():
        np.testing.assert_array_equal(to_host(array), before[key])
    assert all(model.params[key] is array for key, array in params.items())
    for _, leaf in model.leaves():
        assert not is_held(leaf)
        assert leaf.grads.keys() == leaf.params.keys()
        assert "guide" in options or leaf.cache is None
        for key, grad in leaf.grads.items():
            assert (grad.shape, grad.dtype) == (leaf.params[key].shape, leaf.params[key].dtype)


@ways
def test_gradients_are_the_steps_own(options):
    """Another step does not write into what the last one gave."""
    model, *batch = make("mlp")
    rule = ForwardGradient(**options)
    rule.estimate(model, *batch)
    first = dict(model.grads)
    copies = {key: to_host(grad).copy() for key, grad in first.items()}
    rule.estimate(model, *batch)
    for key, grad in first.items():
        np.testing.assert_array_equal(to_host(grad), copies[key])


@ways
def test_when_a_pass_fails_nothing_is_held(options):
    model, loss, x, _ = make("mlp")
    before = model.state_dict()
    params = {key: id(p) for key, p in model.params.items()}
    with pytest.raises(ValueError, match="one shape"):
        ForwardGradient(**options).estimate(model, loss, x, x)
    assert not any(is_held(leaf) for _, leaf in model.leaves())
    assert all(np.array_equal(a, before[key]) for key, a in model.state_dict().items())
    assert {key: id(p) for key, p in model.params.items()} == params


@pytest.mark.parametrize("options", [o for o in WAYS if "activities" not in o.values()], ids=str)
def test_running_statistics_move_once_a_step(options):
    model, *batch = make("batch norm")
    plain, _, *_ = make("batch norm")
    rule = ForwardGradient(**options)
    for step in (1, 2):
        rule.estimate(model, *batch)
        plain.forward(batch[1])
        assert int(to_host(model.buffers["1.num_batches_tracked"])) == step
        for key, array in plain.buffers.items():
            np.testing.assert_allclose(
                to_host(model.buffers[key]), to_host(array), rtol=1e-3, atol=1e-4
            )


@ways
def test_float32_stays_float32(options):
    x, t = images(4, (1, 6, 6), 3)
    rng = np.random.default_rng(0)
    model = mg.Sequential(
        mg.Conv2d(1, 2, 3, rng=rng),
        mg.ReLU(),
        mg.MaxPool2d(2),
        mg.Flatten(),
        mg.Dropout(0.3, seed=0),
        mg.Linear(8, 3, rng=rng),
    )
    options = {key: np.float64(v) if type(v) is float else v for key, v in options.items()}
    ForwardGradient(clip=np.float64(5), **options).estimate(model, mg.CrossEntropyLoss(), x, t)
    assert {str(grad.dtype) for grad in model.grads.values()} == {"float32"}
    assert len(model.grads) == 4


# ------------------------------------------------------------------ with everything else


OPTIMIZERS = {
    "sgd": lambda m: mg.SGD(m, 1e-3),
    "momentum": lambda m: mg.SGD(m, 1e-3, momentum=0.5),
    "seed's": lambda m: mg.SGD(m, 1e-3, momentum=0.5, nesterov=True, velocity="steps"),
    "adam": lambda m: mg.Adam(m, 1e-3),
    "seed's adam": lambda m: mg.Adam(m, 1e-3, eps_inside=True),
}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@ways
def test_fit_takes_it_with_every_optimiser(options, optimizer, tmp_path):
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((20, 4)).astype("float32"), rng.integers(0, 3, 20)
    model = mg.models.mlp((4, 5, 3), seed=0)
    rule, stepper = ForwardGradient(**options), OPTIMIZERS[optimizer](model)
    history = mg.fit(
        model,
        mg.CrossEntropyLoss(),
        rule,
        stepper,
        mg.data.Dataset(x, y, classes=3),
        epochs=2,
        batch_size=10,
        schedule=mg.ExponentialLR(stepper, math.exp(-1e-5), per="step"),
    )
    assert np.isfinite(history.step_loss).all()
    assert len(history.step_loss) == rule.steps == 4
    assert history.settings["rule"] == repr(rule)
    history.save(tmp_path / "history.json")
    assert mg.History.load(tmp_path / "history.json").step_loss == history.step_loss


@pytest.mark.on_host
def test_it_learns():
    """Two clouds, by 300 steps: nothing has run backward."""
    rng = np.random.default_rng(1)
    y = rng.integers(0, 2, 200)
    x = (rng.standard_normal((200, 5)) + 1.5 * y[:, None]).astype("float32")
    for options in ({}, {"mode": "finite-difference"}, {"perturb": "activities"}):
        model = mg.models.mlp((5, 8, 2), seed=0)
        for layer in model.layers:
            layer.backward = None
        if options.get("perturb"):
            model = mg.models.mlp((5, 8, 2), seed=0)
        rule = ForwardGradient(2, **options)
        train = mg.data.Dataset(x, y, classes=2)
        sgd = mg.SGD(model, 0.02)
        history = mg.fit(model, mg.CrossEntropyLoss(), rule, sgd, train, epochs=30, batch_size=20)
        assert history.train_accuracy[-1] > 0.9


@ways
def test_well_tempered_takes_it(options):
    model, *batch = make("mlp")
    inner = ForwardGradient(**options)
    rule = WellTempered(inner, window=3)
    twin, plain = ForwardGradient(**options), []
    for _ in range(7):
        plain.append(gradients(twin, model, *batch)[1])
    found = [gradients(rule, model, *batch)[1] for _ in range(7)]
    for ours, theirs in zip(found[:2], plain[:2], strict=True):
        close(ours, theirs)
    assert inner.steps == 7
    assert rule.cost == inner.cost
    assert 0 <= rule.fraction_below_one <= 1  # measured twice
    state = rule.state_dict()
    assert state["rule/steps"] == 7
    other = WellTempered(ForwardGradient(**options), window=3)
    other.load_state_dict(model, state)
    close(gradients(other, model, *batch)[1], gradients(rule, model, *batch)[1])


@pytest.mark.parametrize(
    "options",
    [{}, {"directions": 2}, {"mode": "finite-difference"}, {"perturb": "activities"}],
    ids=str,
)
@pytest.mark.parametrize("net", ["lenet", "forward_convnet"])
def test_the_seeds_networks(net, options):
    model = (
        mg.models.lenet(0.3, 0.5, seed=0) if net == "lenet" else mg.models.forward_convnet(seed=0)
    )
    x, t = images(2)
    value = ForwardGradient(**options).estimate(model, mg.CrossEntropyLoss(), x, t)
    assert value == pytest.approx(math.log(10), abs=0.5)
    assert model.grads.keys() == model.params.keys()
    for key, grad in model.grads.items():
        assert grad.shape == model.params[key].shape
        assert np.isfinite(to_host(grad)).all()
        assert to_host(grad).any()


def test_a_model_without_parameters_is_refused():
    x = to_device(np.ones((2, 3)))
    for options in WAYS:
        with pytest.raises(ValueError, match="the model has no parameters"):
            ForwardGradient(**options).estimate(
                mg.Sequential(mg.Tanh(), mg.Flatten()), mg.MSELoss(), x, x
            )


def test_what_comes_to_the_host(device):
    """The loss and each direction's slope; the examples' slopes stay where they are."""
    if device != "standin":
        pytest.skip("the stand-in counts its transfers")
    import cupy

    model, *batch = make("dropout")
    for options, trips in (
        ({}, 2),
        ({"directions": 3}, 4),
        ({"directions": 3, "distribution": "rademacher", "regenerate": True}, 4),
        ({"directions": 3, "perturb": "activities", "clip": 1.0}, 1),
        ({"directions": 3, "mode": "finite-difference", "epsilon": 1e-4}, 6),
    ):
        before = cupy.transfers
        ForwardGradient(**options).estimate(model, *batch)
        assert cupy.transfers - before == trips, options


# ------------------------------------------------------------------ options


REFUSED = [
    ({"directions": 0}, ValueError, "directions must be an integer of at least 1"),
    ({"directions": 1.5}, ValueError, "directions must be an integer"),
    ({"distribution": "cauchy"}, ValueError, "distribution must be one of normal"),
    ({"mode": "reverse"}, ValueError, "mode must be one of jvp, finite-difference, got 'reverse'"),
    ({"perturb": "inputs"}, ValueError, "perturb must be one of weights, activities"),
    ({"scheme": "forward"}, ValueError, "scheme must be one of central, one-sided"),
    ({"clip": -1}, ValueError, "clip must be a number >= 0"),
    ({"clip": 0}, ValueError, "clip must be above 0"),
    ({"epsilon": 0}, ValueError, "epsilon must be above 0"),
    ({"epsilon": math.nan}, ValueError, "epsilon must be a number >= 0"),
    ({"epsilon": 1e-3}, ValueError, 'epsilon and scheme are for method="finite-difference"'),
    (
        {"scheme": "one-sided"},
        ValueError,
        'epsilon and scheme are for method="finite-difference"',
    ),
    ({"seed": -1}, ValueError, "seed must be an integer of at least 0"),
    ({"antithetic": True, "directions": 2}, ValueError, "need one-sided finite differences"),
    (
        {"antithetic": True, "directions": 2, "mode": "finite-difference"},
        ValueError,
        "need one-sided finite differences",
    ),
    (
        {"antithetic": True, "scheme": "one-sided", "directions": 2},
        ValueError,
        "need one-sided finite differences",
    ),
    (
        {
            "antithetic": True,
            "scheme": "one-sided",
            "directions": 3,
            "mode": "finite-difference",
        },
        ValueError,
        "an even K, got directions=3",
    ),
    ({"regenerate": True, "distribution": "sphere"}, ValueError, "sphere directions cannot be"),
    ({"regenerate": True, "distribution": "orthonormal"}, ValueError, "cannot be drawn part"),
    ({"perturb": "activities", "distribution": "sphere"}, ValueError, "not one vector"),
    ({"perturb": "activities", "distribution": "orthonormal"}, ValueError, "not one vector"),
    (
        {"perturb": "activities", "regenerate": True},
        ValueError,
        'regenerate=True is for perturb="weights".*; ActivityPerturbation has no such argument',
    ),
    ({"layerwise": True}, ValueError, 'layerwise=True is for perturb="activities"; Weight'),
    ({"active": False}, ValueError, 'active=False is for perturb="activities"; WeightPert'),
    ({"guide": "backprop"}, TypeError, "guide must be a Rule, got 'backprop'"),
    ({"guide": Backprop}, TypeError, "guide must be a Rule"),
    ({"guide": Backprop(), "perturb": "activities"}, ValueError, "a guide's direction"),
    ({"guide": Backprop(), "mode": "finite-difference"}, ValueError, "a guide's direction"),
    (
        {"guide": Backprop(), "regenerate": True},
        ValueError,
        "without guide; GuidedForwardGradient has no such argument",
    ),
    ({"mode": "jvp", "method": "finite-difference"}, ValueError, "mode and method are one arg"),
]


@pytest.mark.on_host
@pytest.mark.parametrize(("options", "error", "message"), REFUSED, ids=str)
def test_options_that_cannot_be_are_refused(options, error, message):
    with pytest.raises(error, match=message):
        ForwardGradient(**options)


@pytest.mark.on_host
def test_what_it_says_of_itself():
    assert repr(ForwardGradient()) == (
        "WeightPerturbation(directions=1, distribution='normal', method='jvp', clip=None, "
        "scheme='central', epsilon=None, antithetic=False, regenerate=False, seed=0)"
    )
    rule = ForwardGradient(
        4, "rademacher", "finite-difference", scheme="one-sided", antithetic=True, clip=1, seed=7
    )
    assert repr(rule) == (
        "WeightPerturbation(directions=4, distribution='rademacher', method='finite-difference', "
        "clip=1.0, scheme='one-sided', epsilon=None, antithetic=True, regenerate=False, seed=7)"
    )
    rule = ForwardGradient(perturb="activities", layerwise=True, active=False)
    assert repr(rule).startswith("ActivityPerturbation(directions=1, distribution='normal', ")
    assert "layerwise=True, active=False" in repr(rule)
    rule = ForwardGradient(guide=Backprop())
    assert repr(rule) == "GuidedForwardGradient(guide=Backprop(), clip=None)"
    rule = ForwardGradient(mode="finite-difference", epsilon=1e-3, regenerate=True)
    assert "epsilon=0.001, antithetic=False, regenerate=True" in repr(rule)
    for made in (
        ForwardGradient.__new__,
        WeightPerturbation.__init__,
        ActivityPerturbation.__init__,
        GuidedForwardGradient.__init__,
    ):
        for option in inspect.signature(made).parameters:
            assert option in ("self", "cls") or option in made.__doc__


COSTS = [
    ({}, 3),
    ({"directions": 5}, 11),
    ({"mode": "finite-difference"}, 2),
    ({"mode": "finite-difference", "directions": 5}, 10),
    ({"mode": "finite-difference", "directions": 5, "scheme": "one-sided"}, 6),
    ({"perturb": "activities", "directions": 5}, 7),
    ({"perturb": "activities", "directions": 5, "mode": "finite-difference"}, 12),
    (
        {
            "perturb": "activities",
            "directions": 5,
            "mode": "finite-difference",
            "scheme": "one-sided",
        },
        7,
    ),
    ({"guide": Backprop()}, 6),
]


@pytest.mark.on_host
@pytest.mark.parametrize(("options", "cost"), COSTS, ids=str)
def test_what_a_step_costs(options, cost, monkeypatch):
    """The formula; and, but for the first layer's, as many products as the rule really makes."""
    rule = ForwardGradient(**options)
    assert rule.cost == cost
    assert type(rule.cost) is float
    assert Backprop().cost == 3
    model, made = mg.Sequential(*[mg.Linear(6, 6, dtype="float64") for _ in range(40)]), []
    x = np.ones((4, 6))

    def matmuls(*products):
        made.extend(a.size * b.size / a.shape[1] / (4 * 6 * 6) for a, b in products)
        return [a @ b for a, b in products]

    monkeypatch.setattr(products, "in_pieces", matmuls)
    for module in (linear, products):
        monkeypatch.setattr(module, "matmul", lambda a, b: matmuls((a, b))[0])
    rule.estimate(model, mg.MSELoss(), x, x)
    assert sum(made) / 40 == pytest.approx(cost, rel=0.03)
