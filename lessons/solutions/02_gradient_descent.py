"""Answers to the exercises of lesson 02."""

from math import exp, sqrt

import numpy as np

import minigrad as mg


def best_step_size():
    """Exercise 1: 1/f'' = 1/6: the parabola's bottom in one step, from anywhere."""
    return 1 / 6


def stopping_rate():
    """Exercise 2: c = 0.4. ln x falls by about 2 α_k a step, and Σ 0.2 e^(-ck) = 0.2/(1 - e^(-c)).

    That sum is finite: a path of finite length cannot go everywhere. Below 0.5 it would need
    ln 2 = 0.69; c = 0.4 allows about 0.61. A schedule must fall slowly enough (Σ α_k = ∞).
    """
    return 0.4


def first_adam_step(gradient):
    """Exercise 3: m̂ = g and √v̂ = |g|: g/(|g| + ε), of length 1 for every g, large or small."""
    beta1, beta2, eps = 0.9, 0.999, 1e-8
    m_hat = (1 - beta1) * gradient / (1 - beta1)
    v_hat = (1 - beta2) * gradient**2 / (1 - beta2)
    return m_hat / (sqrt(v_hat) + eps)


def main():
    x = 5.0 - best_step_size() * (6 * 5.0 + 2)
    assert abs(x + 1 / 3) < 1e-12
    x, c = 1.0, stopping_rate()
    for k in range(1000):
        x -= 0.1 * exp(-c * k) * 2 * x
    print(f"c = {c}: x ends at {x:.3f}")
    assert x > 0.5
    for gradient in (0.001, 1.0, 25.0):
        layer = mg.Layer()
        layer.params["x"] = np.array([3.0])
        layer.grads["x"] = np.array([gradient])
        mg.Adam(layer, lr=1.0).step()
        step = 3.0 - float(layer.params["x"][0])
        print(f"gradient {gradient}: Adam's first step is {step:.6f}")
        assert abs(step - first_adam_step(gradient)) < 1e-12
    print("02_gradient_descent: all exercises solved")


if __name__ == "__main__":
    main()
