"""The pass from left to right: values, and beside them how fast each value moves (forward mode)."""

from __future__ import annotations

import math
from collections.abc import Iterator

from minigrad.live.inside.activations import Formula, formula_of
from minigrad.live.inside.small import Passes
from minigrad.live.inside.steps import Side, Step, symbol
from minigrad.live.inside.text import Line, Product, inside, joined, number, product, total

DOT = "a dot means speed: how fast this number changes while the weights move along the direction"


class Forward:
    """The steps of the forward pass through a small network."""

    def __init__(self, passes: Passes, classes: list[str], direction: str):
        """direction: a sentence that says what moves."""
        self.passes = passes
        self.classes = classes
        self.direction = direction
        self.values = passes.values
        self.tangents = passes.tangents

    def steps(self) -> Iterator[Step]:
        """All of them, from the example to the loss."""
        yield self._start()
        stages = self.passes.net.stages
        for layer, stage in enumerate(stages, 1):
            for j in range(1, stage.layer.out_features + 1):
                yield self._sum(layer, j)
            if stage.activation is not None:
                for j in range(1, stage.layer.out_features + 1):
                    yield self._activation(layer, j)
        count = stages[-1].layer.out_features
        if self.passes.net.softmax is not None:
            for c in range(1, count + 1):
                yield self._softmax("s", f"z{len(stages)}", c, count)
        for c in range(1, count + 1):
            yield self._softmax("p", self._logits(), c, count)
        yield self._loss(count)

    def _logits(self) -> str:
        """What the loss gets."""
        return "s" if self.passes.net.softmax is not None else f"z{len(self.passes.net.stages)}"

    def title(self, layer: int, j: int) -> str:
        stages = len(self.passes.net.stages)
        if layer == stages:
            return f"Output {j}, for class {self.classes[j - 1]}"
        which = "The hidden layer" if stages == 2 else f"Hidden layer {layer}"
        return f"{which}, unit {j}"

    def _start(self) -> Step:
        keys = [key for key in self.values if key.startswith("x.")]
        left = Side(
            [Line(symbol(key), "", "", self.values[key]) for key in keys],
            f"One example. Its class is {self.classes[self.passes.y]}.",
            [("value", key) for key in keys],
        )
        moves = [key for key, v in self.tangents.items() if key[0] in "Wb" and v != 0]
        right = Side(
            [Line(symbol(key, True), "", "", self.tangents[key]) for key in moves[:3]],
            self.direction,
            [("value", key) for key in keys],
        )
        about = (
            ("x", "the inputs: the numbers of one example"),
            (symbol("W1.1.2"), "the weight of layer 1 from 1 to 2"),
            ("Ẇ", DOT),
        )
        return Step("forward", "The example comes in", left, right, keys, (), (), (), about)

    def _sum(self, layer: int, j: int) -> Step:
        key = f"z{layer}.{j}"
        below = "x" if layer == 1 else f"h{layer - 1}"
        n = self.passes.net.stages[layer - 1].layer.in_features
        sources = [f"{below}.{i}" for i in range(1, n + 1)]
        edges = [f"W{layer}.{i}.{j}" for i in range(1, n + 1)]
        bias = f"b{layer}.{j}" if f"b{layer}.{j}" in self.values else None
        parts: list[Product] = [
            (self._v(source), self._v(edge)) for source, edge in zip(sources, edges, strict=True)
        ]
        moving: list[Product] = []
        for source, edge in zip(sources, edges, strict=True):
            if layer > 1:
                moving.append((self._t(source), self._v(edge)))
            moving.append((self._v(source), self._t(edge)))
        if bias:
            parts.append((self._v(bias),))
            moving.append((self._t(bias),))
        title = f"{self.title(layer, j)}: the sum"
        left = Side(
            [total(symbol(key), parts, self.values[key])],
            "Each number that arrives times its weight" + (", and the bias." if bias else "."),
            [("value", key)],
        )
        lines = [total(symbol(key, True), moving, self.tangents[key], zeros=False)]
        right = Side(
            lines, self._moving_sum(key, moving, layer), [("value", key), ("tangent", key)]
        )
        about = [
            (symbol("z1.2"), "z: the sum that arrives; here of layer 1, unit 2"),
            ("b", "the bias: a number that is added"),
        ]
        edges += [bias] if bias else []
        return Step("forward", title, left, right, [key], sources, edges, (), tuple(about))

    def _moving_sum(self, key: str, moving: list[Product], layer: int) -> str:
        if all(math.prod(f for _, f in p) == 0 for p in moving):
            return "Nothing that moves arrives here, so this sum stands still."
        if layer == 1:
            return "The inputs stand still. Where a weight moves, the sum moves: input times speed."
        return "Two things can move the sum: what arrives, and the weights themselves."

    def _activation(self, layer: int, j: int) -> Step:
        below, key = f"z{layer}.{j}", f"h{layer}.{j}"
        formula = formula_of(self.passes.net.stages[layer - 1].activation)
        z, h = self.values[below], self.values[key]
        symbols, numbers, _ = formula.value(z)
        left = Side(
            [Line(symbol(key), symbols.replace("{z}", symbol(below)), numbers, h)],
            f"The activation, {formula.name}, bends the sum. The result goes on.",
            [("value", key)],
        )
        right = Side(
            [slope_line(self.passes, formula, below, key)],
            "The chain rule: the slope of the bend, times the speed of what comes in.",
            [("value", key), ("tangent", key)],
        )
        f_dot = self.passes.slopes[below]
        right.lines.append(
            total(
                symbol(key, True),
                [((f"f′({symbol(below)})", f_dot), self._t(below))],
                self.tangents[key],
            )
        )
        about = [
            (symbol("h1.2"), "h: what the unit hands on, h = f(z)"),
            ("f′", "the slope of the activation f"),
        ]
        if formula.about:
            about.append((formula.name, formula.about))
        title = f"{self.title(layer, j)}: the activation"
        return Step("forward", title, left, right, [key], [below], (), (), tuple(about))

    def _softmax(self, kind: str, below: str, c: int, count: int) -> Step:
        key = f"{kind}.{c}"
        sources = [f"{below}.{k}" for k in range(1, count + 1)]
        powers = [f"e^{{{symbol(k)}}}" for k in sources]
        numbers = [f"e^{{{number(self.values[k])}}}" for k in sources]
        left = Side(
            [
                Line(
                    symbol(key),
                    f"{powers[c - 1]} / ({joined(powers)})",
                    f"{numbers[c - 1]} / ({joined(numbers)})",
                    self.values[key],
                )
            ],
            "The softmax makes shares: all are above 0, together they are 1."
            + (" This network has one softmax too many: the loss brings its own." * (kind == "s")),
            [("value", key)],
        )
        p = self.values[key]
        mean = sum(self.values[f"{kind}.{k}"] * self.tangents[f"{below}.{k}"] for k in _to(count))
        terms = " + ".join(
            f"{symbol(f'{kind}.{k}')} {symbol(f'{below}.{k}', True)}" for k in _to(count)
        )
        sums = joined(
            [
                product((self.values[f"{kind}.{k}"], self.tangents[f"{below}.{k}"]))
                for k in _to(count)
            ]
        )
        own = self.tangents[f"{below}.{c}"]
        right = Side(
            [
                Line(
                    symbol(key, True),
                    f"{symbol(key)} ({symbol(f'{below}.{c}', True)} − ({terms}))",
                    f"{number(p)}·({number(own)} − ({sums}))",
                    self.tangents[key],
                    ((p, own), (-p, mean)),
                )
            ],
            "A share grows if its own sum moves faster than the shares' average.",
            [("value", key), ("tangent", key)],
        )
        title = f"The share of class {self.classes[c - 1]}"
        if kind == "s":
            about = (("s", "the shares after the softmax that the network has itself"),)
        else:
            about = (("p", "the shares: what the network takes as the chance of each class"),)
        return Step("forward", title, left, right, [key], sources, (), (), about)

    def _loss(self, count: int) -> Step:
        t = self.passes.y + 1
        key = f"p.{t}"
        p, p_dot = self.values[key], self.tangents[key]
        left = Side(
            [Line("L", f"−ln {symbol(key)}", f"−ln {inside(p)}", self.values["L"])],
            f"The loss looks at the share of the right class, {self.classes[t - 1]}. "
            "If that share is 1, the loss is 0.",
            [("value", "L")],
        )
        slope = self.tangents["L"]
        right = Side(
            [
                Line(
                    symbol("L", True),
                    f"−{symbol(key, True)} / {symbol(key)}",
                    f"−{inside(p_dot)} / {number(p)}" if p_dot else f"0 / {number(p)}",
                    slope,
                    ((-p_dot, 1 / p),) if p else (),
                )
            ],
            "Forward mode is done, in one pass: this is the slope of the loss along the direction. "
            + _meaning(slope),
            [("value", "L"), ("tangent", "L")],
        )
        about = (
            ("L", "the loss: how wrong the network is for this example"),
            ("ln", "the natural logarithm"),
        )
        return Step("forward", "The loss", left, right, ["L"], [key], (), (), about)

    def _v(self, key: str) -> tuple[str, float]:
        return symbol(key), self.values[key]

    def _t(self, key: str) -> tuple[str, float]:
        return symbol(key, True), self.tangents[key]


def slope_line(passes: Passes, formula: Formula, below: str, key: str) -> Line:
    """f'(z) of an activation."""
    z, h = passes.values[below], passes.values[key]
    symbols, numbers, products = formula.slope(z, h)
    symbols = symbols.replace("{z}", symbol(below)).replace("{h}", symbol(key))
    return Line(f"f′({symbol(below)})", symbols, numbers, passes.slopes[below], products)


def _to(count: int) -> range:
    return range(1, count + 1)


def _meaning(slope: float) -> str:
    if slope == 0:
        return "It is 0: a small step along it changes nothing."
    way = "grows" if slope > 0 else "falls"
    return f"The loss {way} along it, at this rate."
