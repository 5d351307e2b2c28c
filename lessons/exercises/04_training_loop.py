"""Exercises of lesson 04. Copy this file, fill in what says TODO(you), and run your copy:

    minigrad exercise 04        (copies this file to my_04.py)
    python my_04.py

Answers: lessons/solutions/04_training_loop.py
"""

import sys

import numpy as np

import minigrad as mg
from minigrad.exercises import expect, grade


def cross_entropy(z, y):
    """Exercise 1: the mean of ln S - z_r, for any finite logits z (N, C) and labels y (N,)."""
    raise NotImplementedError(
        "TODO(you): write ln S with the largest logit taken out: no logarithm of 0, no overflow"
    )


def deeper_gradients(weights, x, y):
    """Exercise 2: [dW1, db1, dW2, db2, dW3, db3] of a net with two hidden layers, each with ReLU.

    weights  [W1, b1, W2, b2, W3, b3]; x (N, D); y (N,) labels; the loss is the mean over N
    """
    raise NotImplementedError("TODO(you): the lesson's lines, with one more layer in the middle")


def a_ring():
    """Exercise 3: [W1 (2, 3), b1 (3,), W2 (3, 2), b2 (2,)] with class 1 inside the outer ring."""
    raise NotImplementedError(
        "TODO(you): let three units look in three directions, and compare their sum with a number"
    )


# ---------------------------------------------------------------- what your answers must do


def net_with(sizes, seed):
    """A library network of these sizes in float64, and copies of its weights as a list."""
    net = mg.models.mlp(sizes, dtype="float64", seed=seed)
    return net, [value.copy() for value in net.params.values()]


def check_1(answers):
    rng = np.random.default_rng(0)
    z, y = 3 * rng.standard_normal((5, 4)), np.array([0, 3, 1, 1, 2])
    wanted, got = mg.CrossEntropyLoss().forward(z, y), answers.cross_entropy(z, y)
    expect(abs(got - wanted) < 1e-9, f"for small logits it must be {wanted:.6f}, not {got:.6f}")
    for logits, label, wanted in (([0.0, 1000.0], 0, 1000.0), ([2000.0, -3.0], 0, 0.0)):
        with np.errstate(all="ignore"):
            got = float(answers.cross_entropy(np.array([logits]), np.array([label])))
        expect(
            abs(got - wanted) < 1e-9,
            f"for logits {logits} and class {label} it must be {wanted:g}, not {got:g}",
        )
    return "the same number for small logits, and 1000 where p is too small to be written down"


def check_2(answers):
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((7, 2)), rng.integers(0, 3, 7)
    net, weights = net_with((2, 5, 4, 3), seed=2)
    loss = mg.CrossEntropyLoss()
    loss.forward(net.forward(x), y)
    net.backward(loss.backward())
    names = ("dW1", "db1", "dW2", "db2", "dW3", "db3")
    got = answers.deeper_gradients(weights, x, y)
    expect(len(got) == len(names), f"it must return {', '.join(names)}")
    pairs = zip(got, net.grads.values(), strict=True)
    table = mg.gradcheck.compare(dict(zip(names, pairs, strict=True)))
    expect(table, f"\n{table}")
    return "the gradients of six arrays, as the library has them"


def check_3(answers):
    weights = [np.asarray(w, float) for w in answers.a_ring()]
    shapes = [w.shape for w in weights]
    expect(shapes == [(2, 3), (3,), (3, 2), (2,)], f"the shapes are {shapes}")
    W1, b1, W2, b2 = weights
    test = mg.data.circles(1000, seed=3)[1]
    z = np.maximum(test.x @ W1 + b1, 0) @ W2 + b2
    right = float((z.argmax(axis=1) == test.y).mean())
    expect(right >= 0.95, f"they get {100 * right:.0f} % of the points right; 95 % is possible")
    return f"three lines without any training get {100 * right:.1f} % of the points right"


CHECKS = {"1": check_1, "2": check_2, "3": check_3}

if __name__ == "__main__":
    sys.exit(grade(sys.modules[__name__], CHECKS))
