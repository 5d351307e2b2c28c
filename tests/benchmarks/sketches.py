"""The same step in bare NumPy lines, with no layers and no checks: about the least it can take."""

from __future__ import annotations

import numpy as np


def steps(work, model):
    """{"sketch": step} for the networks that are written out here, else {}."""
    if not work.sketch:
        return {}
    x, y = work.data()
    params = [array.copy() for array in model.params.values()]
    if work.sketch == "toy":
        return {"sketch": _toy(params, x, y, work.lr)}
    return {"sketch": _perceptron(params, x, y, work.lr, work.sketch)}


def _toy(params, x, y, lr):
    W_i, W_o = params

    def step():
        h = 1 / (1 + np.exp(-(x @ W_i)))
        p = 1 / (1 + np.exp(-(h @ W_o)))
        value = -float((y * np.log(p) + (1 - y) * np.log(1 - p)).sum())
        delta_o = p - y
        delta_h = (delta_o @ W_o.T) * (h * (1 - h))
        W_o[...] -= lr * (h.T @ delta_o)
        W_i[...] -= lr * (x.T @ delta_h)
        return value

    return step


def _perceptron(params, x, y, lr, activation):
    W, b, V, c = params
    rows = np.arange(len(x))

    def step():
        h = x @ W
        h += b
        h = np.maximum(h, 0) if activation == "relu" else 1 / (1 + np.exp(-h))
        z = h @ V
        z += c
        p = np.exp(z - np.ascontiguousarray(z.T).max(axis=0)[:, None])
        p /= p.sum(axis=1, keepdims=True)
        value = -float(np.log(p[rows, y]).mean())
        p[rows, y] -= 1
        p /= len(x)
        dh = p @ V.T
        dh *= (h > 0) if activation == "relu" else h * (1 - h)
        for param, grad in ((V, h.T @ p), (c, p.sum(0)), (W, x.T @ dh), (b, dh.sum(0))):
            param -= lr * grad
        return value

    return step
