"""Answers to the exercises of lesson 01."""

import sys

import numpy as np

import minigrad as mg
from minigrad.exercises import checks_of, grade


class LeakyReLU(mg.Layer):
    """Exercise 1: the slope is 1 or a; the Jacobian is diagonal, so backward and jvp are alike."""

    a = 0.1

    def forward(self, x, train=True):
        self.cache = slope = np.where(x > 0, 1, self.a).astype(x.dtype)
        return slope * x

    def backward(self, dy):
        return self.recall() * dy

    def jvp(self, x_dot, params_dot=None):
        return self.recall() * x_dot


class ParametricReLU(mg.Layer):
    """Exercise 2: y = a x where x <= 0, so da = Σ dy x there: all places share the one slope."""

    def __init__(self, dtype="float32"):
        super().__init__(dtype)
        self.params["a"] = np.array([0.1], dtype)

    def forward(self, x, train=True):
        self.cache = x
        return np.where(x > 0, x, self.params["a"] * x)

    def backward(self, dy):
        x = self.recall()
        self.grads["a"] = (dy * np.minimum(x, 0)).sum().reshape(1)
        return np.where(x > 0, dy, self.params["a"] * dy)

    def jvp(self, x_dot, params_dot=None):
        x = self.recall()
        y_dot = 0 if x_dot is None else np.where(x > 0, x_dot, self.params["a"] * x_dot)
        return y_dot if params_dot is None else y_dot + params_dot["a"] * np.minimum(x, 0)


def gradients_with_biases(x, y, W_i, b_i, W_o, b_o):
    """Exercise 3: a bias is a weight whose input is always 1, so its gradient is delta itself."""
    h = 1 / (1 + np.exp(-(x @ W_i + b_i)))
    y_hat = 1 / (1 + np.exp(-(h @ W_o + b_o)))
    delta_o = y_hat - y
    delta_h = delta_o @ W_o.T * h * (1 - h)
    return x.T @ delta_h, delta_h.sum(axis=0), h.T @ delta_o, delta_o.sum(axis=0)


if __name__ == "__main__":
    sys.exit(grade(sys.modules[__name__], checks_of(__file__)))
