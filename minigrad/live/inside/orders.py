"""The orders of the page: look inside one step, and compare one weight's gradients."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

from minigrad.backend import to_host
from minigrad.diagnostics.copies import as_before, copied
from minigrad.live.inside.look import Subject, looked_into
from minigrad.live.inside.small import Small, TooLarge
from minigrad.live.inside.surface import EXAMPLES, Plane, surface
from minigrad.live.inside.weight import compared
from minigrad.live.orders import Order
from minigrad.live.protocol import whole
from minigrad.live.worker import Worker

SMALLER: dict[str, Any] = {"data": "moons", "hidden": [4]}


class Asked(NamedTuple):
    """A question of the page: about whom, what the reply says of it anyway, and its fields."""

    subject: Subject
    about: dict[str, Any]
    fields: dict[str, Any]


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
