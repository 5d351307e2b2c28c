"""Optimisers' formulas on the host: what `_update` computes, in place and without new arrays.

NumPy reads and writes an array once for each operation. So a step goes through the memory many
times. A piece of a parameter that fits the cache is loaded once, and all operations are done on it.

The order of the operations is that of `_update`, and each is rounded, so the results are the same,
bit for bit. The arrays are flat and of one dtype. A formula is called with

    flags, numbers      from the optimiser's `_numbers`; the numbers as arrays of shape ()
    a, b                two arrays for intermediate results
    p, g                the parameter, which is changed, and its gradient, which is not
    the state's arrays  in the order of `columns`, None where there is none
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minigrad.backend import Array
from minigrad.kernels.memory import level, scratch

PIECE = 2**16  # numbers. 2**15 and less were slower: each operation has its own cost, too

Numbers = Sequence[Array]


def _decayed(g: Array, decay: Array, p: Array, out: Array) -> Array:
    """dθ + λ θ, written into `out`."""
    np.multiply(p, decay, out=out)
    return np.add(g, out, out=out)


def _average(mean: Array, keep: Array, new: Array, x: Array, a: Array) -> None:
    """mean ← keep · mean + new · x. x may be the array a."""
    np.multiply(mean, keep, out=mean)
    np.multiply(x, new, out=a)
    np.add(mean, a, out=mean)


def sgd(
    flags: int, numbers: Numbers, a: Array, b: Array, p: Array, g: Array, v: Any, steps: Any
) -> None:
    """flags: 1 momentum, 2 Nesterov, 4 the velocity is a sum of steps."""
    lr, decay, momentum = numbers
    if decay:
        # dθ + λ θ
        g = _decayed(g, decay, p, a)
    if flags & 4:
        # v ← μ v - lr dθ,  θ ← θ + v, or θ + (μ v - lr dθ)
        np.multiply(steps, momentum, out=steps)
        np.multiply(g, lr, out=a)
        np.subtract(steps, a, out=steps)
        if flags & 2:
            np.multiply(steps, momentum, out=b)
            steps = np.subtract(b, a, out=b)
        np.add(p, steps, out=p)
        return
    if flags & 1:
        # v ← μ v + dθ,  θ ← θ - lr v, or θ - lr (dθ + μ v)
        np.multiply(v, momentum, out=v)
        np.add(v, g, out=v)
        if flags & 2:
            np.multiply(v, momentum, out=b)
            g = np.add(g, b, out=b)
        else:
            g = v
    np.multiply(g, np.negative(lr), out=b)
    np.add(p, b, out=p)


def adam(
    flags: int, numbers: Numbers, a: Array, b: Array, p: Array, g: Array, m: Array, v: Array
) -> None:
    """flags: 1 ε inside the root, 2 decay of the gradient, 4 decay of the parameter."""
    beta1, new1, beta2, new2, eps, rate, decay, shrink = numbers
    if flags & 2:
        # dθ + λ θ
        g = _decayed(g, decay, p, b)
    if flags & 4:
        np.multiply(p, shrink, out=p)
    # m ← β1 m + (1 - β1) dθ
    _average(m, beta1, new1, g, a)
    # v ← β2 v + (1 - β2) dθ²
    _average(v, beta2, new2, np.multiply(g, g, out=a), a)
    # θ ← θ - m / (√v + ε k) · lr k/(1 - β1^t)
    if flags & 1:
        np.add(v, eps, out=a)
        np.sqrt(a, out=a)
    else:
        np.sqrt(v, out=a)
        np.add(a, eps, out=a)
    np.divide(m, a, out=a)
    np.multiply(a, rate, out=a)
    np.subtract(p, a, out=p)


def rmsprop(
    flags: int,
    numbers: Numbers,
    a: Array,
    b: Array,
    p: Array,
    g: Array,
    v: Array,
    m: Any,
    velocity: Any,
) -> None:
    """flags: 1 centered, 2 momentum."""
    lr, alpha, new, eps, decay, momentum = numbers
    if decay:
        # dθ + λ θ
        g = _decayed(g, decay, p, b)
    # v ← α v + (1 - α) dθ²
    _average(v, alpha, new, np.multiply(g, g, out=a), a)
    if flags & 1:
        # m ← α m + (1 - α) dθ,  √(v - m²)
        _average(m, alpha, new, g, a)
        np.multiply(m, m, out=a)
        np.subtract(v, a, out=a)
        np.maximum(a, level(0, a), out=a)
        np.sqrt(a, out=a)
    else:
        np.sqrt(v, out=a)
    # θ ← θ - lr dθ / (√v + ε), or with momentum θ ← θ - lr b
    np.add(a, eps, out=a)
    step = np.divide(g, a, out=a)
    if flags & 2:
        np.multiply(velocity, momentum, out=velocity)
        step = np.add(velocity, step, out=velocity)
    np.multiply(step, lr, out=a)
    np.subtract(p, a, out=p)


def adagrad(flags: int, numbers: Numbers, a: Array, b: Array, p: Array, g: Array, s: Array) -> None:
    """It has no flags."""
    lr, eps, decay = numbers
    if decay:
        # dθ + λ θ
        g = _decayed(g, decay, p, b)
    # s ← s + dθ²,  θ ← θ - lr_t dθ / (√s + ε)
    np.multiply(g, g, out=a)
    np.add(s, a, out=s)
    np.sqrt(s, out=a)
    np.add(a, eps, out=a)
    np.divide(g, a, out=a)
    np.multiply(a, lr, out=a)
    np.subtract(p, a, out=p)


FORMULAS: dict[str, Callable[..., None]] = {
    "sgd": sgd,
    "adam": adam,
    "rmsprop": rmsprop,
    "adagrad": adagrad,
}


def move(
    formula: str, flags: int, numbers: Numbers, p: Array, g: Array, columns: Sequence[Any]
) -> None:
    """A step of the parameter p, with the gradient g and the state's arrays. All are flat."""
    step = FORMULAS[formula]
    size = p.size
    a, b = scratch("step", (2, min(size, PIECE)), p)
    if size <= PIECE:
        step(flags, numbers, a, b, p, g, *columns)
        return
    for start in range(0, size, PIECE):
        part = slice(start, start + PIECE)
        n = min(PIECE, size - start)
        own = [None if column is None else column[part] for column in columns]
        step(flags, numbers, a[:n], b[:n], p[part], g[part], *own)
