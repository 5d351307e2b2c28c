"""The numerical derivative of one function of one number, and how far it can be trusted.

A difference quotient has two errors. A step h that is too large sees the curve (truncation, like
h²); one that is too small sees the rounding of f (like eps/h). No single h suits log(x) at
x = 1e-5 and sin(x) at x = 1e6. So many steps are tried. Where the quotients of three steps in a row
agree, they are right. Their differences tell the error of the best of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np

EPS = float(np.finfo(np.float64).eps)
STEP = EPS ** (1 / 3)  # h ≈ 6e-6: truncation, h², and rounding, eps/h, are in balance
SMALL = 1e-3  # entries below SMALL · (largest entry) are measured against that instead
RATIO = 8  # from one step to the next
SURE = 3e-4  # a numerical derivative with a larger relative error cannot confirm anything
WIDEST = 1e40


class Quotient(NamedTuple):
    """The slopes of f to the left and to the right with one step, and their rounding noise.

    noise: what rounding the values of f to float64 does to the slopes
    floor: the noise if f adds numbers of size 1 inside; a smaller slope cannot be told from 0
    jump: |left - right|, added up over the results of f where the slopes are
    low, high: at a kink, a right derivative lies between them
    """

    left: float
    right: float
    noise: float
    floor: float
    jump: float
    low: float
    high: float

    @property
    def central(self) -> float:
        return (self.left + self.right) / 2

    @property
    def finite(self) -> bool:
        return bool(np.isfinite(self.left) and np.isfinite(self.right))


class Ladder(NamedTuple):
    """The steps to try. `first` is nearly always enough, then `near` ones, then far larger ones."""

    first: float
    near: list[float]
    wide: list[float]

    @classmethod
    def between(cls, small: float, large: float, smallest: float = 0.0) -> Ladder:
        """Steps for a function that may vary on any scale from `small` to `large`.

        No step is shorter than `smallest`: twice the distance to the next floating-point number.
        """
        near = list(_falling(RATIO**3 * STEP * large, STEP * small / RATIO**6, smallest))
        wide = list(_falling(WIDEST, near[0] * 2, smallest)) if near[0] < WIDEST else []
        return cls(_power_of_two(max(STEP * max(1.0, large), smallest)), near, wide)


def _falling(top: float, bottom: float, smallest: float) -> Iterator[float]:
    """Steps from `top` down to `bottom`, each an eighth of the one before."""
    h = _power_of_two(top)
    while h > max(bottom, smallest):
        yield h
        h /= RATIO
    yield max(h, smallest)


def _power_of_two(h: float) -> float:
    """The power of two nearest to h. Dividing by it, or multiplying, rounds nothing."""
    return float(2.0 ** np.round(np.log2(h)))


class Decision(NamedTuple):
    """What the numerical derivative says about one derivative written by hand.

    state: "ok"; "wrong"; "kink" (left and right slopes differ, ours lies between them);
    "undecided" (the numerical derivative is too uncertain); "infinite" (it is not finite).
    """

    state: str
    numeric: float
    error: float


class Estimate(NamedTuple):
    """A numerical derivative, its error, and the step that gave it with its noise floor."""

    numeric: float
    error: float
    floor: float
    h: float


def at_once(ours: float, quotient: Quotient, size: float, rtol: float) -> Decision | None:
    """The decision where the first step is enough: both agree, and the noise is small."""
    if not quotient.finite:
        return None
    central = quotient.central
    floor = quotient.floor
    if ours == central == 0.0 and quotient.jump == 0:
        return Decision("ok", 0.0, floor)
    if abs(ours - central) <= rtol * size + floor and floor <= max(rtol, SURE) * size:
        return Decision("ok", central, floor)
    return None


def zero_to_noise(ours: float, quotient: Quotient) -> Decision | None:
    """The decision where both are smaller than rounding noise."""
    if quotient.finite and max(abs(ours), abs(quotient.central)) <= quotient.floor:
        return Decision("ok", quotient.central, quotient.floor)
    return None


def decide(
    ours: float,
    quotient: Callable[[float], Quotient],
    ladder: Ladder,
    scale: float,
    rtol: float,
    far: bool = True,
    absorbed: Callable[[float], float] | None = None,
) -> Decision:
    """Is `ours` the derivative? All nearby steps are tried, and the best of them counts.

    scale: errors are relative to the derivative, or to `scale` where that is more
    far: whether to try far larger steps as well; they can confirm `ours`, never refute it
    absorbed(h): the noise of results so large that a change by h is lost in their rounding
    """
    tried = [(h, quotient(h)) for h in ladder.near]
    if not any(q.finite for _, q in tried):
        return Decision("infinite", np.nan, np.inf)
    best, kink = _best(tried, rtol, scale)
    if kink is not None and (best is None or best.error > SURE * max(abs(best.numeric), scale)):
        return _at_a_kink(ours, kink, rtol, scale)
    decision = _judge(ours, best, rtol, scale, refute=True)
    if decision.state == "wrong" and best is not None:
        doubted = _doubted(best, quotient)
        if absorbed is not None:
            doubted = doubted._replace(error=doubted.error + absorbed(best.h))
        decision = _judge(ours, doubted, rtol, scale, refute=True)
        if _supported(ours, best, tried):
            decision = decision._replace(state="undecided")
    if decision.state != "undecided" or not far:
        return decision
    further, _ = _best(((h, quotient(h)) for h in ladder.wide), rtol, scale)
    confirmed = _judge(ours, further, rtol, scale, refute=False)
    return confirmed if confirmed.state == "ok" else decision


def _best(
    tried: Iterable[tuple[float, Quotient]], rtol: float, scale: float
) -> tuple[Estimate | None, Quotient | None]:
    """(the estimate of least error, the finest quotient if a kink lies within all steps)."""
    best = None
    kink = None
    row: list[Quotient] = []  # of steps that follow each other, with no kink in sight
    before = None
    in_sight = 0.0  # the jump of the slopes at a kink that lies within the last step
    for h, quotient in tried:
        if not quotient.finite:
            row = []
            before = None
            continue
        size = max(abs(quotient.left), abs(quotient.right), scale)
        apart = quotient.jump > rtol * size + 4 * quotient.noise
        # Left and right slopes of a smooth function come together as h falls: by RATIO a step.
        if apart and before is not None and quotient.jump > before.jump / 2:
            row = []
            in_sight = quotient.jump
            kink = quotient if _alike(before, quotient) else None
            if kink is not None:
                best = None  # larger steps have the kink within them as well
        elif in_sight and max(quotient.jump / 2, quotient.noise / 5) > in_sight / 50:
            row = []  # the kink may still be there: the noise hides it
        else:
            row.append(quotient)
            in_sight = 0.0
            kink = None
        before = quotient
        if len(row) < 3:
            continue
        c = [q.central for q in row[-3:]]
        plain = max(abs(c[2] - c[1]), abs(c[1] - c[0]) / RATIO) + quotient.noise
        # c(h) = f' + a h² + O(h⁴): two steps take the h² away (Richardson's extrapolation)
        better = [fine + (fine - coarse) / (RATIO**2 - 1) for coarse, fine in pairwise(c)]
        extrapolated = abs(better[1] - better[0]) + 2 * quotient.noise
        for numeric, error in ((c[2], plain), (better[1], extrapolated)):
            if best is None or error < best.error:
                best = Estimate(numeric, error, quotient.floor, h)
    return best, kink


def _doubted(best: Estimate, at: Callable[[float], Quotient]) -> Estimate:
    """The same estimate, with the error that steps of other lengths show.

    Steps that are powers of two may all meet the same rounding; these do not.
    """
    others = [at(best.h * factor).central for factor in (0.6, 0.9, 1.3, 1.7)]
    spread = max((abs(c - best.numeric) for c in others if np.isfinite(c)), default=0.0)
    return best._replace(error=max(best.error, spread))


def _supported(ours: float, best: Estimate, tried: list[tuple[float, Quotient]]) -> bool:
    """Whether a finer step than the best one, with little noise, speaks for `ours`.

    sin(x) at x = 1e12 is an example: large steps agree on its mean slope.
    """
    gap = abs(ours - best.numeric)
    return any(
        abs(q.central - ours) < gap / 2
        for h, q in tried
        if h < best.h and q.finite and q.noise < gap / 5
    )


def _alike(coarse: Quotient, fine: Quotient) -> bool:
    """Whether the slopes of each side stay what they are: a kink's do, rounding noise does not."""
    left = abs(coarse.left - fine.left)
    right = abs(coarse.right - fine.right)
    return max(left, right) <= 0.1 * fine.jump


def _at_a_kink(ours: float, kink: Quotient, rtol: float, scale: float) -> Decision:
    """At a kink any slope from left to right is a right answer, and no other is."""
    tolerance = rtol * max(abs(kink.left), abs(kink.right), scale) + kink.floor
    low = kink.low - tolerance
    high = kink.high + tolerance
    return Decision("kink" if low <= ours <= high else "wrong", kink.central, kink.noise)


def _judge(ours: float, best: Estimate | None, rtol: float, scale: float, refute: bool) -> Decision:
    """What the estimate says about ours. Without `refute` it can only confirm."""
    if best is None:
        return Decision("undecided", np.nan, np.inf)
    size = max(abs(best.numeric), scale)
    gap = abs(ours - best.numeric)
    if gap <= rtol * size + 2 * best.error and best.error <= max(rtol, SURE) * size:
        return Decision("ok", best.numeric, best.error)
    if not np.isfinite(ours):
        return Decision("wrong", best.numeric, best.error)
    clear = gap > rtol * size + 5 * best.error
    resolved = abs(best.numeric) > 100 * best.error
    if refute and clear and (resolved or gap > rtol * size + 5 * best.error + best.floor):
        return Decision("wrong", best.numeric, best.error)
    return Decision("undecided", best.numeric, best.error)
