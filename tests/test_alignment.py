"""Angles of vectors, of gradients, and of weights and the feedback in their place."""

import math

import numpy as np
import pytest

import minigrad as mg
from minigrad.backend import to_device
from minigrad.compare.told import told_apart
from minigrad.diagnostics.alignment import alignment
from minigrad.diagnostics.vectors import angle


@pytest.mark.parametrize(
    ("b", "expected"), [((2, 0), 0), ((1, 1), 45), ((0, 3), 90), ((-1e-3, 0), 180)]
)
def test_an_angle_is_between_0_and_180_degrees(b, expected):
    a, b = (to_device(np.array(v, "float32")) for v in ((0.1, 0), b))
    assert angle(a, b) == pytest.approx(expected, abs=1e-6)
    assert angle({"W": a}, {"W": b}) == angle(a, b)


def test_a_vector_of_zeros_has_no_angle():
    assert math.isnan(angle(np.zeros(2), np.ones(2)))


def test_angles_are_measured_before_the_steps_of_the_moments():
    rng = np.random.default_rng(0)
    data = mg.data.Dataset(rng.standard_normal((90, 5), "float32"), rng.integers(0, 3, 90))
    found = {}
    for moments in ((0, 7), (7,)):
        net = mg.models.mlp((5, 6, 4, 3), "tanh", seed=0)
        rule, optimizer = mg.rules.FeedbackAlignment(seed=1), mg.SGD(net, 0.1)
        found[moments] = alignment(net, rule, mg.CrossEntropyLoss(), optimizer, data, moments, 2)
    gradients, weights = found[0, 7]
    assert gradients.shape == weights.shape == (2, 2)
    assert (gradients[0] != gradients[1]).all()
    np.testing.assert_array_equal(gradients[1:], found[7,][0])
    np.testing.assert_array_equal(weights[1:], found[7,][1])


def test_who_is_told_apart(capsys):
    seeds = range(4)
    read = {
        "backprop": {s: 0.9 + 0.001 * s for s in seeds},
        "FA": {s: 0.8 + 0.001 * s for s in seeds},
        "DFA": {s: 0.9 + 0.1 * (s % 2) for s in seeds},
        "sign": {s: 0.95 + 0.001 * s for s in seeds},
    }
    assert told_apart(read, "backprop", 1000) == (["sign"], ["FA"])
    assert len(capsys.readouterr().out.splitlines()) == 3
