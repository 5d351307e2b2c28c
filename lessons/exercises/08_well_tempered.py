"""Exercises of lesson 08. Copy this file, fill in what says TODO(you), and run your copy:

    minigrad exercise 08        (copies this file to my_08.py)
    python my_08.py

Answers: lessons/solutions/08_well_tempered.py
"""

import sys

import numpy as np

from minigrad.exercises import expect, grade
from minigrad.rules import null_fraction
from minigrad.rules.well_tempered.moments import Moments


def treacherous_gradients():
    """Exercise 1: ten float32 numbers that differ, for which m2 - mean² in float32 is negative."""
    raise NotImplementedError("TODO(you): a large mean, a small spread; try a few")


def sharp_gate(snr):
    """Exercise 2: f(ρ) in [0, 1], an array like snr: less noise than min(1, ρ), f(3) ≥ 0.9."""
    raise NotImplementedError("TODO(you): min(1, ρ) has no threshold below which it is 0")


def share_below_one(B, k, rng):
    """Exercise 3: the share of groups of k weights with ρ < 1, by drawing noise; 20,000 groups.

    ρ² = Σ ḡ² / Σ σ²/B, sums over the group, σ² = Σ (g - ḡ)²/B.
    """
    raise NotImplementedError("TODO(you): rng.standard_normal((B, 20_000, k))")


# ---------------------------------------------------------------- what your answers must do


def check_1(answers):
    g = np.asarray(answers.treacherous_gradients())
    expect(g.shape == (10,), f"expected ten numbers, got shape {g.shape}")
    expect(g.dtype == np.float32, f"expected float32, got {g.dtype}")
    expect(np.isfinite(g).all(), "finite ones, please")
    expect(len(set(g.tolist())) > 1, "they must differ: a constant has no variance")
    m2, mean = (g * g).mean(dtype="float32"), g.mean(dtype="float32")
    naive = m2 - mean * mean
    expect(naive < 0, f"m2 - mean² is {naive:g}, not negative")
    moments = Moments()
    for value in g:
        moments.add(np.array([value]))
    true = float(moments.sum[0]) / 10
    with np.errstate(invalid="ignore"):
        snr = abs(mean) / np.sqrt(naive / 10)
    return (
        f"m2 - mean² = {naive:g}, the variance is {true:g}; the program's ρ is {snr}, and "
        f"'ρ < 1' is {bool(snr < 1)}: not a number is not small, the weight goes ungated"
    )


def check_2(answers):
    rng = np.random.default_rng(0)

    def window(signal):
        """ρ of one window of ten, and the mean of another."""
        g, another = rng.standard_normal((2, 10, 100_000)) + signal / np.sqrt(10)
        return abs(g.mean(0)) / (g.std(0) / np.sqrt(10)), another.mean(0)

    snr, another = window(0.0)
    f = np.asarray(answers.sharp_gate(snr))
    expect(f.shape == snr.shape, f"expected shape {snr.shape}, got {f.shape}")
    expect(((f >= 0) & (f <= 1)).all(), f"a gate is in [0, 1], got {f.min()} to {f.max()}")
    kept = (f**2).mean()
    linear = (np.minimum(1, snr) ** 2).mean()
    expect(kept < linear, f"it lets through {kept:.3f} of the noise, min(1, ρ) {linear:.3f}")
    at_3 = float(answers.sharp_gate(np.array([3.0]))[0])
    expect(at_3 >= 0.9, f"f(3) = {at_3:.2f}, at least 0.9 was asked for")
    snr, another = window(1.5)
    target = 1.5 / np.sqrt(10)
    error = ((answers.sharp_gate(snr) * another - target) ** 2).mean()
    error /= ((another - target) ** 2).mean()
    return (
        f"noise let through {kept:.3f} (min(1, ρ): {linear:.3f}), f(3) = {at_3:.2f}; at a true "
        f"ρ of 1.5 the squared error is {error:.2f} times that of no gate at all"
    )


def check_3(answers):
    shares = {}
    for B, k in ((10, 1), (10, 5), (10, 50), (100, 50)):
        shares[B, k] = answers.share_below_one(B, k, np.random.default_rng(0))
        expected = null_fraction(B, size=k)
        expect(
            abs(shares[B, k] - expected) < 0.015,
            f"B = {B}, k = {k}: {shares[B, k]:.3f}, calculated {expected:.3f}",
        )
    return "; ".join(f"B = {B}, k = {k}: {share:.3f}" for (B, k), share in shares.items())


CHECKS = {"1": check_1, "2": check_2, "3": check_3}

if __name__ == "__main__":
    sys.exit(grade(sys.modules[__name__], CHECKS))
