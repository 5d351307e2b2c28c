"""A small network as the page draws it: a copy in float64, and the library's passes through it."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from minigrad.backend import to_host
from minigrad.layers import Flatten, Layer, Linear, Sequential, Softmax
from minigrad.losses import CrossEntropyLoss, Loss
from minigrad.rules.chain import chain

UNITS = 8  # of a hidden layer, at most
HIDDEN = 2  # hidden layers, at most
INPUTS = 4
CLASSES = 4

Direction = dict[str, np.ndarray]  # by the flat names of parameters: "1.W"


class TooLarge(ValueError):
    """The network is too large to be drawn. The sentence says which setting makes it small."""


class Stage(NamedTuple):
    """A Linear layer and the activation after it.

    prefix      of the Linear layer: "1."
    layer       in float64, on the host
    activation  its own copy, or None for the last one
    cut         the number of the activation in the network
    """

    prefix: str
    layer: Linear
    activation: Layer | None
    cut: str


class Small:
    """Linear layers with activations between them, and perhaps a softmax at the end.

    All layers are copies in float64 on the host. TooLarge: the network is not to be drawn.
    """

    def __init__(self, model: Layer, loss: Loss):
        if not isinstance(loss, CrossEntropyLoss):
            raise TooLarge(f"this view knows the cross-entropy, and the loss is {loss!r}")
        self.loss = CrossEntropyLoss()
        self.stages: list[Stage] = []
        self.softmax: Softmax | None = None
        for prefix, layer in chain(model):
            self._add(prefix, layer)
        if not self.stages or self.stages[-1].activation is not None:
            raise TooLarge("this view draws networks that end in a Linear layer")
        self._check()
        parts: list[Layer] = []
        for stage in self.stages:
            parts += [stage.layer, *([stage.activation] if stage.activation else [])]
        self.model = Sequential(*parts, *([self.softmax] if self.softmax else []))

    def _add(self, prefix: str, layer: Layer) -> None:
        if type(layer) is Flatten and not self.stages:
            return
        if type(layer) is Linear and (not self.stages or self.stages[-1].activation is not None):
            D, M = layer.in_features, layer.out_features
            wide = Linear(D, M, "b" in layer.params, dtype="float64", seed=0)
            for name, array in layer.params.items():
                wide.params[name] = to_host(array).astype("float64")
            self.stages.append(Stage(prefix, wide, None, ""))
        elif layer.is_activation and self.stages and self.stages[-1].activation is None:
            own = copy.deepcopy(layer)
            own.drop_cache()
            last = self.stages[-1]
            self.stages[-1] = last._replace(activation=own, cut=prefix.rstrip("."))
        elif type(layer) is Softmax and self.softmax is None and self.stages:
            self.softmax = Softmax()
        else:
            raise TooLarge(f"this view draws Linear layers and activations, not {layer!r}")

    def _check(self) -> None:
        hidden = self.sizes[1:-1]
        if self.sizes[0] > INPUTS:
            raise TooLarge(
                f"This network has {self.sizes[0]} inputs: too many to draw each number. "
                "With a set in the plane there are two"
            )
        if self.sizes[-1] > CLASSES:
            raise TooLarge(f"This network has {self.sizes[-1]} classes: {CLASSES} can be drawn")
        if len(hidden) > HIDDEN or max(hidden, default=0) > UNITS:
            said = ", ".join(map(str, hidden))
            raise TooLarge(
                f"This network has hidden layers of {said} units: too many to draw each number. "
                f"At most {HIDDEN} hidden layers of {UNITS} units can be drawn"
            )

    @property
    def sizes(self) -> list[int]:
        """Inputs, hidden units, classes."""
        return [self.stages[0].layer.in_features, *(s.layer.out_features for s in self.stages)]

    def names(self) -> dict[str, str]:
        """{name in the network: name in the copy}: "1.W" -> "0.W"."""
        found: dict[str, str] = {}
        for i, layer in enumerate(self.model.layers):
            for stage in self.stages:
                if stage.layer is layer:
                    found |= {f"{stage.prefix}{name}": f"{i}.{name}" for name in layer.params}
        return found

    def value(self, x: np.ndarray, y: int) -> float:
        """L of one example."""
        return self.loss.forward(self.model.forward(x[None]), np.array([y]))

    def quotient(self, x: np.ndarray, y: int, v: Mapping[str, np.ndarray], step: float) -> Any:
        """(L(θ + step v), L(θ - step v)). v has the names of the network."""
        names = self.names()
        start = {name: self.model.params[names[name]].copy() for name in v}
        found = []
        for sign in (1, -1):
            for name, moved in v.items():
                self.model.params[names[name]] = start[name] + sign * step * moved
            found.append(self.value(x, y))
        for name, array in start.items():
            self.model.params[names[name]] = array
        return tuple(found)


class Passes:
    """What the library's layers compute for one example: values, slopes backward, tangents.

    All dicts have the keys of the picture: "x.1", "z1.2", "h1.2", "s.1", "p.1", "L", "W1.2.3"
    (layer, from, to) and "b1.3". Units count from 1.
    """

    def __init__(self, net: Small, x: np.ndarray, y: int, direction: Direction):
        self.net = net
        self.y = y
        self.direction = direction
        self.values: dict[str, float] = {}
        self.tangents: dict[str, float] = {}
        self.gradients: dict[str, float] = {}
        self.slopes: dict[str, float] = {}  # f'(z) at each "z1.2"
        self._forward(x[None])
        self._backward()

    def _forward(self, h: np.ndarray) -> None:
        net = self.net
        self._keep(self.values, "x", h)
        self._keep(self.tangents, "x", np.zeros_like(h))
        moved: Any = None
        for number, stage in enumerate(net.stages, 1):
            v = {
                name: self.direction[stage.prefix + name]
                for name in stage.layer.params
                if stage.prefix + name in self.direction
            }
            still = {name: np.zeros_like(p) for name, p in stage.layer.params.items()}
            h = stage.layer.forward(h)
            moved = stage.layer.jvp(moved, still | v)
            self._weights(self.values, number, stage.layer.params)
            self._weights(self.tangents, number, still | v)
            self._keep(self.values, f"z{number}", h)
            self._keep(self.tangents, f"z{number}", moved)
            if stage.activation is not None:
                h = stage.activation.forward(h)
                self._keep(self.slopes, f"z{number}", stage.activation.jvp(np.ones_like(h)))
                moved = stage.activation.jvp(moved)
                self._keep(self.values, f"h{number}", h)
                self._keep(self.tangents, f"h{number}", moved)
        if net.softmax is not None:
            h = net.softmax.forward(h)
            moved = net.softmax.jvp(moved)
            self._keep(self.values, "s", h)
            self._keep(self.tangents, "s", moved)
        own = Softmax()
        self._keep(self.values, "p", own.forward(h))
        self._keep(self.tangents, "p", own.jvp(moved))
        self.values["L"] = net.loss.forward(h, np.array([self.y]))
        self.tangents["L"] = net.loss.jvp(moved)

    def _backward(self) -> None:
        net = self.net
        self.gradients["L"] = 1.0
        d = net.loss.backward()
        if net.softmax is not None:
            self._keep(self.gradients, "s", d)
            d = net.softmax.backward(d)
        for number in range(len(net.stages), 0, -1):
            stage = net.stages[number - 1]
            if stage.activation is not None:
                self._keep(self.gradients, f"h{number}", d)
                d = stage.activation.backward(d)
            self._keep(self.gradients, f"z{number}", d)
            d = stage.layer.backward(d)
            self._weights(self.gradients, number, stage.layer.grads)
        self._keep(self.gradients, "x", d)

    @staticmethod
    def _keep(into: dict[str, float], kind: str, row: np.ndarray) -> None:
        into.update({f"{kind}.{i}": float(value) for i, value in enumerate(row[0], 1)})

    @staticmethod
    def _weights(into: dict[str, float], number: int, arrays: Mapping[str, np.ndarray]) -> None:
        for (i, j), value in np.ndenumerate(arrays["W"]):
            into[f"W{number}.{i + 1}.{j + 1}"] = float(value)
        for j, value in enumerate(arrays.get("b", ()), 1):
            into[f"b{number}.{j}"] = float(value)

    @property
    def usable(self) -> bool:
        """Whether all numbers are finite."""
        return math.isfinite(self.values["L"]) and all(map(math.isfinite, self.gradients.values()))
