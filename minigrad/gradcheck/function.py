"""The function that the checker differentiates: a layer, a loss, or a model with its loss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from minigrad import backend
from minigrad.backend import Array
from minigrad.layers import Layer, Sequential
from minigrad.losses import Loss


class Function:
    """f(x, parameters), with its backward and its jvp, at any x.

    A parameter that stands in several places (weight tying) is one array: it is named after all
    of them, "0.W + 2.W", and its gradient is the sum of theirs.
    """

    def __init__(
        self,
        subject: Layer | Loss,
        target: Array | None,
        loss: Loss | None,
        train: bool,
        seed: int,
    ):
        self.model: Layer | None = subject if isinstance(subject, Layer) else None
        self.loss: Loss | None = subject if isinstance(subject, Loss) else loss
        if (self.loss is not None) != (target is not None):
            raise ValueError("a loss needs its target, and a target a loss: give both")
        self.target = target
        self.train = train
        self.seed = seed
        self.is_loss = self.loss is not None
        self.is_composite = isinstance(subject, Sequential) or loss is not None
        self.name = type(subject).__name__ + (f", {type(loss).__name__}" if loss else "")

    def at(self, train: bool | None = None, target: Array | None = None) -> Function:
        """The same function in the other mode, or for other targets."""
        other = object.__new__(Function)
        vars(other).update(vars(self))
        other.train = self.train if train is None else train
        other.target = self.target if target is None else target
        return other

    def places(self) -> dict[str, list[str]]:
        """{name: the places of this parameter}: one place each, unless weights are tied."""
        groups: dict[int, list[str]] = {}
        for name, param in self._params().items():
            groups.setdefault(id(param), []).append(name)
        return {" + ".join(names): names for names in groups.values()}

    def arrays(self, x: Array) -> dict[str, Array]:
        """x and the parameters by name: what the function can be differentiated by."""
        params = self._params()
        return {"x": x} | {name: params[where[0]] for name, where in self.places().items()}

    def _params(self) -> dict[str, Array]:
        params = dict(self.model.params) if self.model is not None else {}
        for name, param in params.items():
            if not hasattr(param, "__setitem__") or param.dtype.kind != "f":
                raise TypeError(
                    f"{self.name}: params[{name!r}] is {param!r}; make it an array of floating-"
                    "point numbers, as numpy.array([0.1])"
                )
        return params

    def output(self, x: Array, reseed: bool = True) -> Array:
        """f(x) on the device of x, in x's dtype. Random choices start anew each time."""
        if self.model is not None:
            if reseed:
                self.model.reseed(self.seed)
            x = returned(self.model.forward(x, self.train), self.name, "forward")
        if self.loss is None:
            return x
        return np.array([self.loss.forward(x, self.target_like(x))])

    def target_like(self, output: Array) -> Any:
        """The target, in the dtype of the output if it is no label."""
        target = self.target
        if target is not None and target.dtype.kind == "f":
            target = target.astype(output.dtype)
        return target

    def value(self, x: Array, reseed: bool = True) -> np.ndarray:
        """f(x) on the host, as an array of float64."""
        y = self.output(x, reseed)
        if y.dtype != np.float64:
            raise TypeError(
                f"{self.name}: forward turned float64 into {y.dtype}; compute in x's dtype"
            )
        return backend.to_host(y).copy()

    def takes(self, x: Array) -> bool:
        """Whether f has a value at x: batch norm in training refuses a batch of one."""
        try:
            self.output(x)
        except ValueError:
            return False
        return True

    def moved_value(self, x: Array) -> np.ndarray | None:
        """f(x) where x or a parameter has been moved; None where f is not defined there."""
        try:
            with np.errstate(all="ignore"):
                return self.value(x)
        except (ValueError, ArithmeticError):
            return None

    def backward(self, dy: Array) -> dict[str, Array]:
        """{"dx": ..., "dW": ...} for the upstream dy (for a loss: 1), at the last output(x)."""
        if self.loss is not None:
            dy = returned(self.loss.backward(), self.name, "backward")
        if self.model is None:
            return {"dx": dy}
        dx = returned(self.model.backward(dy), self.name, "backward")
        return {"dx": dx} | self.gradients(self.model.grads)

    def gradients(self, grads: Mapping[str, Array]) -> dict[str, Array]:
        """The layer's grads, named dW. Those of a tied parameter are added up."""
        rest = dict(grads)
        merged: dict[str, Array] = {}
        for where in self.places().values():
            if all(name in rest for name in where):
                parts = [rest.pop(name) for name in where]
                merged[gradient_of(where)] = sum(parts[1:], start=parts[0])
        return merged | {f"d{name}": array for name, array in rest.items()}

    def tangent(self, x: Array, tangents: Mapping[str, Array]) -> Array:
        """y_dot at x along {"x": x_dot, "W": W_dot, ...}; what is left out stands still."""
        self.output(x)
        return self.jvp(tangents)

    def jvp(self, tangents: Mapping[str, Array]) -> Array:
        """y_dot at the last output(x)."""
        y_dot = tangents.get("x")
        if self.model is not None:
            params_dot = self.params_dot(tangents)
            y_dot = returned(self.model.jvp(y_dot, params_dot or None), self.name, "jvp")
        if self.loss is not None:
            return np.array([self.loss.jvp(y_dot)])
        return returned(y_dot, self.name, "jvp")

    def params_dot(self, tangents: Mapping[str, Array]) -> dict[str, Array]:
        """The tangents of the parameters by the layer's own names: a tied one in each place."""
        return {
            place: tangents[name]
            for name, where in self.places().items()
            if name in tangents
            for place in where
        }


def gradient_of(name: str | list[str]) -> str:
    """ "dW" for "W", and "d0.W + d2.W" for a parameter that stands in two places."""
    names = name.split(" + ") if isinstance(name, str) else name
    return " + ".join(f"d{each}" for each in names)


def returned(result: Any, name: str, method: str) -> Any:
    """The result, if it is an array."""
    if not hasattr(result, "dtype"):
        raise TypeError(f"{name}: {method} returned {result!r} instead of an array")
    return result
