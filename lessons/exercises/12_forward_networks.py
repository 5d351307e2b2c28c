"""Exercises of lesson 12. Copy this file, fill in what says TODO(you), and run your copy:

    minigrad exercise 12        (copies this file to my_12.py)
    python my_12.py

Answers: lessons/solutions/12_forward_networks.py
"""

import sys
from itertools import product

import numpy as np

import minigrad as mg
from minigrad.exercises import expect, grade


def test_loss(net, loss, batches):
    """Exercise 1: the mean loss over all images of the batches, [(x, y), ...].

    loss.forward(net.forward(x, train=False), y) is the mean over one batch. A published loop:

        for x, y in batches:
            batch_loss = []
            batch_loss.append(loss.forward(net.forward(x, train=False), y))
        return np.mean(batch_loss)
    """
    raise NotImplementedError("TODO(you): two things are wrong; the last batch may be smaller")


def by_noise(x, W, b, y, noise):
    """Exercise 2: (dW_hat, db_hat) of softmax regression, z = x W + b, from noise (N, C) on z.

    x (N, D), y (N,) labels. The loss is the mean of L_n = -ln softmax(z_n)[y_n].
    """
    raise NotImplementedError("TODO(you): slopes d_n (N,), then dz_hat = d_n noise_n / N")


def best_directions(trace, largest):
    """Exercise 3: the K that gives the largest lr_max(K) / (1 + 2K), a whole number >= 1.

    trace, largest: the trace of the Hessian H, and its largest eigenvalue λ.
    lr_max(K) = 2 / (trace/K + (1 + 1/K) largest). One step of K directions costs 1 + 2K passes;
    at lr_max/2 it gains lr_max/4 |∇L|² on average.
    """
    raise NotImplementedError("TODO(you): by calculus, or by trying; trace may be a thousand")


# ---------------------------------------------------------------- what your answers must do


def check_1(answers):
    rng = np.random.default_rng(0)
    net, loss = mg.models.mlp((6, 5, 3), seed=0), mg.CrossEntropyLoss()
    x, y = rng.standard_normal((150, 6)).astype("float32"), rng.integers(0, 3, 150)
    x[144:] *= 20  # the last few are hard ones
    data = mg.data.Dataset(x, y, classes=3)
    expected = mg.evaluate(net, loss, data)[0]
    for size in (16, 150, 7):
        found = answers.test_loss(net, loss, list(data.batches(size)))
        expect(
            np.isclose(found, expected, rtol=1e-5),
            f"batches of {size}: {found:.4f}, and all at once {expected:.4f}",
        )
    return f"{found:.4f}, in whatever batches"


def check_2(answers):
    rng = np.random.default_rng(0)
    N, D, C = 3, 4, 3
    net, loss = mg.models.mlp((D, C), seed=0, dtype="float64"), mg.CrossEntropyLoss()
    x, y = rng.standard_normal((N, D)), rng.integers(0, C, N)
    mg.rules.Backprop().estimate(net, loss, x, y)
    W, b = net.params["1.W"].copy(), net.params["1.b"].copy()
    signs = np.array(list(product((-1.0, 1.0), repeat=N * C))).reshape(-1, N, C)
    found = [answers.by_noise(x.copy(), W, b, y, noise) for noise in signs]
    for i, name in enumerate(("1.W", "1.b")):
        shape = np.shape(found[0][i])
        expect(shape == net.grads[name].shape, f"d{name[2:]}_hat has shape {shape}")
        apart = abs(np.mean([pair[i] for pair in found], axis=0) - net.grads[name]).max()
        expect(apart < 1e-12, f"the mean of d{name[2:]}_hat is {apart:.2g} off the gradient")
    return f"the mean over all {len(signs)} sign patterns is the gradient"


def check_3(answers):
    for trace, largest in ((120, 10), (1000, 1), (5, 5), (90, 0.2), (50, 7)):
        K = np.arange(1, 2000)
        gain = 2 / (trace / K + (1 + 1 / K) * largest) / (1 + 2 * K)
        best, yours = int(K[gain.argmax()]), answers.best_directions(trace, largest)
        expect(yours == best, f"trace {trace}, λ {largest}: K = {best} pays best, not {yours}")
    return "about √((tr H/λ + 1) / 2)"


CHECKS = {"1": check_1, "2": check_2, "3": check_3}

if __name__ == "__main__":
    sys.exit(grade(sys.modules[__name__], CHECKS))
