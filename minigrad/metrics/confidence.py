"""Means of few seeds: Student's t, paired comparisons, and Holm's correction for many of them.

With n seeds the mean of n differences d has the standard error s/√n, s² = Σ (d - mean)²/(n - 1).
t = mean √n / s follows Student's t distribution with ν = n - 1 if there is no difference. For 3
seeds its 95 % interval is ± 4.3 standard errors, and not ± 2.
Source: Student 1908; Holm 1979, "A simple sequentially rejective multiple test procedure";
Abramowitz, Stegun 1964, 26.7.3 and 26.7.4, for A(t|ν).
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

Interval = dict[str, Any]


def within(t: Any, nu: int) -> Any:
    """A(t|ν) = P(|T| <= t) of Student's t with ν = 1, 2, ... degrees of freedom, for t >= 0.

    With θ = arctan(t/√ν), c = cos θ and s = sin θ:
        ν even:  A = s (1 + 1/2 c² + (1·3)/(2·4) c⁴ + ... up to c^(ν-2))
        ν odd:   A = 2/π (θ + s (c + 2/3 c³ + (2·4)/(3·5) c⁵ + ... up to c^(ν-2)))
    """
    t = np.asarray(t, float)
    theta = np.arctan(t / math.sqrt(nu))
    c = np.cos(theta)
    even = nu % 2 == 0
    term = np.ones_like(c) if even else c
    series = np.zeros_like(c)
    for power in range(0 if even else 1, nu - 1, 2):
        series = series + term
        term = term * c**2 * (power + 1) / (power + 2)
    if even:
        return np.sin(theta) * series
    return 2 / math.pi * (theta + np.sin(theta) * series)


def p_value(t: Any, nu: int) -> Any:
    """P(|T| > |t|): how often equal rules differ as much as this, or more."""
    return np.clip(1 - within(np.abs(t), nu), 0, 1)


@lru_cache(maxsize=100)
def quantile(confidence: float, nu: int) -> float:
    """t with P(|T| <= t) = confidence, by halving an interval of θ = arctan(t/√ν)."""
    low, high = 0.0, math.pi / 2
    for _ in range(80):
        middle = (low + high) / 2
        if within(math.sqrt(nu) * math.tan(middle), nu) < confidence:
            low = middle
        else:
            high = middle
    return math.sqrt(nu) * math.tan((low + high) / 2)


def interval(values: Any, confidence: float = 0.95) -> Interval:
    """The mean of these values, and the interval that has the true mean with this confidence.

    mean ± t(confidence, n - 1) sd/√n. One value has no interval: None.
    """
    values = np.asarray(values, float)
    n = len(values)
    mean = float(values.mean())
    if n < 2:
        return {"mean": mean, "low": None, "high": None, "half": None, "sd": None, "n": n}
    sd = float(values.std(ddof=1))
    half = quantile(confidence, n - 1) * sd / math.sqrt(n)
    return {
        "mean": mean,
        "low": mean - half,
        "high": mean + half,
        "half": half,
        "sd": sd,
        "n": n,
    }


def paired(differences: Any, step: float = 0.0) -> tuple[Any, Any, Any]:
    """(mean, standard error, p) of differences (..., n): is their true mean zero?

    step  the values are counts of this step: an accuracy on N examples has the step 1/N. Rounding
          gives a difference of two values the variance step²/6, which is added to s². Without it
          three equal differences of one example would count as certain.
    p is 1 where all differences are 0.
    """
    differences = np.asarray(differences, float)
    n = differences.shape[-1]
    mean = differences.mean(axis=-1)
    error = np.sqrt((differences.var(axis=-1, ddof=1) + step**2 / 6) / n)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where(mean == 0, 0.0, np.abs(mean) / error)
    return mean, error, p_value(t, n - 1)


def holm(p: Any) -> Any:
    """p-values (..., m) of m comparisons, corrected: a false one among them is as rare as stated.

    In rising order p(1) <= p(2) <= ...: p'(k) = max over j <= k of min(1, (m - j + 1) p(j)).
    """
    p = np.asarray(p, float)
    m = p.shape[-1]
    order = np.argsort(p, axis=-1, kind="stable")
    raised = np.take_along_axis(p, order, axis=-1) * np.arange(m, 0, -1)
    raised = np.minimum(1, np.maximum.accumulate(raised, axis=-1))
    corrected = np.empty_like(p)
    np.put_along_axis(corrected, order, raised, axis=-1)
    return corrected


class Estimate(NamedTuple):
    """A mean of few values, and how far it may be from the true one: mean ± half.

    half  t(confidence, n - 1) sd/√n of Student's t, in the unit of the values; ∞ for one value
    """

    mean: float
    half: float
    n: int
    confidence: float = 0.95

    def __str__(self) -> str:
        """+0.0123 ± 0.0045 (95 %, n = 4)"""
        if self.n < 2:
            return f"{self.mean:+.3g} (n = 1)"
        return f"{self.mean:+.3g} ± {self.half:.2g} ({100 * self.confidence:g} %, n = {self.n})"

    @property
    def low(self) -> float:
        return self.mean - self.half

    @property
    def high(self) -> float:
        return self.mean + self.half

    def says(
        self, above: str, below: str, unsure: str = "too short to tell", than: float = 0.0
    ) -> str:
        """The sentence that the data allow: the true mean is above `than`, below it, or neither."""
        if self.low > than:
            return above
        return below if self.high < than else unsure


def estimate(values: Any, confidence: float = 0.95, step: float = 0.0) -> Estimate:
    """The mean of these values with its interval, as `interval` has it.

    For two ways that ran with the same seeds give the differences: estimate(a - b) is the paired
    comparison, and `says` its result.
    step  as in `paired`: differences of accuracies on N examples have the step 1/N
    """
    found = interval(values, confidence)
    half = math.inf if found["half"] is None else found["half"]
    if step and found["half"] is not None:
        t = quantile(confidence, found["n"] - 1)
        half = t * math.sqrt((found["sd"] ** 2 + step**2 / 6) / found["n"])
    return Estimate(found["mean"], half, found["n"], confidence)
