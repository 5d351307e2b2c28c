"""Answers to the exercises of lesson 11."""

import sys

import numpy as np

from minigrad.exercises import checks_of, grade


def value_and_slope(x, t, W, w, W_dot, w_dot):
    """Exercise 1: below each line its derivative; tanh's is 1 - tanh²."""
    z, z_dot = x @ W, x @ W_dot
    h = np.tanh(z)
    h_dot = (1 - h**2) * z_dot
    o, o_dot = h @ w, h_dot @ w + h @ w_dot
    return ((o - t) ** 2).mean() / 2, ((o - t) * o_dot).mean()


def largest_eta(H, K):
    """Exercise 2: where -η ‖∇L‖² + η²/2 E[gᵀ H g] is 0, for ∇L along the steepest direction."""
    return 2 / (np.trace(H) / K + (1 + 1 / K) * np.linalg.eigvalsh(H).max())


def along_a_guess(u, slope):
    """Exercise 3: ‖u‖² appears once, since slope(u) has one u and the step another.

    A guess of 0 proposes nothing: stay where you are.
    """
    length = u @ u
    return slope(u) * u / length if length > 0 else np.zeros_like(u)


if __name__ == "__main__":
    sys.exit(grade(sys.modules[__name__], checks_of(__file__)))
