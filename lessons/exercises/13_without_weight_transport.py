"""Exercises of lesson 13. Copy this file, fill in what says TODO(you), and run your copy:

    minigrad exercise 13        (copies this file to my_13.py)
    python my_13.py

Answers: lessons/solutions/13_without_weight_transport.py
"""

import sys

import numpy as np

import minigrad as mg
from minigrad.exercises import expect, grade


def feedback_alignment(x, y, W1, b1, W2, b2, B):
    """Exercise 1: {"W1": dW1, "b1": db1, "W2": dW2, "b2": db2} by feedback alignment.

    h = relu(x W1 + b1), logits = h W2 + b2, mean cross-entropy. x (N, D), y (N,) labels, W1 (D, H),
    W2 (H, C). B (H, C) stands in the place of W2 on the way down.
    """
    raise NotImplementedError("TODO(you): section 2 has tanh and no biases; what changes?")


def resting_place(w2, b):
    """Exercise 2: (w1, w2) where the two numbers of section 1 come to rest.

    They start from w1 = 0 and this w2. Their steps are s b and s w1, with s = 1 - w2 w1. Do not
    take steps: use what never changes.
    """
    raise NotImplementedError("TODO(you): two equations; np.roots finds the roots of a cubic")


def spread_of_the_angle(n):
    """Exercise 3: the standard deviation, in degrees, of the angle of two random vectors.

    Both have n normal coordinates, n is large. The mean is 90 degrees.
    """
    raise NotImplementedError("TODO(you): the cosine has mean 0; which variance?")


# ---------------------------------------------------------------- what your answers must do


def check_1(answers):
    rng = np.random.default_rng(0)
    N, D, H, C = 6, 5, 4, 3
    net = mg.models.mlp((D, H, C), "relu", seed=0, dtype="float64")
    for name in ("1.b", "3.b"):
        net.params[name][...] = rng.standard_normal(net.params[name].shape)
    x, y, B = rng.standard_normal((N, D)), rng.integers(0, C, N), rng.standard_normal((H, C))
    rule = mg.rules.FeedbackAlignment()
    rule.feedback["3.W"] = B
    rule.estimate(net, mg.CrossEntropyLoss(), x, y)
    p = net.params
    found = answers.feedback_alignment(x, y, p["1.W"], p["1.b"], p["3.W"], p["3.b"], B)
    for name, other in (("W1", "1.W"), ("b1", "1.b"), ("W2", "3.W"), ("b2", "3.b")):
        shape, wanted = np.shape(found[name]), net.grads[other].shape
        expect(shape == wanted, f"d{name} has shape {shape}, not {wanted}")
        off = abs(found[name] - net.grads[other]).max()
        expect(off < 1e-12, f"d{name} is off by {off:.2g}")
    return "the library's gradients, to the last digits"


def check_2(answers):
    for start, b in ((0.0, 1.0), (-1.0, 1.0), (2.0, 0.5), (1.0, -2.0)):
        w1, w2 = 0.0, start
        for _ in range(40_000):
            s = 1 - w2 * w1
            w1, w2 = w1 + 0.001 * s * b, w2 + 0.001 * s * w1
        found = answers.resting_place(start, b)
        expect(
            np.allclose(found, (w1, w2), atol=0.02),
            f"from w2 = {start}, b = {b} they come to ({w1:.3f}, {w2:.3f}), not "
            f"({found[0]:.3f}, {found[1]:.3f})",
        )
    return "your two equations say where 40,000 steps end"


def check_3(answers):
    rng = np.random.default_rng(0)
    for n in (100, 2500):
        u, v = rng.standard_normal((2, 1000, n))
        lengths = np.linalg.norm(u, axis=1) * np.linalg.norm(v, axis=1)
        spread = np.degrees(np.arccos((u * v).sum(axis=1) / lengths)).std()
        found = float(answers.spread_of_the_angle(n))
        expect(
            abs(found / spread - 1) < 0.1,
            f"in {n} dimensions 1,000 pairs have a spread of {spread:.2f} degrees, not {found:.3g}",
        )
    return f"in 2,500 dimensions {found:.2f} degrees: 80 would be no chance at all"


CHECKS = {"1": check_1, "2": check_2, "3": check_3}

if __name__ == "__main__":
    sys.exit(grade(sys.modules[__name__], CHECKS))
