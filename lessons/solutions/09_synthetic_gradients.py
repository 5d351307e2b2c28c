"""Answers to the exercises of lesson 09."""

import sys

import numpy as np

from minigrad.exercises import checks_of, grade


def module_step(A, B, c, h, onehot, dh, slr):
    """Exercise 1: ∂L/∂(prediction) = (prediction - N dh)/N = dh_hat - dh; the rest is Linear's."""
    dh_hat = (h @ A + onehot @ B + c) / len(h)
    error = dh_hat - dh
    return (
        dh_hat,
        A - slr * h.T @ error,
        B - slr * onehot.T @ error,
        c - slr * error.sum(axis=0),
    )


def largest_slr(h):
    """Exercise 2: the Hessian is hᵀ h. It grows with the batch, so the limit shrinks with it."""
    return 2 / np.linalg.eigvalsh(h.T @ h).max()


def from_the_label(W2, mean_p, y):
    """Exercise 3: in the place of p stands its mean."""
    return (mean_p - np.eye(10)[y]) @ W2.T


if __name__ == "__main__":
    sys.exit(grade(sys.modules[__name__], checks_of(__file__)))
