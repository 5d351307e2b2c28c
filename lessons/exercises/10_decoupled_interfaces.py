"""Exercises of lesson 10. Copy this file, fill in what says TODO(you), and run your copy:

    minigrad exercise 10        (copies this file to my_10.py)
    python my_10.py

Answers: lessons/solutions/10_decoupled_interfaces.py
"""

import sys

import numpy as np

import minigrad as mg
from minigrad.exercises import expect, grade


def nothing_happens(p, L):
    """Exercise 1: the share of steps in which none of L blocks is updated."""
    raise NotImplementedError("TODO(you): blocks are drawn independently, each with probability p")


def steps_until_all(p, L):
    """Exercise 1: how many steps it takes, on average, until each of L blocks was updated."""
    raise NotImplementedError("TODO(you): the mean of a count is the sum over t of P(count > t)")


class LinearModule(mg.rules.Module):
    """Exercise 2: dh_hat = (h A + B[label] + c)/N, all zero at first, plain gradient descent.

    Learns L = 1/(2N) Σ_n ‖(h A + B[label] + c)_n - N dh_n‖², as GradientModule does.
    """

    def __init__(self, D, classes, lr):
        self.A, self.B, self.c = np.zeros((D, D)), np.zeros((classes, D)), np.zeros(D)
        self.lr = lr

    def predict(self, h, target):
        """h (N, D), target (N,) labels; returns dh_hat (N, D)."""
        raise NotImplementedError("TODO(you): keep what learn will need")

    def learn(self, dh):
        """One step of gradient descent towards dh (N, D)."""
        raise NotImplementedError(
            "TODO(you): at its output the gradient is dh_hat - dh; then as in Linear"
        )


def mixed(blocks, dh_hats, dh_top, mixture):
    """Exercise 3: [g_1, ..., g_L], g_L = dh_top, g_{i-1} = λ J_iᵀ g_i + (1 - λ) dh_hat_{i-1}.

    blocks: after their forward pass; blocks[i].backward(g) is Jᵀ g. dh_hats: of the first L - 1.
    """
    raise NotImplementedError("TODO(you): from the top down")


# ---------------------------------------------------------------- what your answers must do


def check_1(answers):
    rng, found = np.random.default_rng(0), []
    for p, L in ((0.2, 4), (0.5, 2), (0.1, 6), (1.0, 3)):
        drawn = rng.random((4000, 250, L)) < p
        first = np.where(drawn.any(axis=1), drawn.argmax(axis=1) + 1, 250).max(axis=-1)
        share, steps = (~drawn.any(axis=-1)).mean(), first.mean()
        yours = answers.nothing_happens(p, L), answers.steps_until_all(p, L)
        expect(
            abs(yours[0] - share) < 0.005, f"p = {p}, L = {L}: nothing in {share:.3f} of the steps"
        )
        expect(abs(yours[1] - steps) < 0.03 * steps, f"p = {p}, L = {L}: {steps:.2f} steps, drawn")
        found.append(f"p = {p}, L = {L}: {yours[0]:.3f}, {yours[1]:.2f} steps")
    return "; ".join(found)


def check_2(answers):
    rng = np.random.default_rng(0)
    N, D, classes, lr = 6, 5, 3, 0.1
    yours = answers.LinearModule(D, classes, lr)
    ours = mg.rules.GradientModule(
        (D,), classes, optimizer=lambda net: mg.SGD(net, lr), dtype="float64"
    )
    for step in range(5):
        h, dh = rng.standard_normal((2, N, D))
        target = rng.integers(0, classes, N)
        a, b = yours.predict(h.copy(), target), ours.predict(h, target)
        expect(np.shape(a) == (N, D), f"dh_hat has shape {np.shape(a)}, not {(N, D)}")
        expect(
            np.allclose(a, b),
            f"step {step + 1}: dh_hat is {abs(a - b).max():.3g} away from GradientModule's",
        )
        yours.learn(dh)
        ours.learn(dh)
    return f"the same as GradientModule for {step + 1} steps"


def check_3(answers):
    rng = np.random.default_rng(0)
    net = mg.models.mlp((6, 5, 4, 3), "tanh", dtype="float64", seed=0)
    x, y = rng.standard_normal((7, 6)), rng.integers(0, 3, 7)
    rule, loss = mg.rules.SyntheticGradients(net), mg.CrossEntropyLoss()
    h, dh_hats = x, []
    for block in rule.blocks:
        h = block.forward(h)
        dh_hats.append(rng.standard_normal(h.shape))
    loss.forward(h, y)
    top, J = loss.backward(), [block.backward for block in rule.blocks]
    for mixture in (0.0, 0.3, 1.0):
        g = answers.mixed(rule.blocks, dh_hats[:-1], top, mixture)
        expect(len(g) == 3, f"expected one g for each of 3 blocks, got {len(g)}")
        second = mixture * J[2](top) + (1 - mixture) * dh_hats[1]
        first = mixture * J[1](second) + (1 - mixture) * dh_hats[0]
        for i, (yours, expected) in enumerate(zip(g, (first, second, top), strict=True), 1):
            expect(np.allclose(yours, expected), f"λ = {mixture}: g_{i} differs")
    return "λ = 1 is backprop, λ = 0 the modules' word alone, and λ = 0.3 lies between"


CHECKS = {"1": check_1, "2": check_2, "3": check_3}

if __name__ == "__main__":
    sys.exit(grade(sys.modules[__name__], CHECKS))
