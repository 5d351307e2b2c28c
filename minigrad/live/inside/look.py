"""All steps of one example through a lane's network, as the page gets them: plain data."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from minigrad.diagnostics.copies import as_before, copied
from minigrad.layers import Layer
from minigrad.live.inside.activations import formula_of
from minigrad.live.inside.backward import Backward
from minigrad.live.inside.forward import Forward
from minigrad.live.inside.instead import Instead, instead, next_direction, on_place
from minigrad.live.inside.meeting import agreement, distance, estimate
from minigrad.live.inside.small import Direction, Passes, Small
from minigrad.live.inside.steps import symbol
from minigrad.live.inside.text import number, plain
from minigrad.live.inside.weight import STEP
from minigrad.live.protocol import finite
from minigrad.losses import Loss
from minigrad.rules import Rule


@dataclass(frozen=True)
class Subject:
    """What is looked at: a lane's parts, and one training example of class y."""

    model: Layer
    loss: Loss
    rule: Rule
    x: np.ndarray
    y: int
    classes: list[str]


def looked_into(
    subject: Subject, direction: str = "", backward: str = "backprop"
) -> dict[str, Any]:
    """All steps of one example, with all numbers. The page only draws.

    direction  "W1.2.3" or "b1.3": that weight alone moves; "random:5": random, of this seed;
               "rule": the rule's next one; "": the first weight
    backward   "backprop", or "rule": what the rule sends down
    """
    net = Small(subject.model, subject.loss)
    with as_before(subject.rule, subject.model, subject.loss):
        rule, model, _ = copied(subject.rule, subject.model, subject.loss)
        own = next_direction(rule, model)
    v, sentence, name = _direction(net, direction, own)
    passes = Passes(net, subject.x, subject.y, v)
    if not passes.usable:
        raise ValueError("the numbers of this network are no longer finite: it has diverged")
    with as_before(subject.rule, subject.model, subject.loss):
        rule, model, _ = copied(subject.rule, subject.model, subject.loss)
        other = instead(rule, model, passes, *on_place(subject.model, subject.x, subject.y))
    forward = Forward(passes, subject.classes, sentence)
    can = other is not None and other.signals is not None
    if can and other is not None and backward == "rule":
        back = Backward(passes, forward, other.signals, other.lowest)
        steps = [*forward.steps(), *back.steps()]
        steps.append(distance(passes, back.slopes, "this rule"))
    else:
        back = Backward(passes, forward)
        steps = [*forward.steps(), *back.steps()]
        steps.append(agreement(passes, net.quotient(subject.x, subject.y, v, STEP), STEP))
        if name == "rule":
            steps.append(estimate(passes, getattr(subject.rule, "directions", 1)))
    found = _described(passes, subject, back)
    return found | {
        "steps": [step.as_dict() for step in steps],
        "direction": name,
        "backward": "rule" if can and backward == "rule" else "backprop",
        "instead": _said(other),
        "has_direction": own is not None,
    }


def _said(other: Instead | None) -> dict[str, Any] | None:
    if other is None:
        return None
    return {"words": other.words, "drawn": other.signals is not None}


def _direction(net: Small, asked: str, own: Direction | None) -> tuple[Direction, str, str]:
    """(the direction, what it is in words, its name)."""
    shapes = {
        f"{stage.prefix}{name}": p.shape
        for stage in net.stages
        for name, p in stage.layer.params.items()
    }
    if asked == "rule" and own is not None:
        sentence = "All weights move at once: the random direction that this rule takes next."
        return own, sentence, "rule"
    if asked.startswith("random"):
        seed = asked.partition(":")[2] or "0"
        rng = np.random.default_rng(int(seed) if seed.isdecimal() else 0)
        drawn = {name: rng.standard_normal(shape) for name, shape in shapes.items()}
        sentence = "All weights move at once, each at a random speed: a random direction."
        return drawn, sentence, asked
    key = asked if asked[:1] in ("W", "b") else "W1.1.1"
    kind, _, index = key.partition(".")
    try:
        stage = net.stages[int(kind[1:]) - 1]
        v = np.zeros(shapes[f"{stage.prefix}{kind[0]}"])
        v[tuple(int(i) - 1 for i in index.split("."))] = 1.0
    except (ValueError, IndexError, KeyError):
        raise ValueError(f"no weight of this picture: {asked!r:.40}") from None
    if not v.any() or v.sum() != 1 or "-" in index or "0" in index.split("."):
        raise ValueError(f"no weight of this picture: {asked!r:.40}")
    sentence = f"One weight alone moves, {symbol(key)}, at speed 1. All else stands still."
    return {f"{stage.prefix}{kind[0]}": v}, sentence, key


def _described(passes: Passes, subject: Subject, back: Backward) -> dict[str, Any]:
    by_kind = {
        "value": passes.values,
        "gradient": back.slopes,
        "tangent": passes.tangents,
    }
    texts = {
        kind: {key: _short(value) for key, value in found.items()}
        for kind, found in by_kind.items()
    }
    hidden = passes.net.stages[0].activation
    return {
        "small": True,
        "sizes": passes.net.sizes,
        "twice": passes.net.softmax is not None,
        "bias": "b" in passes.net.stages[0].layer.params,
        "activation": formula_of(hidden).name if hidden is not None else "",
        "classes": subject.classes,
        "y": subject.y,
        "x": [float(v) for v in subject.x],
        "numbers": {k: {n: finite(v) for n, v in d.items()} for k, d in by_kind.items()},
        "texts": texts,
        "symbols": {key: symbol(key) for key in passes.values},
        "names": {key: plain(symbol(key)) for key in passes.values},
    }


def _short(value: float) -> str:
    """A number for a small cell of the picture."""
    if value and abs(value) < 1e-3 and math.isfinite(value):
        return "≈ 0"
    return number(value, 2 if abs(value) < 0.1 else 3)
