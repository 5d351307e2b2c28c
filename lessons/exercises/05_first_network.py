"""Exercises of lesson 05. Copy this file, fill in what says TODO(you), and run your copy:

    minigrad exercise 05        (copies this file to my_03.py)
    python my_03.py

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


def softmax_mse_gradient(z, target):
    """Exercise 2: dL/dz for L = MSELoss(Softmax(z), target), z (N, C), target (N, C) one-hot."""
    raise NotImplementedError("TODO(you): a layer, a loss, and their backward; then read the check")


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
    nets = [mg.models.ds4420_mlp(double_softmax=True, seed=0) for _ in range(3)]
    summed = train_400(nets[0], answers.AccumulatingBackprop(), data)
    heavy = train_400(nets[1], mg.rules.Backprop(), data, momentum=1.0)
    plain = train_400(nets[2], mg.rules.Backprop(), data)
    expect(
        abs(summed[:30] - heavy[:30]).max() < 1e-4,
        "summed gradients and SGD(momentum=1) must give the same losses; at step 10 they are "
        f"{summed[10]:.4f} and {heavy[10]:.4f}",
    )
    return (
        f"after 400 steps of 0.1 the loss is {summed[-1]:.3f}, and {plain[-1]:.3f} with plain "
        "gradients: a sum is a momentum of 1. Is a bug that lowers the loss no bug?"
    )


def check_2(answers):
    target = np.eye(10)[[3]]
    rng = np.random.default_rng(0)
    z = rng.standard_normal((1, 10))
    net = mg.Sequential(mg.Softmax(dtype="float64"))
    loss = mg.MSELoss()
    loss.forward(net.forward(z), target)
    expected = net.backward(loss.backward())
    got = answers.softmax_mse_gradient(z, target)
    table = mg.gradcheck.compare({"dz": (got, expected)})
    expect(table, f"\n{table}")
    sure = {name: 20.0 * np.eye(10)[[digit]] for name, digit in (("right", 3), ("wrong", 7))}
    sizes = {
        name: np.linalg.norm(answers.softmax_mse_gradient(s, target)) for name, s in sure.items()
    }
    values = {name: loss.forward(net.forward(s), target) for name, s in sure.items()}
    return (
        f"sure and right the loss is {values['right']:.0e}: it has no floor. Sure and wrong it is "
        f"{values['wrong']:.2f} with a gradient of {sizes['wrong']:.0e}: it plateaus all the same"
    )


def check_3(answers):
    train, test = mg.data.load("auto")
    ten = answers.one_of_each(train)
    expect(sorted(np.asarray(ten.y).tolist()) == list(range(10)), f"its labels are {ten.y}")
    model = mg.models.ds4420_mlp(seed=0)
    history = mg.fit(
        model,
        mg.CrossEntropyLoss(),
        mg.rules.Backprop(),
        mg.SGD(model, 1.0),
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
