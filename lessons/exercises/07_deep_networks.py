"""Exercises of lesson 07. Copy this file, fill in what says TODO(you), and run your copy:

    minigrad exercise 07        (copies this file to my_07.py)
    python my_07.py

Answers: lessons/solutions/07_deep_networks.py
"""

import sys

import numpy as np

import minigrad as mg
from minigrad.exercises import expect, grade


def start_for_leaky(a):
    """Exercise 1: the c of a start that keeps the spread through leaky ReLUs.

    A leaky ReLU is h = z where z > 0, and h = a z elsewhere. The weights have the spread c/√n.
    """
    raise NotImplementedError("TODO(you): what share of the mean square of z is left in h?")


def layer_norm(x, eps=1e-5):
    """Exercise 2: (x_hat, s) for x (N, D). μ, σ² are those of each example's D numbers."""
    raise NotImplementedError("TODO(you): as the lesson's normalise; which axis, and which shape?")


def layer_norm_backward(dx_hat, x_hat, s):
    """Exercise 2: dx (N, D). dx_hat is the gradient of the loss for x_hat."""
    raise NotImplementedError("TODO(you): as the lesson's normalise_backward")


def step_of_a_block(L):
    """Exercise 3: α for a chain of L blocks y = x + α f(x), where f keeps the spread.

    The spread of the last y is to be between 1.3 and 1.7 times that of the first x, for any L.
    """
    raise NotImplementedError("TODO(you): by how much does one block raise the mean square?")


# ---------------------------------------------------------------- what your answers must do


def spread(h):
    return float(np.sqrt((h**2).mean()))


def check_1(answers):
    layers, n = 20, 200
    for a in (0.0, 0.1, 0.5, 1.0):
        c = answers.start_for_leaky(a)
        rng = np.random.default_rng(0)
        factors = []
        for _ in range(5):
            h = first = rng.standard_normal((50, n))
            for _ in range(layers):
                z = h @ (c / np.sqrt(n) * rng.standard_normal((n, n)))
                h = np.where(z > 0, z, a * z)
            factors.append((spread(h) / spread(first)) ** (1 / layers))
        factor = float(np.mean(factors))
        expect(
            abs(factor - 1) < 0.03,
            f"with a = {a} and c = {c:.3f} each layer multiplies the spread by {factor:.2f}",
        )
    return "the spread stays for a = 0 (ReLU), 0.1, 0.5 and 1 (no activation)"


def check_2(answers):
    rng = np.random.default_rng(0)
    x, dx_hat = rng.standard_normal((2, 4, 6))
    with mg.backend.use("numpy"):
        layer = mg.LayerNorm(6, dtype="float64")
        wanted = layer.forward(x)
        dx = layer.backward(dx_hat)
    x_hat, s = answers.layer_norm(x)
    pairs = {"x_hat": (x_hat, wanted), "dx": (answers.layer_norm_backward(dx_hat, x_hat, s), dx)}
    table = mg.gradcheck.compare(pairs, rtol=1e-9)
    expect(table, f"against mg.LayerNorm\n{table}")
    alone = answers.layer_norm(x[:1])[0]
    expect(np.allclose(alone, x_hat[:1]), "an example alone has another x_hat than in company")
    return "as mg.LayerNorm, and an example does not depend on its company"


def check_3(answers):
    n, found = 200, []
    for L in (1, 4, 16, 64):
        rng = np.random.default_rng(L)
        alpha = answers.step_of_a_block(L)
        x = first = rng.standard_normal((50, n))
        for _ in range(L):
            f = np.sqrt(2 / n) * np.maximum(x, 0) @ rng.standard_normal((n, n))
            x = x + alpha * f
        growth = spread(x) / spread(first)
        words = f"L = {L}, α = {alpha:.3g}: the spread grows by the factor {growth:.3g}"
        expect(growth < 1.75, f"{words}, too much")
        expect(growth > 1.25, f"{words}: the blocks do next to nothing")
        found.append(f"{growth:.2f}")
    return f"1, 4, 16 and 64 blocks multiply the spread by {', '.join(found)}"


CHECKS = {"1": check_1, "2": check_2, "3": check_3}

if __name__ == "__main__":
    sys.exit(grade(sys.modules[__name__], CHECKS))
