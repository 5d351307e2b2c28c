"""Difference quotients of a function: in one entry of an array, and along a direction."""

from __future__ import annotations

import numpy as np

from minigrad import backend
from minigrad.backend import Array
from minigrad.gradcheck.function import Function
from minigrad.gradcheck.numerical import EPS, Ladder, Quotient

NOT_FINITE = Quotient(np.nan, np.nan, np.nan, np.nan)


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

    def ladder(self, place: int) -> Ladder:
        size = abs(float(self.flat[place]))
        return Ladder.between(min(1.0, size or 1.0), max(1.0, size), 2 * float(np.spacing(size)))

    def quotient(self, h: float, place: int) -> Quotient:
        """The slopes to the left and right of one entry that moves by h."""
        old = float(self.flat[place])
        slopes = []
        touched = np.zeros(self.y.shape, bool)
        grown = 0.0
        for sign in (-1, 1):
            self.flat[place] = old + sign * h
            moved_by = float(self.flat[place]) - old  # exactly, after rounding
            value = self.f.moved_value(self.x) if moved_by else None
            if value is None or value.shape != self.y.shape:
                self.flat[place] = old
                return NOT_FINITE
            with np.errstate(all="ignore"):
                change = value - self.y
                touched |= change != 0
                # the quotient first: a product with a change of 1e-320 would be rounded
                slopes.append(float((self.dy * (change / moved_by)).sum()))
                grown = max(grown, float(np.abs(self.dy * change).sum()))
        self.flat[place] = old
        with np.errstate(all="ignore"):
            # rows that the entry does not touch add no noise
            moved = float(self.terms[touched].sum()) + grown
            return Quotient(*slopes, 10 * EPS * moved / h, 10 * EPS * max(1.0, moved) / h)


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
        smallest = 1.0
        for array, tangent in self.moves:
            here, along = np.abs(backend.to_host(array)), np.abs(tangent)
            used = (here > 0) & (along > 0)
            with np.errstate(all="ignore"):
                smallest = min(smallest, float((here[used] / along[used]).min(initial=1.0)))
                smallest = min(smallest, 1 / float(along.max(initial=1.0)))
        return Ladder.between(smallest or 5e-324, 1.0, 5e-324)

    def quotient(self, h: float, place: int) -> Quotient:
        """The slopes to the left and right of one entry of f (of <dy, f>: place 0)."""
        if h not in self.known:
            self.known[h] = self._quotients(h)
        left, right, noise, floor = self.known[h]
        return Quotient(
            float(left[place]), float(right[place]), float(noise[place]), float(floor[place])
        )

    def _quotients(self, h: float) -> list[np.ndarray]:
        with np.errstate(all="ignore"):
            (left, off), (right, off_too) = (self._slope(sign * h) for sign in (-1, 1))
            slopes = [left.reshape(-1), right.reshape(-1)]
            steep = np.nan_to_num(np.maximum(*np.abs(slopes)), posinf=0.0)
            self.steepest = np.maximum(self.steepest, steep)
            sizes = np.abs(self.y).reshape(-1) + h * steep
            bent = self.steepest * max(off, off_too)
            if self.dy is not None:
                dy = self.dy.reshape(-1)
                slopes = [np.array([(dy * slope).sum()]) for slope in slopes]
                sizes = np.array([np.abs(dy * sizes).sum()])
                bent = np.array([(np.abs(dy) * bent).sum()])
            noise = 10 * EPS * sizes / h + bent
            floor = 10 * EPS * max(1.0, float(sizes.max(initial=0.0))) / h + bent
        return [*slopes, noise, floor]

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
