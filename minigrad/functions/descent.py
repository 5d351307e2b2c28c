"""Descents: a learning rule and an optimiser move a point down a surface."""

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
    """Where a descent was after each step: path (steps + 1, n), heights (steps + 1,), NumPy's."""

    path: np.ndarray
    heights: np.ndarray


def descend(
    model: Sequential,
    rule: Rule,
    optimizer: Optimizer,
    steps: int,
    schedule: Schedule | None = None,
) -> Descent:
    """(path, heights) of `steps` steps down a surface.

    model      at(surface); it is left at the end, and another call goes on from there
    rule       what estimates the gradients
    optimizer  what moves the point
    steps      an integer >= 0
    schedule   moved after each step, whatever its `per`

    path[0] is the start, path[t] the point after t steps, and heights[t] = f(path[t]).
    A height that is not finite ends the descent. Heights from there on are ∞, so that a median
    over runs counts the run among the worst; points after it are NaN, so that a plot has none.
    There are no epochs, and no `rule.end_epoch()`: WellTempered needs window=n.
    """
    _check(model, rule, optimizer, schedule)
    steps = positive_int("steps", steps, least=0)
    loss = Height()
    x = model.params["0.x"]
    xp = array_module(x)
    path = xp.full((steps + 1, x.size), np.nan, dtype=x.dtype)
    nothing = xp.zeros((1, 0), dtype=x.dtype)  # a batch of one, for rules that count examples
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
        path[lost[0] + 1 :], heights[lost[0] :] = np.nan, np.inf
    return Descent(path, heights)


def _check(model: Sequential, rule: Rule, optimizer: Optimizer, schedule: Schedule | None) -> None:
    """Raise unless these belong together."""
    check_parts(model, Height(), rule, optimizer, schedule)
    point, *rest = getattr(model, "layers", (None,))
    if not isinstance(point, Point) or len(rest) != 1 or rest[0].params:
        raise TypeError(
            f"descend takes a Point on a surface, at(surface), got {type(model).__name__} with "
            f"parameters {list(getattr(model, 'params', {}))}"
        )
    if [leaf for _, leaf in optimizer.model.leaves() if leaf.params] != [point]:
        raise ValueError(
            "the optimiser steps another model; make it anew for this one: "
            f"{type(optimizer).__name__}(model, lr=...)"
        )
    check_belongs(model, optimizer, schedule)
