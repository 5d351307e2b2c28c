"""A running mean and variance of arrays: over a window, or with weights that fade."""

from __future__ import annotations

from minigrad.backend import Array, array_module


class Moments:
    r"""Weighted mean and variance of arrays g_1 ... g_t. The arrays are not kept.

    The first has the weight w_1 β^(t-1), the last w_t. β is `decay`; with 1 nothing fades.
    W = Σ weights, Q = Σ weights². W' is the part of W that comes from before g:

        W ← β W + w,   Q ← β² Q + w²                       W' = β W
        δ = g - mean,  mean ← mean + (w/W) δ,  S ← β S + (w W'/W) δ²

    variance = S/W (biased, as in the original code). count = W²/Q is the effective number of
    arrays: t for equal weights, and towards (1 + β)/(1 - β) for fading ones. S is a sum of squares,
    so it is never negative. mean(g²) - mean² could be: it is a difference of large numbers.
    Source: Welford 1962; West 1979 for weights; Kish 1965 for the effective number.
    """

    mean: Array  # there is none before the first `add`
    sum: Array  # S

    def __init__(self, decay: float = 1.0):
        self.decay = decay
        self.reset()

    def reset(self) -> None:
        """Forget all arrays."""
        self.weight = 0.0
        self.squares = 0.0
        self._scratch: tuple[Array, Array] | None = None

    def add(self, g: Array, weight: float = 1.0) -> None:
        """Add g to the sums. g is not kept. In float64 the square of a float32 is exact."""
        xp = array_module(g)
        if self.weight == 0:
            self.mean = g.astype("float64")
            self.sum = xp.zeros_like(self.mean)
            self.weight = weight
            self.squares = weight**2
            return
        if g.shape != self.mean.shape:
            raise ValueError(f"expected g of shape {self.mean.shape}, got {g.shape}")
        before = self.decay * self.weight
        self.weight = before + weight
        self.squares = self.decay**2 * self.squares + weight**2
        if self._scratch is None:  # new memory in each step would take longer than the sums
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
        """The effective number of arrays; 0 before the first."""
        return self.weight**2 / self.squares if self.squares else 0.0

    def error2(self, unbiased: bool = False) -> Array:
        """The squared standard error of the mean, elementwise: variance / count.

        unbiased: with the variance Σ(g - mean)²/(count - 1), not Σ(g - mean)²/count.
        """
        return self.sum / (self.weight * (self.count - 1 if unbiased else self.count))
