"""What the gradient checker differentiates, and how: central differences in float64."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from minigrad import backend
from minigrad.backend import Array
from minigrad.layers import Layer
from minigrad.losses import Loss
from minigrad.report import Row, relative_to

EPS = float(np.finfo(np.float64).eps)
STEP = EPS ** (1 / 3)  # h ≈ 6e-6: truncation, h², and rounding, eps/h, are in balance
NOISE = 10 * EPS / STEP  # rounding noise of a difference quotient, for values of size 1
FINER = (1, 1 / 8, 1 / 64)  # a kink between x - h and x + h gets out of the way of a smaller h

Slopes = Callable[[float, np.ndarray], tuple[np.ndarray, np.ndarray]]


class Function:
    """A layer, a loss, or a model with its loss, as one function of x and the parameters."""

    def __init__(
        self,
        subject: Layer | Loss,
        target: Array | None,
        loss: Loss | None,
        train: bool,
        seed: int,
    ):
        self.model = subject if isinstance(subject, Layer) else None
        self.loss = loss if self.model is not None else subject
        if (self.loss is not None) != (target is not None):
            raise ValueError("a loss needs its target, and a target a loss: give both")
        if target is not None and target.dtype.kind == "f":
            target = copy64(target)
        self.target, self.train, self.seed = target, train, seed
        self.is_loss = self.loss is not None
        self.name = type(subject).__name__ + (f", {type(loss).__name__}" if loss else "")

    def params(self) -> Mapping[str, Array]:
        return self.model.params if self.model is not None else {}

    def value(self, x: Array) -> np.ndarray:
        """f(x) on the host, as an array; random choices start anew each time."""
        if self.model is not None:
            self.model.reseed(self.seed)
            x = self.model.forward(x, self.train)
            if x.dtype != np.float64:
                raise TypeError(
                    f"{self.name}: forward turned float64 into {x.dtype}; compute in x's dtype"
                )
        if self.loss is not None:
            return np.array([self.loss.forward(x, self.target)])
        return backend.to_host(x).copy()

    def gradients(self, x: Array, dy: np.ndarray) -> tuple[dict[str, np.ndarray], list[Row]]:
        """({"dx": ..., "dW": ...}, rows for broken promises) at x."""
        params = self.params()
        held = {"x": x, "dy": backend.to_device(dy, like=x)} | dict(params)
        before = {name: backend.to_host(array).copy() for name, array in held.items()}
        self.value(x)
        first = self._backward(held["dy"])
        faults = [
            Row(name, np.nan, np.nan, "WRONG", f"forward or backward changed {name} itself")
            for name, array in held.items()
            if not np.array_equal(backend.to_host(array), before[name])
        ]
        for name, array in held.items():
            array[...] = backend.to_device(before[name], like=array)
        again = self._backward(held["dy"])
        faults += [
            Row(name, np.nan, np.nan, "WRONG", "a second backward gave another result: overwrite")
            for name, gradient in first.items()
            if not np.array_equal(gradient, again[name], equal_nan=True)
        ]
        return first, faults

    def _backward(self, dy: Array) -> dict[str, np.ndarray]:
        if self.loss is not None:
            dy = self.loss.backward()
        if self.model is None:
            return {"dx": backend.to_host(dy).copy()}
        dx = self.model.backward(dy)
        grads = {f"d{name}": array for name, array in self.model.grads.items()}
        return {name: backend.to_host(a).copy() for name, a in ({"dx": dx} | grads).items()}

    def tangent(self, x: Array, tangents: Mapping[str, np.ndarray]) -> np.ndarray:
        """jvp at x, along {"dx": x_dot, "dW": W_dot, ...}."""
        self.value(x)
        moved = {name[1:]: backend.to_device(t, like=x) for name, t in tangents.items()}
        y_dot = moved.pop("x")
        if self.model is not None:
            y_dot = self.model.jvp(y_dot, moved or None)
        if self.loss is not None:
            return np.array([self.loss.jvp(y_dot)])
        return backend.to_host(y_dot)


def slopes_along(
    f: Function, x: Array, y: np.ndarray, moves: list[tuple[Array, Any]], h: float
) -> tuple[np.ndarray, np.ndarray]:
    """(f(here) - f(-h))/h and (f(+h) - f(here))/h, with y = f(here), along the tangents `moves`."""
    sides = []
    for sign in (-1, 1):
        before = [array.copy() for array, _ in moves]
        for array, tangent in moves:
            array += backend.to_device(sign * h * tangent, like=array)
        sides.append(sign * (f.value(x) - y) / h)
        for (array, _), old in zip(moves, before, strict=True):
            array[...] = old
    return sides[0], sides[1]


class Difference:
    """One-sided difference quotients of <dy, f> with respect to one array."""

    def __init__(self, f: Function, x: Array, y: np.ndarray, dy: np.ndarray, array: Array):
        self.f, self.x, self.y, self.dy, self.array = f, x, y, dy, array

    def entry(self, h: float, place: int) -> tuple[float, float]:
        """In one entry, moved by h · max(1, |entry|) to either side."""
        flat = self.array.reshape(-1)  # a view: the checker's arrays are contiguous copies
        old = float(flat[place])
        h *= max(1.0, abs(old))
        sides = []
        for sign in (-1, 1):
            flat[place] = old + sign * h
            moved_by = float(flat[place]) - old  # exactly, after rounding
            sides.append(float((self.dy * (self.f.value(self.x) - self.y)).sum()) / moved_by)
        flat[place] = old
        return sides[0], sides[1]

    def along(self, h: float, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """In all entries at once, along v."""
        sides = slopes_along(self.f, self.x, self.y, [(self.array, v)], h)
        return tuple(np.array([(self.dy * side).sum()]) for side in sides)


def settle(
    ours: np.ndarray, slopes: Slopes, rtol: float, noise: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(numeric, at a kink?, noise allowed), entry by entry: central differences, finer on demand.

    slopes(h, which) gives the one-sided quotients from the left and from the right. Where
    their mean disagrees with `ours`, a kink may lie between x - h and x + h: a smaller h then
    agrees, or, at the kink itself, left and right stay apart. A wrong derivative does neither.
    """
    numeric, kink = np.empty(ours.size), np.zeros(ours.size, bool)
    allowed = np.full(ours.size, noise)
    size, pending = np.empty(0), np.arange(ours.size)
    for finer in FINER:
        left, right = slopes(STEP * finer, pending)
        central = (left + right) / 2
        if finer == 1:
            numeric[:], size = central, relative_to(central)
        tolerance = rtol * size[pending] + noise / finer
        agrees = np.abs(ours[pending] - central) <= tolerance
        numeric[pending[agrees]], allowed[pending[agrees]] = central[agrees], noise / finer
        kink[pending] = ~agrees & (np.abs(left - right) > 100 * tolerance)
        pending = pending[~agrees]
        if pending.size == 0:
            break
    return numeric, kink, allowed


@contextmanager
def in_float64(subject: Layer | Loss) -> Iterator[None]:
    """For a while, the layers' parameters and buffers are float64 copies."""
    layers = [layer for _, layer in subject.leaves()] if isinstance(subject, Layer) else []
    kept = [dict(vars(layer)) for layer in layers]
    try:
        for layer in layers:
            layer.params = {name: copy64(array) for name, array in layer.params.items()}
            layer.buffers = {name: copy64(array) for name, array in layer.buffers.items()}
            layer.grads = {}
            if layer.dtype is not None:
                layer.dtype = np.dtype("float64")
        yield
    finally:
        for layer, attributes in zip(layers, kept, strict=True):
            vars(layer).update(attributes)


def copy64(array: Array) -> Array:
    """A contiguous float64 copy where the array lives; integers stay integers."""
    host = backend.to_host(array)
    dtype = np.float64 if host.dtype.kind == "f" else host.dtype
    return backend.to_device(np.array(host, dtype, order="C"), like=array)
