"""Difference quotients of a function: in one entry of an array, and along a direction."""

from __future__ import annotations

import numpy as np

from minigrad import backend
from minigrad.backend import Array
from minigrad.gradcheck.function import Function
from minigrad.gradcheck.numerical import EPS, Ladder, Quotient

NOT_FINITE = Quotient(*[np.nan] * 7)
PROBES = (1e5, 1e15, 1e30)  # steps so large that whatever depends on an entry changes


class EntryDifference:
    """Quotients of <dy, f> with respect to one entry of one array at a time."""

    def __init__(self, f: Function, x: Array, y: np.ndarray, dy: np.ndarray, array: Array):
        self.f = f
        self.x = x
        self.y = y
        self.dy = dy
        self.array = array
        self.flat = array.reshape(-1)  # a view: the checker's arrays are contiguous copies
        self.terms = np.abs(dy * y)
        self.reached: dict[int, np.ndarray] = {}  # by entry, which entries of y it has changed

    def ladder(self, place: int) -> Ladder:
        """Steps for this entry: f may vary on the scale of the entry, or on that of 1."""
        size = abs(float(self.flat[place]))
        return Ladder.between(min(1.0, size or 1.0), max(1.0, size), 2 * float(np.spacing(size)))

    def quotient(self, h: float, place: int) -> Quotient:
        """The slopes to the left and right of one entry that moves by h."""
        with np.errstate(all="ignore"):
            sides = [self._side(sign * h, place) for sign in (-1, 1)]
            if sides[0] is None or sides[1] is None:
                return NOT_FINITE
            terms = [self.dy * slope for slope in sides]
            left, right = (float(side.sum()) for side in terms)
            # an entry of y that this one never changes, even with larger steps, adds no noise
            touched = (sides[0] != 0) | (sides[1] != 0)
            grown = max(float(np.abs(side).sum()) for side in terms) * h
            self.reached[place] = touched | self.reached.get(place, False)
            moved = float(self.terms[self.reached[place]].sum()) + grown
            jump = float(np.abs(terms[0] - terms[1]).sum())
            noise = 10 * EPS * moved / h
            floor = 10 * EPS * max(1.0, moved) / h
            if self.f.is_composite:  # kinks within may add up to anything
                return Quotient(left, right, noise, floor, jump, -np.inf, np.inf)
            # each entry of y may have a kink: any slope between left and right is right there
            low, high = (float(f(*terms).sum()) for f in (np.minimum, np.maximum))
            return Quotient(left, right, noise, floor, jump, low, high)

    def _side(self, h: float, place: int) -> np.ndarray | None:
        """(f with this entry moved by h - f) / h; None where f has no value there."""
        old = float(self.flat[place])
        self.flat[place] = old + h
        moved_by = float(self.flat[place]) - old  # exactly, after rounding
        value = self.f.moved_value(self.x) if moved_by and np.isfinite(moved_by) else None
        self.flat[place] = old
        if value is None or value.shape != self.y.shape:
            return None
        return (value - self.y) / moved_by

    def absorbed(self, h: float, place: int) -> float:
        """The noise of entries of f that depend on this one, but do not change with a step h."""
        with np.errstate(all="ignore"):
            touched = np.zeros(self.y.shape, bool)
            for sign in (-1, 1):
                side = self._side(sign * h, place)
                touched |= (side != 0) if side is not None else False
            reached = np.zeros(self.y.shape, bool)
            for probe in PROBES:
                for sign in (-1, 1):
                    side = self._side(sign * probe, place)
                    reached |= True if side is None else side != 0
            return float(10 * EPS * self.terms[reached & ~touched].sum() / h)


class DirectionDifference:
    """Quotients of f along tangents of several arrays at once, for each entry of f.

    With `dy`: of the one number <dy, f>.
    """

    def __init__(
        self,
        f: Function,
        x: Array,
        y: np.ndarray,
        moves: list[tuple[Array, np.ndarray]],
        dy: np.ndarray | None = None,
    ):
        self.f = f
        self.x = x
        self.y = y
        self.moves = moves
        self.dy = dy
        self.known: dict[float, list[np.ndarray]] = {}
        self.steepest = np.zeros(y.size)  # of each entry of f, the largest slope seen

    def ladder(self) -> Ladder:
        """Steps along the direction: the smallest entry may matter as well as the largest."""
        smallest = 1.0
        for array, tangent in self.moves:
            here = np.abs(backend.to_host(array))
            along = np.abs(tangent)
            used = (here > 0) & (along > 0)
            with np.errstate(all="ignore"):
                smallest = min(smallest, float((here[used] / along[used]).min(initial=1.0)))
                smallest = min(smallest, 1 / float(along.max(initial=1.0)))
        return Ladder.between(smallest or 5e-324, 1.0, 5e-324)

    def quotient(self, h: float, place: int) -> Quotient:
        """The slopes to the left and right of one entry of f (of <dy, f>: place 0)."""
        if h not in self.known:
            self.known[h] = self._quotients(h)
        left, right, noise, floor, jump = (float(each[place]) for each in self.known[h])
        if self.dy is not None or self.f.is_composite:  # many kinks may add up to anything
            return Quotient(left, right, noise, floor, jump, -np.inf, np.inf)
        return Quotient(left, right, noise, floor, jump, min(left, right), max(left, right))

    def _quotients(self, h: float) -> list[np.ndarray]:
        """Left and right slopes, noise, floor and jump, of all entries of f (or of <dy, f>)."""
        with np.errstate(all="ignore"):
            (left, off), (right, off_too) = (self._slope(sign * h) for sign in (-1, 1))
            slopes = [left.reshape(-1), right.reshape(-1)]
            steep = np.nan_to_num(np.maximum(*np.abs(slopes)), posinf=0.0)
            self.steepest = np.maximum(self.steepest, steep)
            sizes = np.abs(self.y).reshape(-1) + h * steep
            bent = self.steepest * max(off, off_too)
            jump = np.abs(slopes[0] - slopes[1])
            if self.dy is not None:
                dy = self.dy.reshape(-1)
                slopes = [np.array([(dy * slope).sum()]) for slope in slopes]
                sizes = np.array([np.abs(dy * sizes).sum()])
                bent = np.array([(np.abs(dy) * bent).sum()])
                jump = np.array([(np.abs(dy) * jump).sum()])
            noise = 10 * EPS * sizes / h + bent
            floor = 10 * EPS * max(1.0, float(sizes.max(initial=0.0))) / h + bent
        return [*slopes, noise, floor, jump]

    def _slope(self, h: float) -> tuple[np.ndarray, float]:
        """(the change of f over h, how far rounding bent the direction, relative to it)."""
        before = [array.copy() for array, _ in self.moves]
        off = 0.0
        for (array, tangent), old in zip(self.moves, before, strict=True):
            array += backend.to_device(h * tangent, like=array)
            moved = backend.to_host(array - old)
            along = np.abs(h * tangent)
            wanted = np.where(along > 0, along, 1.0)
            off = max(off, float((np.abs(moved - h * tangent) / wanted).max(initial=0.0)))
        value = self.f.moved_value(self.x)
        for (array, _), old in zip(self.moves, before, strict=True):
            array[...] = old
        if value is None or value.shape != self.y.shape:
            return np.full(self.y.shape, np.nan), 0.0
        return (value - self.y) / h, off
