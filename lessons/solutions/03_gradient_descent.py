"""Answers to the exercises of lesson 03."""

import sys
from math import sqrt

from minigrad.exercises import checks_of, grade


def best_learning_rate():
    """Exercise 1: 1/f'' = 1/6: the bottom of a parabola in one step, from anywhere."""
    return 1 / 6


def stopping_rate():
    """Exercise 2: c = 0.4, for instance. ln x falls by about 2η a step: by 0.2 e^(-ck).

    All steps together reach Σ 0.2 e^(-ck) = 0.2 / (1 - e^(-c)), which is finite for every c > 0: a
    path of finite length cannot go everywhere. To get below 0.5 it would have to reach ln 2 = 0.69;
    with c = 0.4 it is about 0.61. A schedule must fall slowly enough: Σ η = ∞.
    """
    return 0.4


def first_adam_step(gradient):
    """Exercise 3: corrected, m = g and √v = |g|. So the step is g/(|g| + ε), of length 1."""
    beta1, beta2, eps = 0.9, 0.999, 1e-8
    m_hat = (1 - beta1) * gradient / (1 - beta1)
    v_hat = (1 - beta2) * gradient**2 / (1 - beta2)
    return m_hat / (sqrt(v_hat) + eps)


if __name__ == "__main__":
    sys.exit(grade(sys.modules[__name__], checks_of(__file__)))
