"""SPSA and evolution strategies: what they estimate, and what they are the same as."""

import numpy as np
import pytest
from reference.given_directions import Given, basis, close, flat, gradients, make, signs

import minigrad as mg
from minigrad.rules import SPSA, Backprop, EvolutionStrategies, WeightPerturbation
from minigrad.rules.forward.black_box import centred_ranks

NETS = pytest.mark.parametrize("name", ["mlp", "dropout", "images", "batch norm"])


@NETS
@pytest.mark.parametrize("scheme", ["central", "one-sided"])
def test_spsa_becomes_the_forward_gradient_as_epsilon_falls(name, scheme):
    """The same directions; the error falls with ε², or with ε."""
    model, *batch = make(name)
    order = 2 if scheme == "central" else 1
    value, expected = gradients(WeightPerturbation(3, "rademacher", seed=1), model, *batch)
    errors = []
    for epsilon in (1e-3, 1e-4):
        rule = SPSA(epsilon, 3, scheme=scheme, seed=1)
        _, grads = gradients(rule, model, *batch)
        errors.append(abs(flat(grads) - flat(expected)).max())
    scale = abs(flat(expected)).max()
    assert errors[1] < 5e-3 * scale
    assert 0.8 * 10**order * errors[1] < errors[0] < 1.2 * 10**order * errors[1]


@NETS
def test_evolution_strategies_without_shaping_are_spsa(name):
    """P/2 pairs v, -v with σ = ε; the same draws."""
    model, *batch = make(name)
    spsa = SPSA(0.01, 4, "normal", seed=3)
    strategies = EvolutionStrategies(8, 0.01, None, True, "normal", seed=3)
    value, expected = gradients(spsa, model, *batch)
    again, grads = gradients(strategies, model, *batch)
    assert again == pytest.approx(value, rel=1e-14)
    close(grads, expected, 1e-9, 1e-9)


def test_the_mean_over_all_signs_is_the_gradient():
    """E[v vᵀ] = 1, and L is nearly linear along εv: no bias but for ε²."""
    model, *batch = make("mlp")
    _, expected = gradients(Backprop(), model, *batch)
    shapes = [grad.shape for grad in expected.values()]
    n = flat(expected).size
    for rule in (SPSA(1e-4, n), EvolutionStrategies(2 * n, 1e-4, None)):
        rule.sampler = Given(basis(n), shapes, n)
        _, grads = gradients(rule, model, *batch)
        close(grads, expected, 1e-6, 1e-7)
    rows = signs(n)[:: 2 ** (n - 7)]
    plain = EvolutionStrategies(len(rows), 1e-5, None, False)
    plain.sampler = Given(rows, shapes, len(rows))
    _, grads = gradients(plain, model, *batch)
    v = rows - rows.mean(axis=0)
    found = v.T @ (rows @ flat(expected)) / len(rows)
    np.testing.assert_allclose(flat(grads), found, rtol=1e-3, atol=1e-5)


def test_ranks_are_centred_and_equal_losses_share_one():
    np.testing.assert_array_equal(centred_ranks(np.array([3.0, -1, 7])), [0, -0.5, 0.5])
    np.testing.assert_array_equal(
        centred_ranks(np.array([1.0, 9, 1, 9, 2])), [-0.375, 0.375, -0.375, 0.375, 0]
    )
    np.testing.assert_array_equal(centred_ranks(np.zeros(4)), np.zeros(4))


def test_ranks_do_not_see_the_size_of_a_loss():
    """Ten times the loss, or its exponential: the same step."""

    class Larger(mg.MSELoss):
        def forward(self, output, target):
            return float(np.exp(10 * super().forward(output, target)))

    model, _, *batch = make("mlp")
    rule = EvolutionStrategies(10, 0.1, seed=1)
    _, expected = gradients(rule, model, mg.MSELoss(), *batch)
    rule.steps = 0
    _, grads = gradients(rule, model, Larger(), *batch)
    close(grads, expected, 0, 0)
    rule.steps = 0
    _, plain = gradients(EvolutionStrategies(10, 0.1, None, seed=1), model, mg.MSELoss(), *batch)
    assert flat(plain) @ flat(expected) > 0


@pytest.mark.parametrize("rule", [SPSA(0.1, 2), EvolutionStrategies(4, 0.1)], ids=repr)
def test_the_parameters_come_back_after_an_error(rule):
    class Fails(mg.MSELoss):
        calls = 0

        def forward(self, output, target):
            self.calls += 1
            if self.calls == 3:
                raise ZeroDivisionError
            return super().forward(output, target)

    model, _, *batch = make("mlp")
    arrays, before = dict(model.params), model.state_dict()
    with pytest.raises(ZeroDivisionError):
        rule.estimate(model, Fails(), *batch)
    assert all(model.params[key] is array for key, array in arrays.items())
    assert all(np.array_equal(array, before[key]) for key, array in model.state_dict().items())


@pytest.mark.on_host
def test_they_need_no_derivative():
    class NoDerivative(mg.Layer):
        def forward(self, x, train=True):
            return np.round(x, 1)

    model = mg.Sequential(mg.Linear(4, 3, seed=0), NoDerivative())
    x = np.random.default_rng(0).standard_normal((20, 4)).astype("float32")
    for rule in (SPSA(0.3, 20), EvolutionStrategies(40, 0.3, None)):
        assert rule.why_not(model, mg.CrossEntropyLoss()) is None
        rule.estimate(model, mg.CrossEntropyLoss(), x, np.arange(20) % 3)
        assert np.abs(model.layers[0].grads["W"]).max() > 0


@pytest.mark.on_host
@pytest.mark.parametrize(
    ("rule", "lr"), [(SPSA(0.01, 4, seed=1), 0.02), (EvolutionStrategies(8, 0.05, seed=1), 0.02)]
)
def test_they_learn(rule, lr):
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 200)
    x = (np.eye(3)[y] + 0.3 * rng.standard_normal((200, 3))).astype("float32")
    net = mg.models.mlp((3, 8, 3), seed=0)
    train = mg.data.Dataset(x, y, classes=3)
    how = {"epochs": 10, "batch_size": 20, "progress": False, "evaluate_every": 10}
    history = mg.fit(net, mg.CrossEntropyLoss(), rule, mg.Adam(net, lr), train, **how)
    assert history.train_accuracy[-1] > 0.85


@pytest.mark.on_host
@pytest.mark.parametrize(
    ("make_rule", "message"),
    [
        (lambda: SPSA(0), "epsilon must be above 0"),
        (lambda: SPSA(distribution="sphere"), "distribution must be one of rademacher, normal"),
        (lambda: EvolutionStrategies(1), "population must be an integer of at least 2"),
        (lambda: EvolutionStrategies(5), "antithetic pairs need an even population, got 5"),
        (lambda: EvolutionStrategies(sigma=0), "sigma must be above 0"),
        (lambda: EvolutionStrategies(shaping="size"), "shaping must be one of ranks, got 'size'"),
    ],
)
def test_wrong_arguments(make_rule, message):
    with pytest.raises(ValueError, match=message):
        make_rule()
