"""Descents. A learning rule and an optimiser move a point down a surface."""

from __future__ import annotations

from math import isfinite
from typing import NamedTuple

import numpy as np

from minigrad import backend
from minigrad.backend import array_module
from minigrad.checks import positive_int
from minigrad.functions.point import Height, Point
from minigrad.layers import Sequential
from minigrad.optim import Optimizer, Schedule
from minigrad.rules import Rule
from minigrad.train import check_belongs, check_parts, move


class Descent(NamedTuple):
    """NumPy arrays: path (steps + 1, n) has the points, heights (steps + 1,) their heights."""

    path: np.ndarray
    heights: np.ndarray


def descend(
    model: Sequential,
    rule: Rule,
    optimizer: Optimizer,
    steps: int,
    schedule: Schedule | None = None,
) -> Descent:
    """Make `steps` steps down a surface. Returns (path, heights).

    model      at(surface). It stays at the last point. Another call continues from there
    rule       it estimates the gradients
    optimizer  it moves the point
    steps      an integer >= 0
    schedule   it moves on after each step, even with per="epoch"

    path[0] is the start. path[t] is the point after t steps. heights[t] = f(path[t]).
    A height that is not finite ends the descent. This height and all later ones become ∞: in a
    median over runs, this run is then among the worst. The points after it are NaN.
    There are no epochs, and `rule.end_epoch()` is not called. WellTempered needs window=n.
    """
    _check(model, rule, optimizer, schedule)
    steps = positive_int("steps", steps, least=0)
    loss = Height()
    x = model.params["0.x"]
    xp = array_module(x)
    path = xp.full((steps + 1, x.size), np.nan, dtype=x.dtype)
    nothing = xp.zeros((1, 0), dtype=x.dtype)  # a batch of one example
    path[0] = x
    with np.errstate(over="ignore", invalid="ignore"):
        for t in range(1, steps + 1):
            value = rule.estimate(model, loss, nothing, nothing)
            if not isfinite(value):
                break
            optimizer.step()
            path[t] = x
            if schedule is not None:
                move(schedule, rule)
        heights = backend.to_host(model.layers[1].forward(path, train=False))
    model.drop_cache()
    path = backend.to_host(path)
    lost = np.flatnonzero(~np.isfinite(heights))
    if lost.size:
        path[lost[0] + 1 :] = np.nan
        heights[lost[0] :] = np.inf
    return Descent(path, heights)


def _check(model: Sequential, rule: Rule, optimizer: Optimizer, schedule: Schedule | None) -> None:
    """Raise unless these fit together."""
    check_parts(model, Height(), rule, optimizer, schedule)
    point, *rest = getattr(model, "layers", (None,))
    if not isinstance(point, Point) or len(rest) != 1 or rest[0].params:
        raise TypeError(
            f"descend takes a Point on a surface, at(surface), got {type(model).__name__} with "
            f"parameters {list(getattr(model, 'params', {}))}"
        )
    if [leaf for _, leaf in optimizer.model.leaves() if leaf.params] != [point]:
        raise ValueError(
            "the optimiser steps another model. Make a new one for this model: "
            f"{type(optimizer).__name__}(model, lr=...)"
        )
    check_belongs(model, optimizer, schedule)
