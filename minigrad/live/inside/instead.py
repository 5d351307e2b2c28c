"""What a rule sends down in the place of the true slopes, for one example: numbers and words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from minigrad import rules
from minigrad.backend import to_device, to_host
from minigrad.layers import Layer
from minigrad.live.inside.backward import Signal
from minigrad.live.inside.small import Passes
from minigrad.live.inside.steps import symbol
from minigrad.live.inside.text import Product, number, slope_of
from minigrad.losses import CrossEntropyLoss
from minigrad.rules import Rule
from minigrad.rules.feedback.alignment import OtherWeights
from minigrad.rules.feedback.direct import Projected
from minigrad.rules.feedback.weights import fans_in, sent_through
from minigrad.rules.forward.base import Perturbation


@dataclass(frozen=True)
class Instead:
    """What a rule does in the place of going back by the true slopes.

    words    in a few sentences
    signals  {"h1.2": Signal}: its backward steps can be drawn; None: they cannot
    lowest   the lowest layer that gets a gradient
    """

    words: str
    signals: dict[str, Signal] | None = None
    lowest: int = 1


WORDS: dict[type, str] = {
    rules.WellTempered: (
        "It goes back as backprop does, then turns down each gradient that its own averages over "
        "the last examples show to be mostly noise."
    ),
    rules.LocalLosses: (
        "Nothing goes back through the network: each hidden layer has a small classifier of its "
        "own, and learns from that classifier's loss."
    ),
    rules.ForwardForward: (
        "Nothing goes back: each layer sees the example with the right label and with a wrong one, "
        "and learns to answer strongly to the right one, weakly to the wrong one."
    ),
    rules.PredictiveCoding: (
        "The units' values settle first, until each fits what is below and above it. Then each "
        "weight learns from the error at its own end; where errors are small, as in backprop."
    ),
    rules.ActivityPerturbation: (
        "It never goes back: it shakes the sums z, measures the slope of the loss along that "
        "shake, and takes slope times shake for the slopes in z."
    ),
    rules.GuidedForwardGradient: (
        "Another rule proposes a direction; this one measures the slope along it by forward mode, "
        "as on the right, and takes slope times direction."
    ),
    rules.SPSA: (
        "It takes no derivative: it moves all weights a little along a random direction, there and "
        "back, and the difference of the two losses is the slope."
    ),
    rules.EvolutionStrategies: (
        "It takes no derivative: it tries networks with weights moved at random, and adds up the "
        "moves, each times its loss."
    ),
}


def instead(rule: Rule, model: Layer, passes: Passes, x: Any, target: Any) -> Instead | None:
    """What this rule does; None for backprop. rule and model are copies, with x and target (1,)."""
    if type(rule) is rules.Backprop:
        return None
    if isinstance(rule, rules.TopLayerOnly):
        return Instead(
            "Nothing goes below the top layer: the layers below keep their first weights.",
            {},
            len(passes.net.stages),
        )
    if isinstance(rule, OtherWeights):
        return _other_weights(rule, model, passes)
    if isinstance(rule, Projected):
        return _projected(rule, model, passes, x, target)
    if type(rule) is rules.SyntheticGradients:
        return _predicted(rule, passes, x, target)
    if isinstance(rule, Perturbation) and rule.perturb == "weights":
        return Instead(_perturbation(rule))
    words = next((text for kind, text in WORDS.items() if isinstance(rule, kind)), None)
    return Instead(words or "This rule has a way of its own. Click a weight to see its estimate.")


def next_direction(rule: Rule, model: Layer) -> dict[str, np.ndarray] | None:
    """The first direction that a forward gradient of weights will take; None for other rules.

    rule is a copy: the direction is that of the rule's next estimate.
    """
    if not (isinstance(rule, Perturbation) and rule.perturb == "weights"):
        return None
    rule.steps += 1
    arrays = {
        prefix + name: p
        for prefix, leaf in model.leaves()
        if not leaf.frozen
        for name, p in leaf.params.items()
    }
    first = next(iter(rule.sample_for(arrays)))
    return {name: to_host(v).astype("float64") for name, v in first.items()}


def _perturbation(rule: Perturbation) -> str:
    several = rule.directions > 1
    draws = f"{rule.directions} random directions" if several else "a random direction"
    how = "by forward mode, as on the right" if rule.method == "jvp" else "by two losses"
    takes = "their mean slope times direction" if several else "slope times direction"
    return (
        f"It never goes back: it measures the slope of the loss along {draws}, {how}, and takes "
        f"{takes}. One estimate is mostly noise; on average it is the gradient."
    )


def _other_weights(rule: OtherWeights, model: Layer, passes: Passes) -> Instead:
    """B in the place of W. The slopes above are those of the rule, too."""
    found = rule._feedback(sent_through(model), fans_in(model))
    net = passes.net
    top = len(net.stages)
    signals: dict[str, Signal] = {}
    above = {k: passes.gradients[k] for k in passes.gradients if k.startswith(f"z{top}.")}
    signs = isinstance(rule, rules.SignSymmetric)
    words = (
        "The way back uses B in the place of W: the sign of each weight, and one size for all."
        if signs
        else "The way back uses B in the place of W: random numbers, drawn once and never changed."
    )
    for layer in range(top - 1, 0, -1):
        W_name = f"{net.stages[layer].prefix}W"
        B = to_host(found[W_name]) if W_name in found else net.stages[layer].layer.params["W"]
        here: dict[str, float] = {}
        for j in range(1, B.shape[0] + 1):
            products: list[Product] = []
            for k in range(1, B.shape[1] + 1):
                own = f"z{layer + 1}.{k}"
                name = slope_of(symbol(own), hat=layer + 1 < top)
                letter = f"B^{{({layer + 1})}}_{{{j},{k}}}"
                products.append(((letter, float(B[j - 1, k - 1])), (name, above[own])))
            value = sum(p[0][1] * p[1][1] for p in products)
            sources = tuple(f"z{layer + 1}.{k}" for k in range(1, B.shape[1] + 1))
            signals[f"h{layer}.{j}"] = Signal(tuple(products), "", value, words, sources)
            here[f"z{layer}.{j}"] = value * passes.slopes[f"z{layer}.{j}"]
        above = here
    kind = "the signs of the weights" if signs else "fixed random numbers B"
    return Instead(f"It goes back as backprop does, but through {kind} in the place of W.", signals)


def _projected(rule: Projected, model: Layer, passes: Passes, x: Any, target: Any) -> Instead:
    """e B straight to each hidden layer; or the label's row of B."""
    rule.estimate(model, CrossEntropyLoss(), x, target)
    net = passes.net
    last = "s" if net.softmax is not None else f"z{len(net.stages)}"
    labels = isinstance(rule, rules.DirectRandomTargetProjection)
    signals: dict[str, Signal] = {}
    for layer, stage in enumerate(net.stages[:-1], 1):
        B = to_host(rule.feedback[stage.cut]).astype("float64")
        for j in range(1, B.shape[1] + 1):
            key = f"h{layer}.{j}"
            products: list[Product] = []
            for c in range(1, B.shape[0] + 1):
                entry = (f"B^{{({layer})}}_{{{c},{j}}}", float(B[c - 1, j - 1]))
                if labels:
                    products.append(((f"y_{{{c}}}", float(c == passes.y + 1)), entry))
                else:
                    e = f"{last}.{c}"
                    products.append(((slope_of(symbol(e)), passes.gradients[e]), entry))
            value = sum(p[0][1] * p[1][1] for p in products)
            words = (
                "The label goes straight here, through a fixed random row. Whether the network "
                "was right makes no difference."
                if labels
                else "The error at the output goes straight here, through fixed random numbers B."
            )
            sources = ("L",) if labels else tuple(f"{last}.{c}" for c in range(1, B.shape[0] + 1))
            signals[key] = Signal(tuple(products), "", value, words, sources, arcs=True)
    what = "the label" if labels else "the output's error"
    return Instead(
        f"Nothing goes back layer by layer: each hidden layer gets {what} directly, through fixed "
        "random numbers B.",
        signals,
    )


def _predicted(rule: Any, passes: Passes, x: Any, target: Any) -> Instead:
    """What each module predicts at the output of its block."""
    net = passes.net
    signals: dict[str, Signal] = {}
    blocks, modules = rule.decoupled.blocks, rule.decoupled.modules
    layers = {stage.cut: layer for layer, stage in enumerate(net.stages, 1) if stage.cut}
    h = x
    for block, module in zip(blocks, modules, strict=False):
        h = block.forward(h)
        guess = to_host(module.predict(h, target)).astype("float64").reshape(-1)
        layer = layers.get(str(block.stop - 1))
        if layer is None:
            return Instead("Modules predict the slopes, at places that this picture does not have.")
        sees = "its outputs and the label" if rule.conditioned else "its outputs"
        letter = f"M^{{({layer})}}"
        for j, value in enumerate(guess, 1):
            key = f"h{layer}.{j}"
            true = passes.gradients[key]
            words = (
                f"A guess of the layer's module, which sees {sees}. Nothing has come back from "
                f"above. The true slope is {number(true)}."
            )
            sources = tuple(f"h{layer}.{i}" for i in range(1, len(guess) + 1))
            formula = f"{letter}(h^{{({layer})}}" + (", y)" if rule.conditioned else ")")
            formula += f", number {j}"
            signals[key] = Signal((), formula, float(value), words, sources, arcs=True)
    return Instead(
        "After each hidden layer a small module guesses the slope, so the layers below need not "
        "wait for what is above.",
        signals,
    )


def on_place(model: Layer, x: np.ndarray, y: int) -> tuple[Any, Any]:
    """One example as a batch of one, in the model's dtype and where it is."""
    like = next(iter(model.params.values()))
    row = to_device(np.ascontiguousarray(x[None].astype(like.dtype)), like)
    return row, to_device(np.array([y]), like)
