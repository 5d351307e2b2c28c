"""Answers to the exercises of lesson 08."""

import sys

import numpy as np

from minigrad.exercises import checks_of, grade


def treacherous_gradients():
    """Exercise 1: a spread of 1e-4 around 1: its square is lost in the last digits of m2."""
    rng = np.random.default_rng(0)
    while True:
        g = (1 + 1e-4 * rng.standard_normal(10)).astype("float32")
        if (g * g).mean(dtype="float32") - g.mean(dtype="float32") ** 2 < 0:
            return g


def sharp_gate(snr):
    """Exercise 2: nothing up to one standard error, all from two on."""
    return np.clip(snr - 1, 0, 1)


def share_below_one(B, k, rng):
    """Exercise 3: E Σ ḡ² and E Σ σ²/B differ by the factor (B - 1)/B only.

    So ρ² gathers around B/(B - 1), just above 1, as k grows: the share falls, the slower the
    larger B is, and only for B → ∞ it goes to one half.
    """
    g = rng.standard_normal((B, 20_000, k), dtype="float32")
    signal = (g.mean(axis=0) ** 2).sum(axis=-1)
    noise = (g.var(axis=0) / B).sum(axis=-1)
    return (signal < noise).mean()


if __name__ == "__main__":
    sys.exit(grade(sys.modules[__name__], checks_of(__file__)))
