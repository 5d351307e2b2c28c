"""What the gradient checker differentiates, and how: central differences in float64."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from minigrad import backend
from minigrad.backend import Array
from minigrad.gradcheck.report import relative_to
from minigrad.layers import Layer
from minigrad.losses import Loss

EPS = float(np.finfo(np.float64).eps)
STEP = EPS ** (1 / 3)  # h ≈ 6e-6: truncation, h², and rounding, eps/h, are in balance
FINER = (1, 1 / 8, 1 / 64)  # a kink between x - h and x + h gets out of the way of a smaller h

# (h, which) -> for these entries the quotients from the left, from the right, and their noise
Slopes = Callable[[float, np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray]]


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
        self.target, self.train, self.seed = target, train, seed
        self.is_loss = self.loss is not None
        self.name = type(subject).__name__ + (f", {type(loss).__name__}" if loss else "")

    def arrays(self, x: Array) -> dict[str, Array]:
        """x and the parameters by name: what the function can be differentiated by."""
        params = dict(self.model.params) if self.model is not None else {}
        for name, param in params.items():
            if not hasattr(param, "__setitem__") or param.dtype.kind != "f":
                raise TypeError(
                    f"{self.name}: params[{name!r}] is {param!r}; make it an array of floating-"
                    "point numbers, as numpy.array([0.1])"
                )
        return {"x": x} | params

    def output(self, x: Array) -> Array:
        """f(x) where x is, in x's dtype; random choices start anew each time."""
        target = self.target
        if self.model is not None:
            self.model.reseed(self.seed)
            x = _returned(self.model.forward(x, self.train), self.name, "forward")
        if self.loss is None:
            return x
        if target.dtype.kind == "f":
            target = target.astype(x.dtype)
        return np.array([self.loss.forward(x, target)])

    def value(self, x: Array) -> np.ndarray:
        """f(x) on the host, as an array of float64."""
        y = self.output(x)
        if y.dtype != np.float64:
            raise TypeError(
                f"{self.name}: forward turned float64 into {y.dtype}; compute in x's dtype"
            )
        return backend.to_host(y).copy()

    def backward(self, dy: Array) -> dict[str, Array]:
        """{"dx": ..., "dW": ...} for the upstream dy (for a loss: 1), at the last output(x)."""
        if self.loss is not None:
            dy = _returned(self.loss.backward(), self.name, "backward")
        if self.model is None:
            return {"dx": dy}
        dx = _returned(self.model.backward(dy), self.name, "backward")
        return {"dx": dx} | {f"d{name}": array for name, array in self.model.grads.items()}

    def tangent(self, x: Array, tangents: Mapping[str, Array]) -> Array:
        """y_dot at x along {"x": x_dot, "W": W_dot, ...}; what is left out stands still."""
        self.output(x)
        moved = dict(tangents)
        y_dot = moved.pop("x", None)
        if self.model is not None:
            y_dot = _returned(self.model.jvp(y_dot, moved or None), self.name, "jvp")
        return np.array([self.loss.jvp(y_dot)]) if self.loss is not None else y_dot


def _returned(result: Any, name: str, method: str) -> Array:
    if not hasattr(result, "dtype"):
        raise TypeError(f"{name}: {method} returned {result!r} instead of an array")
    return result


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

    def entry(self, h: float, place: int) -> tuple[float, float, float]:
        """(left, right, noise) in one entry, moved by h · max(1, |entry|) to either side."""
        flat = self.array.reshape(-1)  # a view: the checker's arrays are contiguous copies
        old = float(flat[place])
        h *= max(1.0, abs(old))
        sides, touched = [], np.zeros(self.y.shape, bool)
        for sign in (-1, 1):
            flat[place] = old + sign * h
            moved_by = float(flat[place]) - old  # exactly, after rounding
            change = self.f.value(self.x) - self.y
            touched |= change != 0
            sides.append(float((self.dy * change).sum()) / moved_by)
        flat[place] = old
        return sides[0], sides[1], noise(self.dy * self.y * touched, h)

    def along(self, h: float, v: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(left, right, noise) in all entries at once, along v."""
        left, right = slopes_along(self.f, self.x, self.y, [(self.array, v)], h)
        sums = [np.array([(self.dy * side).sum()]) for side in (left, right)]
        return sums[0], sums[1], np.array([noise(self.dy * self.y, h)])


def noise(terms: np.ndarray, h: float) -> float:
    """The rounding noise of a difference quotient of a sum of these terms."""
    return 10 * EPS * max(1.0, float(np.abs(terms).sum())) / h


def settle(
    ours: np.ndarray, slopes: Slopes, rtol: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(numeric, at a kink?, noise), entry by entry: central differences, finer on demand.

    Where the mean of the slopes from left and right disagrees with `ours`, a kink may lie between
    x - h and x + h: then a smaller h agrees; or x is at the kink itself: then left and right
    stay apart and `ours` lies between them. A wrong derivative does none of this.
    """
    numeric, kink, allowed = np.empty(ours.size), np.zeros(ours.size, bool), np.empty(ours.size)
    size, pending = np.empty(0), np.arange(ours.size)
    for finer in FINER:
        left, right, rounding = slopes(STEP * finer, pending)
        central = (left + right) / 2
        if finer == 1:
            numeric[:], allowed[:], size = central, rounding, relative_to(central)
        tolerance = rtol * size[pending] + rounding
        agrees = np.abs(ours[pending] - central) <= tolerance
        numeric[pending[agrees]], allowed[pending[agrees]] = central[agrees], rounding[agrees]
        low, high = np.minimum(left, right) - tolerance, np.maximum(left, right) + tolerance
        between = (low <= ours[pending]) & (ours[pending] <= high)
        kink[pending] = ~agrees & between & (np.abs(left - right) > 100 * tolerance)
        pending = pending[~agrees]
        if pending.size == 0:
            break
    return numeric, kink, allowed


@contextmanager
def in_dtype(subject: Layer | Loss | None, dtype: Any) -> Iterator[None]:
    """For a while the layers compute in `dtype`, on copies of all their arrays."""
    if isinstance(subject, Layer):
        parts: list[Any] = [layer for _, layer in subject.leaves()]
    else:
        parts = [subject] if subject is not None else []
    kept = [dict(vars(part)) for part in parts]
    try:
        for part in parts:
            _convert(part, np.dtype(dtype))
        yield
    finally:
        for part, attributes in zip(parts, kept, strict=True):
            vars(part).update(attributes)


def _convert(part: Any, dtype: np.dtype) -> None:
    """Replace each array of a layer, also one that it knows by two names, by one copy in dtype."""
    copies: dict[int, Array] = {}

    def converted(array: Any) -> Any:
        if not hasattr(array, "dtype") or not hasattr(array, "__setitem__"):
            return array
        return copies.setdefault(id(array), contiguous(array, dtype))

    for name, value in list(vars(part).items()):
        if name in ("params", "buffers", "grads"):
            setattr(part, name, {key: converted(array) for key, array in value.items()})
        elif name == "dtype" and value is not None:
            part.dtype = dtype
        elif name != "cache":
            setattr(part, name, converted(value))


def contiguous(array: Any, dtype: Any = np.float64) -> Array:
    """A contiguous copy where the array lives: floating-point numbers in dtype, others as are."""
    host = backend.to_host(array)
    kind = dtype if host.dtype.kind == "f" else host.dtype
    like = array if hasattr(array, "dtype") else host
    return backend.to_device(np.array(host, kind, order="C"), like=like)
