"""How an estimate of a gradient differs from the gradient, in numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from minigrad.backend import Array, array_module
from minigrad.rules.well_tempered import Moments

SMALL = 1e-3  # signs are compared where |g| is more than this part of its largest number
SHOWN = (
    "cosine",
    "angle",
    "norm_ratio",
    "sign_agreement",
    "bias2",
    "variance",
    "error",
    "snr",
    "efficiency",
)


@dataclass(frozen=True)
class Measures:
    r"""How good estimates ĝ_1 ... ĝ_R of a gradient g are. ḡ is the mean of ĝ_r.

    cosine          <ĝ, g>/(|ĝ| |g|), the mean over the estimates that are not 0
    angle           the mean of arccos of each one's cosine, in degrees: 90 is of no use
    norm_ratio      |ĝ|/|g|, the mean
    sign_agreement  the share of numbers with the sign of g, where |g| > 0.001 of its largest
                    number in the layer; the mean
    bias2           |ḡ - g|²/|g|² - variance/R. It is 0 on average for an estimate without bias,
                    so it may be a little below 0
    variance        1/(R - 1) Σ_r |ĝ_r - ḡ|²/|g|²
    error           1/R Σ_r |ĝ_r - g|²/|g|²; bias² and variance together
    snr             (|ḡ|² - noise/R)/noise, not below 0, noise = 1/(R - 1) Σ_r |ĝ_r - ḡ|²; ∞ for
                    an estimate that is always the same
    efficiency      <ĝ, g>/|g|², the mean: what a short step gains, in steps of the gradient
    each            {"cosine": (R,), ...} of each estimate: cosine, angle, norm_ratio,
                    sign_agreement, error, efficiency

    NaN: all but snr where g is 0; cosine and angle where all ĝ are 0; bias2, variance and snr of
    a single estimate; snr where all ĝ are 0.
    """

    cosine: float
    angle: float
    norm_ratio: float
    sign_agreement: float
    bias2: float
    variance: float
    error: float
    snr: float
    efficiency: float
    each: Mapping[str, np.ndarray] = field(repr=False, compare=False)

    def as_dict(self) -> dict[str, float | None]:
        """The numbers by name, for JSON, without `each`. None for what is NaN or infinite."""
        found = {name: getattr(self, name) for name in SHOWN}
        return {name: v if math.isfinite(v) else None for name, v in found.items()}


class Sums:
    """Sums over the numbers of some parameters, from which the measures follow.

    size      |g|²
    counted   how many signs are compared
    rows      for each estimate <ĝ, g>, |ĝ|², |ĝ - g|², and how many signs agree: (R, 4)
    apart     |ḡ - g|²
    length    |ḡ|²
    noise     1/(R - 1) Σ_r |ĝ_r - ḡ|²
    """

    def __init__(
        self,
        size: float,
        counted: float,
        rows: np.ndarray,
        apart: float,
        length: float,
        noise: float,
    ):
        self.size = size
        self.counted = counted
        self.rows = rows
        self.apart = apart
        self.length = length
        self.noise = noise

    def __add__(self, other: Sums) -> Sums:
        """The sums of both sets of parameters together."""
        pairs = {name: (vars(self)[name], vars(other)[name]) for name in vars(self)}
        return Sums(**{name: a + b for name, (a, b) in pairs.items()})

    def measures(self) -> Measures:
        R = len(self.rows)
        along, squares, error, agree = self.rows.T
        with np.errstate(divide="ignore", invalid="ignore"):
            size = np.float64(self.size if self.size != 0 else math.nan)
            # of ĝ = g exactly 1: √(s s) is s
            cosine = np.where(squares == 0, math.nan, along / np.sqrt(size * squares))
            cosine = cosine.clip(-1, 1)
            each = {
                "cosine": cosine,
                "angle": np.degrees(np.arccos(cosine)),
                "norm_ratio": np.sqrt(squares / size),
                "sign_agreement": agree / np.float64(self.counted or math.nan),
                "error": error / size,
                "efficiency": along / size,
            }
            there = squares != 0  # NaN is there: a network that has diverged
            means = {
                name: float(values[there].mean() if there.any() else math.nan)
                if name in ("cosine", "angle")
                else float(values.mean())
                for name, values in each.items()
            }
            noise = np.float64(self.noise if R > 1 else math.nan)
            variance = float(noise / size)
            return Measures(
                **means,
                bias2=float(self.apart / size) - variance / R,
                variance=variance,
                snr=float(np.maximum(self.length - noise / R, 0) / noise),
                each=each,
            )


class Comparison:
    """Estimates of the gradient of one layer, added up one after another. None is kept."""

    def __init__(self, true: Mapping[str, Array]):
        """true: {name: g}, g in float64."""
        self.true = dict(true)
        self.moments = {name: Moments() for name in true}
        self.rows: list[list[float]] = []
        largest = max(float(abs(g).max()) if g.size else 0.0 for g in true.values())
        self.counted = {name: abs(g) > SMALL * largest for name, g in true.items()}

    def add(self, estimate: Mapping[str, Array]) -> None:
        """One more estimate. A parameter that it leaves out counts as 0."""
        row = np.zeros(4)
        for name, g in self.true.items():
            xp = array_module(g)
            found = estimate.get(name)
            g_hat = xp.zeros_like(g) if found is None else found.astype("float64")
            self.moments[name].add(g_hat)
            agree = (xp.sign(g_hat) == xp.sign(g)) & self.counted[name]
            row += [_product(g_hat, g), _product(g_hat, g_hat), 0.0, float(agree.sum())]
            difference = g_hat - g
            row[2] += _product(difference, difference)
        self.rows.append(row.tolist())

    def sums(self) -> Sums:
        R = len(self.rows)
        means = {name: m.mean for name, m in self.moments.items()}
        apart = {name: means[name] - g for name, g in self.true.items()}
        return Sums(
            sum(_product(g, g) for g in self.true.values()),
            sum(float(mask.sum()) for mask in self.counted.values()),
            np.array(self.rows),
            sum(_product(d, d) for d in apart.values()),
            sum(_product(mean, mean) for mean in means.values()),
            sum(float(m.sum.sum()) for m in self.moments.values()) / max(1, R - 1),
        )


def _product(a: Array, b: Array) -> float:
    """Σ a b."""
    return float((a * b).sum())
