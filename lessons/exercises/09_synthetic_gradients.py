"""Exercises of lesson 09. Copy this file, fill in what says TODO(you), and run your copy:

    minigrad exercise 09        (copies this file to my_09.py)
    python my_09.py

Answers: lessons/solutions/09_synthetic_gradients.py
"""

import sys
from functools import partial

import numpy as np

import minigrad as mg
from minigrad.exercises import expect, grade
from minigrad.rules.synthetic.interfaces import r_squared


def module_step(A, B, c, h, onehot, dh, slr):
    """Exercise 1: (dh_hat, A, B, c): the prediction, and the parameters after one step.

    The module predicts N dh by h A + onehot B + c, and steps down 1/(2N) Σ ‖prediction - N dh‖².
    h, dh (N, D), onehot (N, C), A (D, D), B (C, D), c (D,). Return new arrays.
    """
    raise NotImplementedError("TODO(you): dh_hat first, divided by N; then three gradients")


def largest_slr(h):
    """Exercise 2: below this, steps A ← A - slr hᵀ (h A - N dh) with h (N, D) do not explode."""
    raise NotImplementedError("TODO(you): what is the Hessian of 1/2 Σ ‖h_n A - N dh_n‖²?")


def from_the_label(W2, mean_p, y):
    """Exercise 3: N dh (N, D), predicted from the labels y (N,) alone.

    W2 (D, 10) and mean_p (10,), the mean of p over all images, are known; h and p are not.
    """
    raise NotImplementedError("TODO(you): N dh = (p - onehot) W2ᵀ")


# ---------------------------------------------------------------- what your answers must do


def check_1(answers):
    rng = np.random.default_rng(0)
    N, D, C, slr = 6, 5, 3, 0.3
    module = mg.rules.GradientModule(
        (D,), C, optimizer=partial(mg.SGD, lr=slr), dtype="float64", rng=rng
    )
    W, b = module.trunk.params["0.W"], module.trunk.params["0.b"]
    W[...], b[...] = rng.standard_normal(W.shape), rng.standard_normal(b.shape)
    h, dh = rng.standard_normal((2, N, D))
    y = rng.integers(0, C, N)
    given = (W[:D].copy(), W[D:].copy(), b.copy(), h.copy(), np.eye(C)[y], dh.copy(), slr)
    found = answers.module_step(*given)
    expected = [module.predict(h, y).copy()]
    module.learn(dh)
    expected += [W[:D], W[D:], b]
    errors = []
    for name, one, other in zip(("dh_hat", "A", "B", "c"), found, expected, strict=True):
        expect(np.shape(one) == other.shape, f"{name}: expected shape {other.shape}")
        error = float(abs(one - other).max())
        expect(error < 1e-10, f"{name} differs from the library's by up to {error:.2g}")
        errors.append(f"{name} {error:.0e}")
    return "differences from the library's: " + ", ".join(errors)


def check_2(answers):
    rng = np.random.default_rng(0)
    limits = []
    for N, D in ((10, 20), (40, 5)):
        h = np.maximum(rng.standard_normal((N, D)), 0)
        limit = float(answers.largest_slr(h))
        for factor in (0.95, 1.05):
            A, N_dh = np.zeros((D, 3)), rng.standard_normal(3)
            at_first = ((h @ A - N_dh) ** 2).sum()
            for _ in range(300):
                A -= factor * limit * h.T @ (h @ A - N_dh)
                error = ((h @ A - N_dh) ** 2).sum()
                if error > 1e6 * at_first:
                    break
            falls = error < at_first
            words = f"batch of {N}: with {factor} of your limit, {limit:.4g}, the error"
            expect(falls == (factor < 1), f"{words} {'falls' if falls else 'explodes'}")
        limits.append(f"{limit:.4f} for {N} images of {D} features")
    return "; ".join(limits)


def check_3(answers):
    train, _ = mg.data.load("digits")
    loss, net, found = mg.CrossEntropyLoss(), mg.models.gist_mlp(seed=0), []
    for epochs in (0, 10):
        rule, optimizer = mg.rules.Backprop(), mg.SGD(net, lr=0.02)
        mg.fit(net, loss, rule, optimizer, train, epochs=epochs, batch_size=32, progress=False)
        W2, p = net.params["3.W"], mg.Softmax().forward(net.forward(train.x, train=False))
        dh = (p - np.eye(10)[train.y]) @ W2.T
        guess = np.asarray(answers.from_the_label(W2, p.mean(axis=0), train.y))
        expect(guess.shape == dh.shape, f"expected shape {dh.shape}, got {guess.shape}")
        found.append(r_squared(guess, dh))
        expect(found[0] > 0.9, f"R² is {found[0]:.2f} in a fresh network; 0.9 can be reached")
    return (
        f"R² is {found[0]:.3f} in a fresh network, where p is the same for all images; after ten "
        f"epochs it is {found[1]:.1f}: p has come near y, and its mean is no guess of it any more"
    )


CHECKS = {"1": check_1, "2": check_2, "3": check_3}

if __name__ == "__main__":
    sys.exit(grade(sys.modules[__name__], CHECKS))
