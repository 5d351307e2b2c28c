"""The orders of the page: look inside one step, and compare one weight's gradients."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from minigrad.backend import to_host
from minigrad.diagnostics.copies import as_before, copied
from minigrad.layers import Layer
from minigrad.live.inside.activations import formula_of
from minigrad.live.inside.backward import Backward
from minigrad.live.inside.forward import Forward
from minigrad.live.inside.instead import Instead, instead, next_direction, on_place
from minigrad.live.inside.meeting import agreement, distance, estimate
from minigrad.live.inside.small import Direction, Passes, Small, TooLarge
from minigrad.live.inside.steps import symbol
from minigrad.live.inside.surface import EXAMPLES, Plane, surface
from minigrad.live.inside.text import number, plain
from minigrad.live.inside.weight import STEP, compared
from minigrad.live.orders import Order
from minigrad.live.protocol import finite, whole
from minigrad.live.worker import Worker
from minigrad.losses import Loss
from minigrad.rules import Rule

SMALLER: dict[str, Any] = {"data": "moons", "hidden": [4]}


@dataclass(frozen=True)
class Subject:
    """What is looked at: a lane's parts, and one training example of class y."""

    model: Layer
    loss: Loss
    rule: Rule
    x: np.ndarray
    y: int
    classes: list[str]


class Asked(NamedTuple):
    """A question of the page: about whom, what the reply says of it anyway, and its fields."""

    subject: Subject
    about: dict[str, Any]
    fields: dict[str, Any]


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


def refused(error: TooLarge) -> dict[str, Any]:
    """What the page says of a network that is too large, and the setting that its button makes."""
    return {
        "small": False,
        "why": str(error),
        "settings": SMALLER,
        "button": "Take the two moons and 4 hidden units",
    }


def _subject(worker: Worker, lane: int, example: int) -> tuple[Subject, dict[str, Any]]:
    """The lane's parts and the example, and what the reply says of them."""
    race = worker.race
    own = race.lane(lane)
    if own.rule is None or own.status == "left out":
        raise ValueError(f"this lane is left out: {own.why}")
    x, y = to_host(race.train.x), to_host(race.train.y)
    example %= len(x)
    row = x[example].reshape(-1).astype("float64")
    about = {
        "race": race.number,
        "lane": lane,
        "step": own.done,
        "example": example,
        "examples": len(x),
    }
    return Subject(own.model, own.loss, own.rule, row, int(y[example]), race.classes), about


def _copied(subject: Subject) -> Subject:
    """Of copies: what follows is computed beside the training."""
    with as_before(subject.rule, subject.model, subject.loss):
        rule, model, loss = copied(subject.rule, subject.model, subject.loss)
    return replace(subject, rule=rule, model=model, loss=loss)


def _asked(worker: Worker, lane: int, example: int, **fields: Any) -> Asked:
    subject, about = _subject(worker, lane, example)
    return Asked(_copied(subject), about, fields)


def _inside(asked: Asked) -> dict[str, Any]:
    try:
        return asked.about | looked_into(asked.subject, **asked.fields)
    except TooLarge as error:
        return refused(error)


def _weight(asked: Asked) -> dict[str, Any]:
    of = asked.subject
    try:
        return asked.about | compared(of.model, of.loss, of.rule, of.x, of.y, **asked.fields)
    except TooLarge as error:
        return refused(error)


def key(value: Any) -> str:
    """The name of a weight, or of a direction: a short text."""
    if not isinstance(value, str) or len(value) > 20:
        raise ValueError(f"expected a name of a weight such as W1.2.3, got {value!r:.40}")
    return value


def numbers(value: Any) -> list[int]:
    """A short list of lanes."""
    if not isinstance(value, list) or len(value) > 20:
        raise ValueError(f"expected a list of numbers of lanes, got {value!r:.40}")
    return [whole(lane) for lane in value]


def way(value: Any) -> str:
    if value not in ("backprop", "rule"):
        raise ValueError(f'expected "backprop" or "rule", got {value!r:.40}')
    return str(value)


def _plane(worker: Worker, without: list[int]) -> Plane | dict[str, Any]:
    """What the surface is made of.

    without: numbers of lanes that are left out; so are those with another network (softmax twice)
    """
    race = worker.race
    try:
        nets = [Small(lane.model, lane.loss) for lane in race.lanes]
    except TooLarge as error:
        return refused(error)
    first = nets[0].softmax is None
    ways = [
        lane.trail.until(lane.done, lane.model)
        if (net.softmax is None) == first and lane.status != "left out" and k not in without
        else []
        for k, (lane, net) in enumerate(zip(race.lanes, nets, strict=True))
    ]
    if not any(ways):
        raise ValueError("no lane is left: there is no way to draw")
    x = to_host(race.train.x)[:EXAMPLES].reshape(len(race.train.x[:EXAMPLES]), -1)
    return Plane(nets[0], x.astype("float64"), to_host(race.train.y)[:EXAMPLES], ways)


def _surface(plane: Plane | dict[str, Any]) -> dict[str, Any]:
    return surface(plane) if isinstance(plane, Plane) else plane


ORDERS: dict[str, Order] = {
    "surface": Order(_plane, {"without": numbers}, then=_surface),
    "inside": Order(
        _asked,
        {"lane": whole, "example": whole, "direction": key, "backward": way},
        then=_inside,
    ),
    "inside_weight": Order(_asked, {"lane": whole, "example": whole, "key": key}, then=_weight),
}
