"""Exercises of lesson 15. Copy this file, fill in what says TODO(you), and run your copy:

    minigrad exercise 15        (copies this file to my_15.py)
    python my_15.py

Answers: lessons/solutions/15_the_race.py
"""

import sys

import numpy as np

import minigrad as mg
from minigrad.exercises import expect, grade


class OneByOne(mg.rules.Rule):
    """Exercise 1: central finite differences, (L(θ + ε) - L(θ - ε)) / 2ε for each parameter alone.

    Only the last layer gets gradients. Return the loss at θ, and leave θ as it was.
    """

    def __init__(self, epsilon):
        self.epsilon = epsilon

    def estimate(self, model, loss, x, target):
        value, leaf = loss.forward(model.forward(x), target), model.layers[-1]
        for _, other in model.leaves():
            other.grads = {}
        for name, param in leaf.params.items():
            leaf.grads[name] = 0 * param
        raise NotImplementedError("TODO(you): np.ndindex(param.shape); put each number back")
        return value


def plan(budget, cost, losses):
    """Exercise 2: (steps, rate): how many whole steps a rule may make, and its best rate.

    budget  in forward passes; cost: of a step
    losses  {rate: loss on the images that are held out}; some may be NaN or infinite
    """
    raise NotImplementedError("TODO(you): a lost training is never the best one")


def is_ahead(a, b, t):
    """Exercise 3: "a", "b" or "cannot tell": accuracies of two rules with the same seeds.

    t  of Student's t for this number of seeds: the mean difference ± t s/√n holds the true one
    """
    raise NotImplementedError("TODO(you): the differences, seed by seed; s divides by n - 1")


# ---------------------------------------------------------------- what your answers must do


def check_1(answers):
    rng = np.random.default_rng(0)
    net, loss = mg.models.mlp((5, 4, 3), "tanh", seed=0, dtype="float64"), mg.CrossEntropyLoss()
    x, y = rng.standard_normal((8, 5)), rng.integers(0, 3, 8)
    mg.rules.Backprop().estimate(net, loss, x, y)
    true = {name: grad.copy() for name, grad in net.layers[-1].grads.items()}
    before = {name: param.copy() for name, param in net.params.items()}
    errors = []
    for epsilon in (0.1, 0.01):
        answers.OneByOne(epsilon).estimate(net, loss, x, y)
        for name, param in net.params.items():
            expect(np.array_equal(param, before[name]), f"{name} is not what it was before")
        grads = net.layers[-1].grads
        errors.append(max(float(abs(grads[name] - true[name]).max()) for name in true))
    order = np.log10(errors[0] / errors[1])
    expect(
        errors[1] < 1e-4,
        f"with ε = 0.01 your gradient is off by {errors[1]:.1e}",
    )
    expect(
        abs(order - 2) < 0.1,
        f"ε ten times smaller: an error {10**order:.0f} times smaller, not 100",
    )
    return f"ε ten times smaller makes the bias {10**order:.0f} times smaller"


def check_2(answers):
    nan, inf = float("nan"), float("inf")
    for budget, cost, losses, right in (
        (150, 3, {0.1: 2.0, 1.0: 0.5}, (50, 1.0)),
        (150, 4.2, {0.1: 0.4, 1.0: nan, 8.0: inf}, (35, 0.1)),
        (100, 33, {1.0: nan, 0.1: 0.7, 0.01: 2.3}, (3, 0.1)),
    ):
        found = tuple(answers.plan(budget, cost, dict(losses)))
        expect(
            found == right and isinstance(found[0], int),
            f"budget {budget}, cost {cost}, {losses}: {right}, not {found}",
        )
    return "whole steps, and the rate that did best on images that are held out"


def check_3(answers):
    for a, b, t, right in (
        ([0.9, 0.8, 0.85], [0.8, 0.7, 0.76], 4.303, "a"),
        ([0.8, 0.7, 0.76], [0.9, 0.8, 0.85], 4.303, "b"),
        ([0.9, 0.6, 0.8], [0.7, 0.7, 0.7], 4.303, "cannot tell"),
        ([0.9, 0.5], [0.8, 0.4], 12.71, "a"),  # far apart from seed to seed, and always a tenth
        ([0.80, 0.82], [0.70, 0.74], 12.71, "cannot tell"),
    ):
        found = answers.is_ahead(np.array(a), np.array(b), t)
        expect(found == right, f"a = {a}, b = {b}: {right!r}, not {found!r}")
    return "seeds that are good for both rules do not count for either"


CHECKS = {"1": check_1, "2": check_2, "3": check_3}

if __name__ == "__main__":
    sys.exit(grade(sys.modules[__name__], CHECKS))
