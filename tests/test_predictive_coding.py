"""Predictive coding: its equilibrium is known in closed form, and is backprop's in two limits."""

import numpy as np
import pytest
from reference.given_directions import close, flat, gradients, linear, make
from test_rules_and_layers import teacher

import minigrad as mg
from minigrad.backend import to_device, to_host
from minigrad.rules import Backprop, PredictiveCoding


def cosine(a, b):
    return flat(a) @ flat(b) / np.linalg.norm(flat(a)) / np.linalg.norm(flat(b))


@pytest.mark.parametrize(
    "name", ["one layer", "mlp", "composite", "dropout", "images", "batch norm"]
)
def test_with_fixed_predictions_the_equilibrium_is_backprop(name):
    model, *batch = make(name)
    value, expected = gradients(Backprop(), model, *batch)
    found, grads = gradients(PredictiveCoding(300, 0.1, fixed_predictions=True), model, *batch)
    assert found == value
    close(grads, expected, 1e-10, 1e-12)


@pytest.mark.parametrize("step", [0.1, 0.5])
def test_a_deep_net_settles_layer_by_layer(step):
    """With step=1 layer M - t is right after t iterations; else the error falls as (1 - step)^t."""
    model, *batch = teacher()  # five layers with parameters: residual, frozen, with noise
    _, expected = gradients(Backprop(), model, *batch)
    _, exact = gradients(PredictiveCoding(4, 1.0, fixed_predictions=True), model, *batch)
    close(exact, expected, 1e-12, 1e-14)
    _, short = gradients(PredictiveCoding(2, 1.0, fixed_predictions=True), model, *batch)
    assert not np.array(to_host(short["0.W"])).any()
    close({"7.W": short["7.W"]}, {"7.W": expected["7.W"]}, 1e-12, 1e-14)
    errors = []
    for t in (60, 80):
        _, grads = gradients(PredictiveCoding(t, step, fixed_predictions=True), model, *batch)
        errors.append(abs(flat(grads) - flat(expected)).max())
    # t choose 3 of them come late: (1 - step)^t t³/6
    assert errors[1] <= 1.05 * errors[0] * (1 - step) ** 20 * (80 / 57) ** 3 + 1e-15


def test_small_errors_make_it_backprop_without_the_assumption():
    """L/100: the activities move 100 times less, and what f_l and J_l change is of second order."""

    class Scaled(mg.MSELoss):
        scale = 1.0

        def forward(self, output, target):
            return self.scale * super().forward(output, target)

        def backward(self):
            return self.scale * super().backward()

    model, _, *batch = make("mlp")
    distances = []
    for Scaled.scale in (1.0, 1e-2, 1e-4):
        _, expected = gradients(Backprop(), model, Scaled(), *batch)
        _, grads = gradients(PredictiveCoding(300, 0.2), model, Scaled(), *batch)
        distances.append(
            np.linalg.norm(flat(grads) - flat(expected)) / np.linalg.norm(flat(expected))
        )
    assert distances[0] > 0.03
    assert distances[1] < 0.05 * distances[0]
    assert distances[2] < 0.05 * distances[1]


def test_a_linear_net_has_the_equilibrium_of_its_algebra():
    """L = |y - t|²: the error at the output is shorter by (1 + 2 W₂ᵀW₂)⁻¹, for each example."""
    model = mg.Sequential(linear(3, 4, 0, bias=False), linear(4, 2, 1, bias=False))
    rng = np.random.default_rng(2)
    x, t = rng.standard_normal((5, 3)), rng.standard_normal((5, 2))
    first, second = (to_host(model.params[name]) for name in ("0.W", "1.W"))
    _, grads = gradients(
        PredictiveCoding(500, 0.2), model, mg.MSELoss(reduction="sum"), to_device(x), to_device(t)
    )
    error = (x @ first @ second - t) @ np.linalg.inv(np.eye(2) + 2 * second.T @ second)
    below = 2 * error @ second.T
    settled = x @ first - below
    close(grads, {"0.W": x.T @ below, "1.W": settled.T @ (2 * error)}, 1e-10, 1e-12)


def test_the_mean_and_the_sum_are_one_inference():
    """An example's activities do not depend on the size of its batch."""
    model = make("mlp")[0]
    rng = np.random.default_rng(2)
    x, t = to_device(rng.standard_normal((6, 2))), to_device(rng.standard_normal((6, 1)))
    rule = PredictiveCoding(20, 0.2)
    _, whole = gradients(rule, model, mg.MSELoss(), x, t)
    parts = [gradients(rule, model, mg.MSELoss(), x[i : i + 2], t[i : i + 2])[1] for i in (0, 2, 4)]
    close(whole, {key: sum(part[key] for part in parts) / 3 for key in whole}, 1e-10, 1e-12)
    _, summed = gradients(rule, model, mg.MSELoss(reduction="sum"), x, t)
    close(summed, {key: 6 * grad for key, grad in whole.items()}, 1e-10, 1e-12)


@pytest.mark.on_host
def test_it_learns_the_digits():
    train, _ = mg.data.load("digits")
    net = mg.models.mlp((train.x[0].size, 20, 10), seed=0)
    how = {"epochs": 2, "batch_size": 50, "progress": False}
    parts = net, mg.CrossEntropyLoss(), PredictiveCoding(20), mg.Adam(net, 0.01)
    assert mg.fit(*parts, train.take(1000), **how).train_accuracy[-1] > 0.8


@pytest.mark.on_host
def test_wrong_arguments():
    with pytest.raises(ValueError, match="iterations must be an integer of at least 1"):
        PredictiveCoding(0)
    with pytest.raises(ValueError, match="step must be above 0"):
        PredictiveCoding(step=0)
    with pytest.raises(ValueError, match="step must be at most 1"):
        PredictiveCoding(step=1.5)
