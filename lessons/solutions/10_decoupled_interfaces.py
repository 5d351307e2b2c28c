"""Answers to the exercises of lesson 10."""

import sys

import numpy as np

import minigrad as mg
from minigrad.exercises import checks_of, grade


def nothing_happens(p, L):
    """Exercise 1: none of L independent draws."""
    return (1 - p) ** L


def steps_until_all(p, L):
    """Exercise 1: P(one block has waited for more than t steps) = (1 - p)^t.

    All are done after t steps with (1 - (1 - p)^t)^L; the mean is the sum of the rest.
    """
    t = np.arange(10_000)
    return (1 - (1 - (1 - p) ** t) ** L).sum()


class LinearModule(mg.rules.Module):
    """Exercise 2."""

    def __init__(self, D, classes, lr):
        self.A, self.B, self.c = np.zeros((D, D)), np.zeros((classes, D)), np.zeros(D)
        self.lr = lr

    def predict(self, h, target):
        self.h, self.target = h, target
        self.dh_hat = (h @ self.A + self.B[target] + self.c) / len(h)
        return self.dh_hat

    def learn(self, dh):
        error = self.dh_hat - dh
        self.A -= self.lr * (self.h.T @ error)
        np.subtract.at(self.B, self.target, self.lr * error)  # a label may occur more than once
        self.c -= self.lr * error.sum(axis=0)


def mixed(blocks, dh_hats, dh_top, mixture):
    """Exercise 3."""
    g = [dh_top]
    for block, dh_hat in zip(blocks[:0:-1], dh_hats[::-1], strict=True):
        g.append(mixture * block.backward(g[-1]) + (1 - mixture) * dh_hat)
    return g[::-1]


if __name__ == "__main__":
    sys.exit(grade(sys.modules[__name__], checks_of(__file__)))
