"""A running mean and variance of arrays: over a window, or with a memory that fades."""

from __future__ import annotations

from minigrad.backend import Array, array_module


class Moments:
    r"""Weighted mean and variance of g_1, g_2, ... after each of them, without keeping any.

    The first weighs w_1 β^(t-1), the last w_t, with β = `decay` (1: nothing fades). With
    W = Σ weights, Q = Σ weights², and W' what was there before g:

        W ← β W + w,   Q ← β² Q + w²                       W' = β W
        δ = g - mean,  mean ← mean + (w/W) δ,  S ← β S + (w W'/W) δ²

    variance = S/W (biased, as in the seed), count = W²/Q: the number of equal weights that would
    say as much (t for equal ones, towards (1 + β)/(1 - β) for fading ones). S is a sum of squares:
    never negative, and no difference of large numbers, as m2 - mean² is.
    Source: Welford 1962; West 1979 for weights; Kish 1965 for the effective number.
    """

    def __init__(self, decay: float = 1.0):
        self.decay = decay
        self.reset()

    def reset(self) -> None:
        self.weight, self.squares = 0.0, 0.0
        self.mean: Array | None = None
        self.sum: Array | None = None  # S
        self._scratch: tuple[Array, Array] | None = None

    def add(self, g: Array, weight: float = 1.0) -> None:
        """Take g in. It is not kept; sums are in float64, where no square of a float32 is lost."""
        xp = array_module(g)
        if self.mean is None:
            self.mean = g.astype("float64")
            self.sum = xp.zeros_like(self.mean)
            self.weight, self.squares = weight, weight**2
            return
        if g.shape != self.mean.shape:
            raise ValueError(f"expected g of shape {self.mean.shape}, got {g.shape}")
        before = self.decay * self.weight
        self.weight = before + weight
        self.squares = self.decay**2 * self.squares + weight**2
        if self._scratch is None:  # kept: memory that is new each time costs more than the sums
            self._scratch = xp.empty_like(self.mean), xp.empty_like(self.mean)
        delta, step = self._scratch
        xp.subtract(g, self.mean, out=delta)
        xp.multiply(delta, weight / self.weight, out=step)
        self.mean += step
        step *= delta
        step *= before  # now (w W'/W) δ²
        if self.decay != 1:
            self.sum *= self.decay
        self.sum += step

    @property
    def count(self) -> float:
        """How many equally weighted arrays would say as much; 0 before the first."""
        return self.weight**2 / self.squares if self.squares else 0.0

    def error2(self, unbiased: bool = False) -> Array:
        """The squared standard error of the mean, elementwise: variance / count.

        unbiased: with the variance Σ(g - mean)²/(count - 1), not Σ(g - mean)²/count.
        """
        return self.sum / (self.weight * (self.count - 1 if unbiased else self.count))
