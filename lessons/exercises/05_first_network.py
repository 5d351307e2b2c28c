"""Exercises of lesson 05. Copy this file, fill in what says TODO(you), and run your copy:

    minigrad exercise 05        (copies this file to my_05.py)
    python my_05.py

Answers: lessons/solutions/05_first_network.py
"""

import sys

import numpy as np

import minigrad as mg
from minigrad.exercises import expect, grade


class AccumulatingBackprop(mg.rules.Rule):
    """Exercise 1: a rule whose gradients are the sum of all steps' so far ("forgot zero_grad")."""

    def estimate(self, model, loss, x, target):
        raise NotImplementedError(
            "TODO(you): let mg.rules.Backprop() estimate, add what you kept, return its value"
        )


def precision(predicted, y):
    """Exercise 2: for each digit d, of all images read as d, the share whose label is d.

    predicted, y  integers (N,); returns 10 numbers. A digit that is never read has NaN
    """
    raise NotImplementedError("TODO(you): recall divides by how often y is d. And precision?")


def one_of_each(train):
    """Exercise 3: a data set of ten images, one of each digit."""
    raise NotImplementedError("TODO(you): Dataset.take takes an array of places")


# ---------------------------------------------------------------- what your answers must do


def train_400(model, rule, data, momentum=0.0):
    """The loss at each of 400 full-batch steps of 0.1."""
    history = mg.fit(
        model,
        mg.CrossEntropyLoss(),
        rule,
        mg.SGD(model, 0.1, momentum=momentum),
        data,
        epochs=400,
        batch_size=len(data),
        evaluate_every=400,
    )
    return np.array(history.step_loss)


def check_1(answers):
    data = mg.data.load("digits")[0].take(500)
    nets = [mg.models.mlp((784, 32, 10), "sigmoid", seed=0) for _ in range(3)]
    summed = train_400(nets[0], answers.AccumulatingBackprop(), data)
    heavy = train_400(nets[1], mg.rules.Backprop(), data, momentum=1.0)
    plain = train_400(nets[2], mg.rules.Backprop(), data)
    expect(
        abs(summed[:30] - heavy[:30]).max() < 1e-4,
        "summed gradients and SGD(momentum=1) must give the same losses; at step 10 they are "
        f"{summed[10]:.4f} and {heavy[10]:.4f}",
    )
    lower = "lower" if summed[-1] < plain[-1] else "no lower"
    return (
        f"after 400 steps of 0.1 the loss is {summed[-1]:.3f}, and {plain[-1]:.3f} with plain "
        f"gradients. A sum is a momentum of 1. Its loss is {lower}: does that make it right?"
    )


def check_2(answers):
    rng = np.random.default_rng(0)
    y = rng.integers(0, 10, 400)
    predicted = np.where(rng.random(400) < 0.7, y, rng.integers(0, 9, 400))
    predicted[predicted == 9] = 4  # a 9 is never read
    got = np.asarray(answers.precision(predicted, y), float)
    expect(got.shape == (10,), f"it must return 10 numbers, got the shape {got.shape}")
    wanted = [
        np.sum((predicted == d) & (y == d)) / max(1, np.sum(predicted == d)) for d in range(9)
    ]
    off = int(np.argmax(abs(got[:9] - wanted)))
    expect(
        abs(got[off] - wanted[off]) < 1e-9,
        f"of the images read as {off}, {100 * wanted[off]:.1f} % are {off}; you say "
        f"{100 * got[off]:.1f} %",
    )
    expect(np.isnan(got[9]), f"9 is never read: its precision must be NaN, not {got[9]}")
    recall = np.mean(predicted[y == 4] == 4)
    return (
        f"in this example every 9 that was read is now read as 4: the recall of 4 is "
        f"{100 * recall:.0f} %, its precision {100 * got[4]:.0f} %"
    )


def check_3(answers):
    train, test = mg.data.load("auto")
    ten = answers.one_of_each(train)
    expect(sorted(np.asarray(ten.y).tolist()) == list(range(10)), f"its labels are {ten.y}")
    model = mg.models.mlp((784, 32, 10), seed=0)
    history = mg.fit(
        model,
        mg.CrossEntropyLoss(),
        mg.rules.Backprop(),
        mg.SGD(model, 0.1),
        ten,
        test,
        epochs=300,
        batch_size=10,
        evaluate_every=300,
    )
    return f"ten images buy a test accuracy of {history.test_accuracy[-1]:.2f}"


CHECKS = {"1": check_1, "2": check_2, "3": check_3}

if __name__ == "__main__":
    sys.exit(grade(sys.modules[__name__], CHECKS))
