"""The pass from right to left: how fast the loss grows with each number (backprop)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from minigrad.live.inside.activations import formula_of
from minigrad.live.inside.forward import Forward, slope_line
from minigrad.live.inside.small import Passes
from minigrad.live.inside.steps import Side, Step, symbol
from minigrad.live.inside.text import (
    Line,
    Product,
    joined,
    number,
    product,
    slope_of,
    total,
)

HAT = "with a hat: what this rule takes in the place of the true slope"


@dataclass(frozen=True)
class Signal:
    """What a rule sends to one unit, in the place of ∂L/∂h.

    products  the sum that it is, with symbols; empty for a number that comes in another way
    formula   what is written then
    value     the number
    words     what it means
    sources   the keys from which it comes
    arcs      whether it comes by a way of its own, not along the weights
    """

    products: tuple[Product, ...]
    formula: str
    value: float
    words: str
    sources: tuple[str, ...] = ()
    arcs: bool = False


class Backward:
    """The steps of the backward pass; with `signals`, those of a rule that sends something else."""

    def __init__(
        self,
        passes: Passes,
        forward: Forward,
        signals: Mapping[str, Signal] | None = None,
        lowest: int = 1,
    ):
        """
        signals  {"h1.2": what the rule sends there}; None: backprop
        lowest   the lowest layer that gets a gradient
        """
        self.passes = passes
        self.forward = forward
        self.signals = signals
        self.lowest = lowest
        self.values = passes.values
        self.slopes: dict[str, float] = {"L": 1.0}
        stages = passes.net.stages
        self.top = len(stages)
        self.classes = stages[-1].layer.out_features

    def steps(self) -> Iterator[Step]:
        """All of them, from the loss to the first layer's weights."""
        if self.passes.net.softmax is None:
            for c in range(1, self.classes + 1):
                yield self._logit(f"z{self.top}.{c}", c)
        else:
            for c in range(1, self.classes + 1):
                yield self._logit(f"s.{c}", c)
            for c in range(1, self.classes + 1):
                yield self._through_softmax(c)
        for layer in range(self.top, self.lowest - 1, -1):
            if layer < self.top:
                yield from self._hidden(layer)
            for j in range(1, self.passes.net.stages[layer - 1].layer.out_features + 1):
                yield self._weights(layer, j)

    def slope(self, key: str) -> str:
        """The symbol for the slope of the loss in a number."""
        exact = key[0] in "sp" or key.startswith((f"z{self.top}.", f"W{self.top}", f"b{self.top}"))
        return slope_of(symbol(key), hat=self.signals is not None and not exact)

    def _logit(self, key: str, c: int) -> Step:
        """∂L/∂z = p - y."""
        t = self.passes.y + 1
        p = self.values[f"p.{c}"]
        y = float(c == t)
        self.slopes[key] = self._exact(key)
        share = symbol(f"p.{c}")
        line = Line(
            self.slope(key),
            f"{share} − y_{{{c}}}",
            f"{number(p)} − {number(y)}",
            self.slopes[key],
            ((p,), (-y,)),
        )
        why = (
            f"The share {number(p)} should be {number(y)}. Too large: pull this sum down."
            if p > y
            else f"The share {number(p)} should be {number(y)}. Too small: push this sum up."
        )
        if c == 1:
            pt = symbol(f"p.{t}")
            why += (
                f" Where it comes from: the logarithm's slope is −1 / {pt}, the softmax's slope is "
                f"{pt} (y_{{{c}}} − {share}). Multiplied, {pt} cancels."
            )
        title = f"Back from the loss to {_where(key, self.forward, self.top, c)}"
        about = (
            (slope_of("z"), "how fast the loss grows when z grows: the slope of L in z"),
            ("y", "what the share should be: 1 for the right class, else 0"),
        )
        left = Side([line], why, [("gradient", key)])
        sources = ["L", f"p.{c}"]
        return Step("backward", title, left, Side(), [key], sources, (), (), about)

    def _through_softmax(self, c: int) -> Step:
        """∂L/∂z = s (∂L/∂s - Σ s ∂L/∂s)."""
        key = f"z{self.top}.{c}"
        self.slopes[key] = self._exact(key)
        names = [f"s.{k}" for k in range(1, self.classes + 1)]
        s, own = self.values[f"s.{c}"], self.slopes[f"s.{c}"]
        mean = sum(self.values[k] * self.slopes[k] for k in names)
        terms = " + ".join(f"{symbol(k)} {self.slope(k)}" for k in names)
        sums = joined([product((self.values[k], self.slopes[k])) for k in names])
        line = Line(
            self.slope(key),
            f"{symbol(f's.{c}')} ({self.slope(f's.{c}')} − ({terms}))",
            f"{number(s)}·({number(own)} − ({sums}))",
            self.slopes[key],
            ((s, own), (-s, mean)),
        )
        words = (
            "Back through the softmax that is one too many. Its slopes are below 1, and near 0 "
            "where a share is near 0 or 1: the signal shrinks."
        )
        title = f"Back to output {c}, for class {self.forward.classes[c - 1]}"
        left = Side([line], words, [("gradient", key)])
        return Step("backward", title, left, Side(), [key], names)

    def _hidden(self, layer: int) -> Iterator[Step]:
        stage = self.passes.net.stages[layer - 1]
        count = stage.layer.out_features
        for j in range(1, count + 1):
            yield self._down(layer, j)
        for j in range(1, count + 1):
            yield self._bend(layer, j)

    def _down(self, layer: int, j: int) -> Step:
        """∂L/∂h = Σ W ∂L/∂z, or what a rule takes for it."""
        key = f"h{layer}.{j}"
        n = self.passes.net.stages[layer].layer.out_features
        above = [f"z{layer + 1}.{k}" for k in range(1, n + 1)]
        edges = [f"W{layer + 1}.{j}.{k}" for k in range(1, n + 1)]
        title = f"Back to {_lower(self.forward.title(layer, j))}: what its output does to the loss"
        if self.signals is not None:
            return self._instead(key, title, self.signals[key], edges)
        parts: list[Product] = [
            ((symbol(e), self.values[e]), (self.slope(a), self.slopes[a]))
            for e, a in zip(edges, above, strict=True)
        ]
        self.slopes[key] = self._exact(key)
        words = (
            "Every way from here to the loss counts. Each: the weight on the way, times the slope "
            "at its end."
        )
        left = Side([total(self.slope(key), parts, self.slopes[key])], words, [("gradient", key)])
        return Step("backward", title, left, Side(), [key], above, edges)

    def _instead(self, key: str, title: str, signal: Signal, edges: list[str]) -> Step:
        self.slopes[key] = signal.value
        if signal.products:
            line = total(self.slope(key), signal.products, signal.value)
        else:
            line = Line(self.slope(key), signal.formula, "", signal.value)
        left = Side([line], signal.words, [("gradient", key)])
        arcs = [(source, key) for source in signal.sources] if signal.arcs else []
        labels = {}
        if not signal.arcs:  # what stands in the place of each weight
            labels = {
                e: f"B {number(p[0][1])}" for e, p in zip(edges, signal.products, strict=True)
            }
        return Step(
            "backward",
            title,
            left,
            Side(),
            [key],
            signal.sources,
            () if signal.arcs else edges,
            arcs,
            ((slope_of("h", hat=True), HAT),),
            labels,
        )

    def _bend(self, layer: int, j: int) -> Step:
        """∂L/∂z = f'(z) ∂L/∂h."""
        below, key = f"z{layer}.{j}", f"h{layer}.{j}"
        formula = formula_of(self.passes.net.stages[layer - 1].activation)
        f_dot = self.passes.slopes[below]
        own = f_dot * self.slopes[key]
        self.slopes[below] = self._exact(below) if self.signals is None else own
        factors: Product = ((f"f′({symbol(below)})", f_dot), (self.slope(key), self.slopes[key]))
        lines = [
            slope_line(self.passes, formula, below, key),
            total(self.slope(below), [factors], self.slopes[below]),
        ]
        words = "Back through the bend: its slope there, times the slope that came back."
        if f_dot == 0:
            words = "The activation is flat here: its slope is 0, and nothing passes."
        left = Side(lines, words, [("gradient", below)])
        title = f"Back through the activation of {_lower(self.forward.title(layer, j))}"
        return Step("backward", title, left, Side(), [below], [key])

    def _weights(self, layer: int, j: int) -> Step:
        """∂L/∂W = what arrives · ∂L/∂z."""
        key = f"z{layer}.{j}"
        n = self.passes.net.stages[layer - 1].layer.in_features
        below = "x" if layer == 1 else f"h{layer - 1}"
        sources = [f"{below}.{i}" for i in range(1, n + 1)]
        edges = [f"W{layer}.{i}.{j}" for i in range(1, n + 1)]
        after = (self.slope(key), self.slopes[key])
        lines = []
        for source, edge in zip(sources, edges, strict=True):
            pair: Product = ((symbol(source), self.values[source]), after)
            self.slopes[edge] = self._weight(edge, self.values[source] * self.slopes[key])
            lines.append(total(self.slope(edge), [pair], self.slopes[edge]))
        bias = f"b{layer}.{j}"
        if bias in self.values:
            self.slopes[bias] = self._weight(bias, self.slopes[key])
            lines.append(total(self.slope(bias), [(after,)], self.slopes[bias]))
            edges.append(bias)
        words = "Each weight's gradient: what came in through it, times the slope at its end."
        if self.slopes[key] == 0:
            words = "The slope at their end is 0: these weights learn nothing from this example."
        left = Side(lines, words, [("gradient", edge) for edge in edges])
        title = f"The weights into {_lower(self.forward.title(layer, j))}"
        about = ((slope_of("W"), "the gradient of a weight: how fast the loss grows with it"),)
        return Step("backward", title, left, Side(), [key], sources, edges, (), about)

    def _exact(self, key: str) -> float:
        return self.passes.gradients[key]

    def _weight(self, key: str, own: float) -> float:
        return self._exact(key) if self.signals is None else own


def _lower(title: str) -> str:
    return title[0].lower() + title[1:]


def _where(key: str, forward: Forward, top: int, c: int) -> str:
    if key.startswith("s"):
        return f"the network's own share of class {forward.classes[c - 1]}"
    return _lower(forward.title(top, c))
