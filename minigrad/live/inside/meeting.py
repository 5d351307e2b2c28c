"""The last steps: backward and forward mode agree; how far a rule is from the gradient."""

from __future__ import annotations

import math
from collections.abc import Mapping

from minigrad.live.inside.small import Passes
from minigrad.live.inside.steps import Side, Step, symbol
from minigrad.live.inside.text import Line, Product, number, product, slope_of, total

SHOWN = 4  # weights of a table


def _weights(passes: Passes) -> list[str]:
    """The keys of all weights and biases."""
    return [key for key in passes.tangents if key[0] in "Wb"]


def agreement(passes: Passes, losses: tuple[float, float], step: float) -> Step:
    """The slope by the gradient, by forward mode and by a difference quotient.

    losses  L(θ + step v) and L(θ - step v)
    """
    keys = [key for key in _weights(passes) if passes.tangents[key] != 0]
    parts: list[Product] = [
        ((slope_of(symbol(k)), passes.gradients[k]), (symbol(k, True), passes.tangents[k]))
        for k in keys
    ]
    found = sum(passes.gradients[k] * passes.tangents[k] for k in keys)
    above, below = losses
    left = Side(
        [total("gradient · direction", parts, found)] if parts else [],
        "One pass back gave the gradient of every weight. With it, the slope along any direction "
        "is a sum of products.",
    )
    right = Side(
        [
            Line(symbol("L", True), "", "", passes.tangents["L"]),
            Line(
                "difference quotient",
                f"(L(+{step:g}) − L(−{step:g})) / {2 * step:g}",
                f"({number(above, 8)} − {number(below, 8)}) / {2 * step:g}",
                (above - below) / (2 * step),
            ),
        ],
        f"{_cost(len(_weights(passes)), len(keys))} Moving the weights a little along the "
        "direction, there and back, gives the same.",
    )
    return Step("end", "Both ways give the same slope", left, right, ["L"], (), keys)


def _cost(weights: int, moved: int) -> str:
    """What one pass forward gives, and what a whole gradient would take."""
    if moved == 1:
        return (
            "One pass forward gave the slope of this one weight. Each of the other "
            f"{weights - 1} weights and biases would take a pass of its own."
        )
    return (
        "One pass forward gave this one slope, and no single gradient: each of the "
        f"{weights} weights and biases alone would take a pass of its own."
    )


def estimate(passes: Passes, directions: int) -> Step:
    """What a forward gradient makes of the slope: slope times direction, beside the gradient."""
    keys = _weights(passes)[:SHOWN]
    slope = passes.tangents["L"]
    left = Side(
        [Line(slope_of(symbol(k)), "", "", passes.gradients[k]) for k in keys],
        f"The gradient by backprop, for the first {len(keys)} weights.",
    )
    lines = []
    for key in keys:
        v = passes.tangents[key]
        pair: Product = ((symbol("L", True), slope), (symbol(key, True), v))
        lines.append(total(slope_of(symbol(key), hat=True), [pair], slope * v))
    mean = (
        f" This is the first of {directions} directions: the rule takes the mean of them all."
        if directions > 1
        else ""
    )
    right = Side(
        lines,
        "This rule takes the slope times the direction. All weights get the same slope, each times "
        "its own random number: mostly noise, but right on average." + mean,
    )
    about = ((slope_of("W", hat=True), "with a hat: the rule's estimate"),)
    return Step("end", "What this rule makes of it", left, right, ["L"], (), keys, (), about)


def distance(passes: Passes, slopes: Mapping[str, float], title: str) -> Step:
    """How a rule's gradient of this example lies to the true one: the cosine between them."""
    keys = _weights(passes)
    own = [slopes.get(key, 0.0) for key in keys]
    true = [passes.gradients[key] for key in keys]
    along = sum(a * b for a, b in zip(own, true, strict=True))
    lengths = math.hypot(*own), math.hypot(*true)
    size = lengths[0] * lengths[1]
    cosine = along / size if size else math.nan
    lines = [
        Line(
            "cosine",
            "(rule · gradient) / (|rule| |gradient|)",
            f"{number(along)} / ({product(lengths)})",
            cosine,
        )
    ]
    if math.isnan(cosine):
        words = "One of the two is 0 for this example: there is nothing to compare."
    elif cosine > 0.999:
        words = f"For this example {title} points where the gradient points."
    elif cosine > 0:
        words = f"Above 0: for this example {title} goes downhill, but not the steepest way."
    else:
        words = f"Not above 0: for this example {title} does not go downhill."
    words += " 1 is the same direction, 0 a right angle, −1 the opposite."
    return Step("end", "How far is it from the gradient?", Side(lines, words), Side(), [], ())
