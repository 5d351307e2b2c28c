"""Exercises of lesson 01. Copy this file, fill in what says TODO(you), and run your copy:

    minigrad exercise 01        (copies this file to my_01.py)
    python my_01.py
    minigrad check my_01.py:LeakyReLU --input 4,3      shows what is wrong with a layer, and where

Answers: lessons/solutions/01_gradients_by_hand.py
"""

import sys

import numpy as np

import minigrad as mg
from minigrad.exercises import expect, grade


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

    def __init__(self, dtype="float32"):
        super().__init__(dtype)
        self.params["a"] = np.array([0.1], dtype)

    def forward(self, x, train=True):
        raise NotImplementedError("TODO(you)")

    def backward(self, dy):
        raise NotImplementedError('TODO(you): write self.grads["a"], of shape (1,), and return dx')

    def jvp(self, x_dot, params_dot=None):
        raise NotImplementedError(
            'TODO(you): a part from x_dot and one from params_dot["a"]; either may be None'
        )


def gradients_with_biases(x, y, W_i, b_i, W_o, b_o):
    """Exercise 3: (dW_i, db_i, dW_o, db_o) of lesson 01's network, by hand, with biases."""
    raise NotImplementedError("TODO(you): start from the lesson's lines")


# ---------------------------------------------------------------- what your answers must do


def check_layer(layer):
    report = mg.gradcheck.check(layer, np.random.default_rng(0).standard_normal((4, 3)))
    expect(report, f"the checker says\n{report}")


def check_1(answers):
    layer = answers.LeakyReLU()
    y = layer.forward(np.array([[3.0, -2.0]]))
    expect(np.allclose(y, [[3.0, -0.2]]), f"for x = 3, -2 expected y = 3, -0.2, got {y}")
    check_layer(layer)
    return "y, dx and y_dot agree with differences and with each other"


def check_2(answers):
    layer = answers.ParametricReLU()
    layer.params["a"][...] = 0.3
    y = layer.forward(np.array([[3.0, -2.0]], "float32"))
    expect(np.allclose(y, [[3.0, -0.6]]), f"with a = 0.3, x = 3, -2 expected 3, -0.6, got {y}")
    check_layer(layer)
    return "da too"


def check_3(answers):
    net = mg.Sequential(*mg.models.mlp((3, 2, 1), "sigmoid", dtype="float64", seed=0).layers)
    net = mg.Sequential(*net.layers, mg.Sigmoid())
    x, y = np.array([[1.0, 2.0, 0.5]]), np.array([[0.0]])
    mg.rules.Backprop().estimate(net, mg.BCELoss(), x, y)
    mine = answers.gradients_with_biases(x, y, *net.params.values())
    names = ("dW_i", "db_i", "dW_o", "db_o")
    pairs = dict(zip(names, zip(mine, net.grads.values(), strict=True), strict=True))
    table = mg.gradcheck.compare(pairs, title="yours against the library's")
    expect(table, f"\n{table}")
    return "all four agree with the library"


CHECKS = {"1": check_1, "2": check_2, "3": check_3}

if __name__ == "__main__":
    sys.exit(grade(sys.modules[__name__], CHECKS))
