"""Answers to the exercises of lesson 14."""

import sys

import minigrad as mg
from minigrad.exercises import checks_of, grade


def bias_and_variance(estimates, g):
    """Exercise 1: the mean of R estimates has itself the variance variance/R."""
    R, mean = len(estimates), estimates.mean(axis=0)
    variance = ((estimates - mean) ** 2).sum() / (R - 1)
    bias2 = ((mean - g) ** 2).sum() - variance / R
    return bias2 / (g @ g), variance / (g @ g)


def smallest_K(n, bias2):
    """Exercise 2: (n - 1)/K < bias². Rounded down, and one more."""
    return int((n - 1) / bias2) + 1


class Shrunk(mg.rules.Wrapper):
    """Exercise 3: the error is (a - 1)² + a² variance, and smallest at a = 1/(1 + variance)."""

    def __init__(self, rule, variance):
        super().__init__(rule)
        self.variance = variance

    def estimate(self, model, loss, x, target):
        value = self.rule.estimate(model, loss, x, target)
        a = 1 / (1 + self.variance)
        for _, leaf in model.leaves():
            leaf.grads = {name: a * grad for name, grad in leaf.grads.items()}
        return value


if __name__ == "__main__":
    sys.exit(grade(sys.modules[__name__], checks_of(__file__)))
