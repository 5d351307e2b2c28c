"""Exercises of lesson 03. Copy this file, fill in what says TODO(you), and run your copy:

    minigrad exercise 03        (copies this file to my_03.py)
    python my_03.py

Answers: lessons/solutions/03_gradient_descent.py
"""

import sys
from math import exp

import numpy as np

import minigrad as mg
from minigrad.exercises import expect, grade


def best_learning_rate():
    """Exercise 1: the learning rate η that needs the fewest steps on f(x) = 3x² + 2x."""
    raise NotImplementedError("TODO(you): predict it from f''")


def stopping_rate():
    """Exercise 2: a c with which η = 0.1 e^(-ck) at step k never brings x below 0.5.

    The ground is f(x) = x². The start is x = 1. The steps are k = 0, 1, 2, ...
    """
    raise NotImplementedError("TODO(you): how far can all the steps together reach?")


def first_adam_step(gradient):
    """Exercise 3: the length of Adam's first step with η = 1, for a gradient of this size."""
    raise NotImplementedError("TODO(you): write out m and v, both corrected, after one step")


# ---------------------------------------------------------------- what your answers must do


def check_1(answers):
    lr, x = answers.best_learning_rate(), 5.0
    x -= lr * (6 * x + 2)
    expect(abs(x + 1 / 3) < 1e-9, f"after one step with η = {lr:g} from 5 x is {x:.4g}, not -1/3")
    return f"one step with η = {lr:.4f} goes to the bottom, from anywhere"


def check_2(answers):
    c, x = answers.stopping_rate(), 1.0
    expect(c > 0, f"the steps must fall: c > 0, got {c}")
    for k in range(10_000):
        x -= 0.1 * exp(-c * k) * 2 * x
    expect(x > 0.5, f"with c = {c} x comes to {x:.3f}")
    return f"with c = {c} x stops at {x:.3f} for ever"


def check_3(answers):
    for gradient in (0.001, 1.0, 25.0):
        layer = mg.Layer()
        layer.params["x"], layer.grads["x"] = np.array([3.0]), np.array([gradient])
        mg.Adam(layer, lr=1.0).step()
        measured, said = 3.0 - float(layer.params["x"][0]), answers.first_adam_step(gradient)
        expect(abs(measured - said) < 1e-4, f"for {gradient} it is {measured:.4f}, not {said:.4f}")
    return "of length 1, whatever the gradient"


CHECKS = {"1": check_1, "2": check_2, "3": check_3}

if __name__ == "__main__":
    sys.exit(grade(sys.modules[__name__], CHECKS))
