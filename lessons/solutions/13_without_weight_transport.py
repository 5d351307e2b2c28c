"""Answers to the exercises of lesson 13."""

import sys

import numpy as np

from minigrad.exercises import checks_of, grade


def feedback_alignment(x, y, W1, b1, W2, b2, B):
    """Exercise 1: a bias has the sum of the gradients at its layer's output."""
    z = x @ W1 + b1
    h = np.maximum(z, 0)
    p = np.exp(h @ W2 + b2)
    p /= p.sum(axis=1, keepdims=True)
    e = (p - np.eye(len(b2))[y]) / len(x)
    dz = e @ B.T * (z > 0)
    return {"W1": x.T @ dz, "b1": dz.sum(axis=0), "W2": h.T @ e, "b2": e.sum(axis=0)}


def resting_place(w2, b):
    """Exercise 2: w1 w2 = 1 and w1²/2 - b w2 = c give w1³/2 - c w1 - b = 0, on the side of b."""
    c = -b * w2
    roots = np.roots([0.5, 0, -c, -b])
    w1 = next(float(r.real) for r in roots if abs(r.imag) < 1e-9 and r.real * b > 0)
    return w1, 1 / w1


def spread_of_the_angle(n):
    """Exercise 3: the cosine has the variance 1/n, and near 90 degrees it is the angle's sine."""
    return np.degrees(1 / np.sqrt(n))


if __name__ == "__main__":
    sys.exit(grade(sys.modules[__name__], checks_of(__file__)))
