"""Exercises of lesson 01. Fill in what says TODO(you), then ask the checker:

    minigrad check lessons/exercises/01_gradients_by_hand.py:LeakyReLU --input 4,3
    minigrad check lessons/exercises/01_gradients_by_hand.py:ParametricReLU --input 4,3
    python lessons/exercises/01_gradients_by_hand.py

Answers: lessons/solutions/01_gradients_by_hand.py
"""

import numpy as np

import minigrad as mg


class LeakyReLU(mg.Layer):
    """Exercise 1: y = x where x > 0, else a x, with a = 0.1."""

    a = 0.1

    def forward(self, x, train=True):
        raise NotImplementedError("TODO(you): return y, and keep in self.cache what you need below")

    def backward(self, dy):
        raise NotImplementedError("TODO(you): return dx")

    def jvp(self, x_dot, params_dot=None):
        raise NotImplementedError("TODO(you): return y_dot")


class ParametricReLU(mg.Layer):
    """Exercise 2: the same, but the slope a is learned: self.params["a"], of shape (1,)."""

    def __init__(self):
        super().__init__("float64")
        self.params["a"] = np.array([0.1])

    def forward(self, x, train=True):
        raise NotImplementedError("TODO(you)")

    def backward(self, dy):
        raise NotImplementedError('TODO(you): write self.grads["a"], of shape (1,), and return dx')

    def jvp(self, x_dot, params_dot=None):
        raise NotImplementedError("TODO(you): y_dot has a part from x_dot and one from a_dot")


def gradients_with_biases(x, y, W_i, b_i, W_o, b_o):
    """Exercise 3: (dW_i, db_i, dW_o, db_o) of lesson 01's network, by hand, with biases."""
    raise NotImplementedError("TODO(you): start from the lesson's lines")


def main():
    rng = np.random.default_rng(0)
    net = mg.Sequential(
        mg.Linear(3, 2, dtype="float64", rng=rng),
        mg.Sigmoid(),
        mg.Linear(2, 1, dtype="float64", rng=rng),
        mg.Sigmoid(),
    )
    x, y = np.array([[1.0, 2.0, 0.5]]), np.array([[0.0]])
    mg.rules.Backprop().estimate(net, mg.BCELoss(), x, y)
    yours = gradients_with_biases(x, y, *net.params.values())
    table = mg.gradcheck.compare(
        {f"d{name}": (mine, net.grads[name]) for name, mine in zip(net.grads, yours, strict=True)}
    )
    print(table)
    return table


if __name__ == "__main__":
    main()
