"""Exercises of lesson 14. Copy this file, fill in what says TODO(you), and run your copy:

    minigrad exercise 14        (copies this file to my_14.py)
    python my_14.py

Answers: lessons/solutions/14_side_by_side.py
"""

import sys

import numpy as np

import minigrad as mg
from minigrad.exercises import expect, grade


def bias_and_variance(estimates, g):
    """Exercise 1: (bias², variance) of estimates (R, n) of the gradient g (n,), by |g|².

    Averaged over many sets of R estimates, both must be right: also for R = 2.
    """
    raise NotImplementedError("TODO(you): divide by R - 1; and the mean of R estimates is off, too")


def smallest_K(n, bias2):
    """Exercise 2: the smallest K for which a forward gradient has less error than another rule.

    It takes K directions of signs in n dimensions. The other rule has this bias² (by |g|²), and no
    variance.
    """
    raise NotImplementedError("TODO(you): section 2 has the variance; less, not equal")


class Shrunk(mg.rules.Wrapper):
    """Exercise 3: another rule's estimate times a.

    That rule has no bias, and this variance by |g|². a is the number that makes the mean of
    |a ĝ - g|² smallest.
    """

    def __init__(self, rule, variance):
        super().__init__(rule)
        self.variance = variance

    def estimate(self, model, loss, x, target):
        raise NotImplementedError("TODO(you): let self.rule estimate; then every layer's grads")


# ---------------------------------------------------------------- what your answers must do


def check_1(answers):
    rng = np.random.default_rng(0)
    g, off, spread, n = np.array([3.0, 4.0]), np.array([1.0, 0.0]), 2.0, 5000
    for R in (2, 5):
        draws = g + off + spread * rng.standard_normal((n, R, 2))
        found = np.array([answers.bias_and_variance(part.copy(), g) for part in draws])
        expect(found.shape == (n, 2), f"expected two numbers, got shape {found.shape[1:]}")
        for name, values, true in zip(
            ("bias²", "variance"), found.T, (1 / 25, 8 / 25), strict=True
        ):
            error = values.std() / np.sqrt(n)
            expect(
                abs(values.mean() - true) < 5 * error,
                f"R = {R}: the mean of your {name} is {values.mean():.3f}, and it is {true:.3f}",
            )
    return "bias² 0.04 and variance 0.32, from two estimates as from five"


def check_2(answers):
    for n, bias2 in ((101, 1.0), (101, 0.9), (886, 0.04), (2, 5.0)):
        K = answers.smallest_K(n, bias2)
        words = f"n = {n}, bias² {bias2}: with your K = {K} the error is"
        expect(int(K) == K and K >= 1, f"K is a whole number >= 1, not {K}")
        expect((n - 1) / K < bias2, f"{words} {(n - 1) / K:.4g}, not less")
        expect(K == 1 or (n - 1) / (K - 1) >= bias2, f"{words} less; but so it is with {K - 1}")
    return (
        f"to match a bias² of 0.04 in 886 dimensions it takes K = {answers.smallest_K(886, 0.04)}"
    )


def check_3(answers):
    rng = np.random.default_rng(0)
    net, loss = mg.models.mlp((5, 4, 3), seed=0, dtype="float64"), mg.CrossEntropyLoss()
    x, y = rng.standard_normal((8, 5)), rng.integers(0, 3, 8)
    n = sum(param.size for param in net.params.values())
    inner = mg.rules.WeightPerturbation(16, "rademacher")
    true = (n - 1) / 16
    errors = {}
    for a in (0.5, 1, 2):  # a wrong variance makes another factor
        rule = answers.Shrunk(inner, (1 + true) / a - 1)
        measured = mg.diagnostics.quality(rule, net, loss, x, y, 100).total
        best = a / (1 + true)
        expect(
            abs(measured.efficiency / best - 1) < 0.2,
            f"ĝ should be {best:.3f} times as long along g, it is {measured.efficiency:.3f}",
        )
        errors[a] = measured.error
    return (
        f"the error is {errors[1]:.2f}; half and twice your a: {errors[0.5]:.2f}, {errors[2]:.2f}"
    )


CHECKS = {"1": check_1, "2": check_2, "3": check_3}

if __name__ == "__main__":
    sys.exit(grade(sys.modules[__name__], CHECKS))
