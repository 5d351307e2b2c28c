"""What `pytest -m quick` runs: for every layer and loss that its two derivatives belong together,
and every rule once. It takes seconds; run it after each change."""

import inspect

import numpy as np
import pytest
from cases import layer_cases, loss_cases

import minigrad as mg
from minigrad import rules
from minigrad.backend import to_device, to_host

pytestmark = pytest.mark.quick


def random_like(rng, array):
    return to_device(rng.standard_normal(array.shape).astype(array.dtype), like=array)


def dot(a, b):
    return float((to_host(a) * to_host(b)).sum())


@pytest.mark.parametrize("case", **layer_cases)
def test_backward_is_the_transpose_of_jvp(case, rng):
    """<dy, jvp(x_dot, W_dot)> = <dx, x_dot> + <dW, W_dot>."""
    layer, x = case.layer(), case.x(rng)
    y = layer.forward(x, case.train)
    dy, x_dot = random_like(rng, y), random_like(rng, x)
    params_dot = {name: random_like(rng, param) for name, param in layer.params.items()}
    left = dot(dy, layer.jvp(x_dot, params_dot))
    parts = [dot(layer.backward(dy), x_dot)]
    parts += [dot(layer.grads[name], params_dot[name]) for name in layer.params]
    assert left != 0
    assert left == pytest.approx(sum(parts), rel=1e-10, abs=1e-12 * sum(map(abs, parts)))


@pytest.mark.parametrize("case", **loss_cases)
def test_a_losss_backward_is_the_transpose_of_its_jvp(case, rng):
    loss = case.make()
    output, target = case.batch(rng)
    loss.forward(output, target)
    output_dot = random_like(rng, output)
    slope = float(loss.jvp(output_dot))
    assert slope != 0
    assert slope == pytest.approx(dot(loss.backward(), output_dot), rel=1e-10)


RULES = {
    "Backprop": lambda net: rules.Backprop(),
    "WellTempered": lambda net: rules.WellTempered(),
    "SyntheticGradients": lambda net: rules.SyntheticGradients(net),
    "StaleGradients": lambda net: rules.StaleGradients(net),
    "TopLayerOnly": lambda net: rules.TopLayerOnly(net),
    "FeedbackAlignment": lambda net: rules.FeedbackAlignment(),
    "DirectFeedbackAlignment": lambda net: rules.DirectFeedbackAlignment(),
    "DirectRandomTargetProjection": lambda net: rules.DirectRandomTargetProjection(),
    "SignSymmetric": lambda net: rules.SignSymmetric(),
    "LocalLosses": lambda net: rules.LocalLosses(net),
    "ForwardGradient": lambda net: rules.ForwardGradient(),
    "WeightPerturbation": lambda net: rules.WeightPerturbation(),
    "ActivityPerturbation": lambda net: rules.ActivityPerturbation(),
    "GuidedForwardGradient": lambda net: rules.GuidedForwardGradient(rules.Backprop()),
    "SPSA": lambda net: rules.SPSA(),
    "EvolutionStrategies": lambda net: rules.EvolutionStrategies(),
    "PredictiveCoding": lambda net: rules.PredictiveCoding(),
    "ForwardForward": lambda net: rules.ForwardForward(3),
    "Wrapper": lambda net: rules.Wrapper(rules.Backprop()),
    "ClippedGradients": lambda net: rules.ClippedGradients(rules.Backprop(), max_norm=1.0),
    "AccumulatedGradients": lambda net: rules.AccumulatedGradients(rules.Backprop(), 2),
    "MicroBatches": lambda net: rules.MicroBatches(rules.Backprop(), 3),
}
PUBLIC = sorted(
    name
    for name, item in vars(rules).items()
    if inspect.isclass(item) and issubclass(item, rules.Rule) and item is not rules.Rule
)


@pytest.mark.parametrize("name", PUBLIC)
def test_every_rule_takes_a_step(name):
    net = mg.models.mlp((6, 5, 4, 3), activation="tanh", seed=0, dtype="float64")
    rng = np.random.default_rng(1)
    x, y = to_device(rng.standard_normal((8, 6))), to_device(rng.integers(0, 3, 8))
    rule = RULES[name](net)
    optimizer = mg.SGD(net, 0.01)
    before = net.state_dict()
    loss = mg.CrossEntropyLoss()
    rule.estimate(net, loss, x, y)
    value = rule.estimate(net, loss, x[:5], y[:5])  # a variance needs two batches
    after = net.state_dict()
    assert 0.5 < float(value) < 3
    if not name.startswith(("Synthetic", "Stale", "Top")):  # these may move blocks at once
        for key, array in before.items():
            np.testing.assert_array_equal(array, after[key])
    optimizer.step()
    rule.end_epoch()
    state = net.state_dict()
    assert any((before[key] != state[key]).any() for key in state)
    assert all(np.isfinite(array).all() for array in state.values())
