"""Exercises of lesson 02. Copy this file, fill in what says TODO(you), and run your copy:

    minigrad exercise 02        (copies this file to my_02.py)
    python my_02.py

Answers: lessons/solutions/02_autograd_tape.py
"""

import sys

import numpy as np

import minigrad as mg
from minigrad.exercises import expect, grade


class Value:
    """A record as in the lesson: data, and pairs (parent, share). There is no list of records."""

    def __init__(self, data, parents=()):
        self.data = np.asarray(data, float)
        self.grad = np.zeros_like(self.data)
        self.parents = parents

    def __add__(self, other):
        return type(self)(self.data + other.data, [(self, lambda g: g), (other, lambda g: g)])

    def __mul__(self, other):
        shares = [(self, lambda g: g * other.data), (other, lambda g: g * self.data)]
        return type(self)(self.data * other.data, shares)


def walk(order):
    """Hand the gradient of each record on to its parents, in this order. The first is the loss."""
    order[0].grad = np.ones_like(order[0].data)
    for record in order:
        for parent, share in record.parents:
            parent.grad = parent.grad + share(record.grad)


def tanh(a):
    """Exercise 1: the record of tanh(a). `type(a)(data, [(parent, share)])` makes a record."""
    raise NotImplementedError("TODO(you): the slope of tanh is 1 - tanh²")


def order_of(last):
    """Exercise 2: a list of `last` and all it was computed from. No record after its parents."""
    raise NotImplementedError("TODO(you): append a record when all its parents are there; reverse")


class Moving:
    """Exercise 3: a number and its tangent, `dot`: how fast it moves."""

    def __init__(self, data, dot=0.0):
        self.data = data
        self.dot = dot

    def __add__(self, other):
        return Moving(self.data + other.data, self.dot + other.dot)

    def __mul__(self, other):
        raise NotImplementedError("TODO(you): the product, and its tangent from both tangents")

    def exp(self):
        raise NotImplementedError("TODO(you): e^data, and its tangent")


# ---------------------------------------------------------------- what your answers must do


def check_1(answers):
    a = Value([[0.5, -2.0, 0.0]])
    t = answers.tanh(a)
    expect(np.allclose(t.data, np.tanh(a.data)), f"for 0.5, -2, 0 expected tanh, got {t.data}")
    walk([t, a])
    table = mg.gradcheck.compare({"da": (a.grad, 1 / np.cosh(a.data) ** 2)}, rtol=1e-12)
    expect(table, f"\n{table}")
    return "the value and the share are right"


def ladder(n):
    """L = ... ((x² + x)² + x² + x) ...: each rung is used three times."""
    rungs = [Value(0.5)]
    for _ in range(n):
        rungs.append(rungs[-1] + rungs[-1] * rungs[-1])
    return rungs


def check_2(answers):
    for n in (1, 2, 12):
        rungs = ladder(n)
        order = answers.order_of(rungs[-1])
        expect(order[0] is rungs[-1], "the first of the order must be the last record")
        expect(
            len(order) == 1 + 2 * n,
            f"{1 + 2 * n} records, each of them once; your order has {len(order)}",
        )
        walk(order)
        slope = float(np.prod([1 + 2 * rung.data for rung in rungs[:-1]]))
        found = float(rungs[0].grad)
        expect(
            abs(found / slope - 1) < 1e-12,
            f"with {n} rungs dL/dx is {slope:g}; by your order it is {found:g}",
        )
    return "25 records, 3 shares for each rung, and all gradients are whole before they go on"


def check_3(answers):
    w, x = answers.Moving(0.7, dot=1.0), answers.Moving(-1.5, dot=2.0)
    y = (w * x + x).exp() * w
    e = np.exp(0.7 * -1.5 - 1.5)
    z_dot = 1.0 * -1.5 + 0.7 * 2.0 + 2.0  # of w x + x
    expect(abs(y.data - 0.7 * e) < 1e-12, f"y = e^(w x + x) w is {0.7 * e:.6f}, got {y.data:.6f}")
    y_dot = e * z_dot * 0.7 + e * 1.0
    expect(abs(y.dot - y_dot) < 1e-12, f"its tangent is {y_dot:.6f}, got {y.dot:.6f}")
    return "one pass forwards, one direction, and nothing was kept"


CHECKS = {"1": check_1, "2": check_2, "3": check_3}

if __name__ == "__main__":
    sys.exit(grade(sys.modules[__name__], CHECKS))
