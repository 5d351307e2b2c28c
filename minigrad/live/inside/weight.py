"""One weight: its gradient by the lane's rule, by backprop and by a difference quotient."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad.backend import to_host
from minigrad.diagnostics.copies import as_before, copied
from minigrad.layers import Layer
from minigrad.live.inside.instead import on_place
from minigrad.live.inside.small import Passes, Small
from minigrad.live.inside.steps import symbol
from minigrad.live.inside.text import number, slope_of
from minigrad.live.protocol import finite
from minigrad.losses import Loss
from minigrad.rules import Rule

STEP = 1e-4  # of the difference quotient
ESTIMATES = 40
SEED = 20  # of the estimates after the first one


def compared(
    model: Layer, loss: Loss, rule: Rule, x: np.ndarray, y: int, key: str
) -> dict[str, Any]:
    """The three numbers for the weight "W1.2.3" or the bias "b1.3", and their difference in words.

    Nothing of model, loss and rule changes: all is computed on copies.
    """
    net = Small(model, loss)
    passes = Passes(net, x, y, {})
    if key not in passes.values or key[0] not in "Wb":
        raise ValueError(f"no weight of this picture: {key!r:.40}")
    name, index = _place(net, key)
    backprop = passes.gradients[key]
    v = np.zeros_like(net.model.params[net.names()[name]])
    v[index] = 1.0
    above, below = net.quotient(x, y, {name: v}, STEP)
    difference = (above - below) / (2 * STEP)
    kink = _kink(net, x, y, name, v, passes.values["L"], above, below)
    estimates, why = _estimates(model, loss, rule, x, y, name, index)
    mean = float(np.mean(estimates)) if estimates else math.nan
    spread = float(np.std(estimates, ddof=1)) if len(estimates) > 1 else 0.0
    return {
        "key": key,
        "symbol": symbol(key),
        "slope": slope_of(symbol(key)),
        "value": finite(passes.values[key]),
        "backprop": finite(backprop),
        "difference": finite(difference),
        "above": finite(above),
        "below": finite(below),
        "step": STEP,
        "estimates": [finite(e) for e in estimates],
        "mean": finite(mean),
        "spread": finite(spread),
        "text": {
            "value": number(passes.values[key]),
            "backprop": number(backprop, 6),
            "difference": number(difference, 6),
            "quotient": f"({number(above, 8)} − {number(below, 8)}) / {2 * STEP:g}",
            "estimate": number(estimates[0], 6) if estimates else "none",
            "mean": number(mean, 3),
            "spread": number(spread, 3),
        },
        "words": [
            _of_difference(backprop, difference, kink),
            why or _of_rule(backprop, estimates, mean, spread),
        ],
    }


def _place(net: Small, key: str) -> tuple[str, tuple[int, ...]]:
    """(the name of the array, the index in it)."""
    kind, _, index = key.partition(".")
    stage = net.stages[int(kind[1:]) - 1]
    return f"{stage.prefix}{kind[0]}", tuple(int(i) - 1 for i in index.split("."))


def _estimates(
    model: Layer, loss: Loss, rule: Rule, x: np.ndarray, y: int, name: str, index: Any
) -> tuple[list[float], str]:
    """The rule's next estimate of this weight, and more if it is not always the same.

    (the estimates, why there are none)
    """
    found: list[float] = []
    with as_before(rule, model, loss):
        row, target = on_place(model, x, y)
        state = copied(rule, model, loss)
        for k in range(ESTIMATES):
            own_rule, own_model, own_loss = copied(*state)
            if k:
                own_rule.reseed(int(np.random.SeedSequence([SEED, k]).generate_state(1)[0]))
            try:
                own_rule.estimate(own_model, own_loss, row, target)
            except ValueError as error:
                return [], f"This rule has no estimate from one example: {error}."
            if name not in own_model.grads:
                found.append(0.0)
            else:
                found.append(float(to_host(own_model.grads[name])[index]))
            if k == 0 and _draws_late(rule):  # it keeps what it has drawn now
                state = copied(own_rule, *state[1:])
    return (found[:1] if len(set(found)) == 1 else found), ""


def _draws_late(rule: Rule) -> bool:
    """Whether what the rule keeps is drawn in its first estimate, and that is still to come."""
    return getattr(rule, "feedback", None) == {}


def _kink(
    net: Small, x: np.ndarray, y: int, name: str, v: Any, here: float, above: float, below: float
) -> bool:
    """Whether the slopes on the two sides differ by more than the curvature makes."""
    right, left = (above - here) / STEP, (here - below) / STEP
    half_above, half_below = net.quotient(x, y, {name: v}, STEP / 2)
    half = (half_above - here) / (STEP / 2) - (here - half_below) / (STEP / 2)
    gap = right - left
    # By curvature alone the gap halves with the step; at a kink it stays
    return abs(gap) > 1e-6 and abs(half) > 0.8 * abs(gap)


def _digits(a: float, b: float) -> int:
    """In how many digits two numbers agree."""
    size = max(abs(a), abs(b))
    if a == b or size == 0:
        return 15
    return max(0, math.floor(-math.log10(abs(a - b) / size)))


def _of_difference(backprop: float, difference: float, kink: bool) -> str:
    if abs(backprop - difference) < 1e-9 and abs(backprop) < 1e-9:
        return "Backprop and the difference quotient agree: a small change of it changes nothing."
    digits = _digits(backprop, difference)
    if kink or digits < 3:
        return (
            "Backprop and the difference quotient differ: within this small step the network "
            "passes a bend where a unit switches on or off. A quotient takes the mean of both "
            "sides."
        )
    return f"Backprop and the difference quotient agree in {min(digits, 12)} digits."


def _of_rule(g: float, estimates: list[float], mean: float, spread: float) -> str:
    first = estimates[0]
    if len(estimates) > 1:
        return _of_noisy(g, mean, spread, len(estimates))
    if g == 0 and first == 0:
        return "The rule agrees: 0."
    if first == 0:
        return "The rule gives 0: from this example this weight learns nothing."
    if _digits(g, first) >= 4:
        return "The rule gives what backprop gives."
    if g == 0:
        return "The rule moves this weight, although the loss does not depend on it here."
    ratio = first / g
    if ratio < 0:
        return "The rule has the other sign: for this weight it goes uphill."
    times = f"{number(ratio)} times as large" if ratio >= 1 else f"{number(ratio)} of its size"
    return f"The rule has the same sign as backprop: it goes downhill. It is {times}."


def _of_noisy(g: float, mean: float, spread: float, n: int) -> str:
    said = f"The rule draws at random: {n} estimates scatter by {number(spread)}"
    if g:
        said += f", {number(spread / abs(g))} times the gradient itself"
    off = abs(mean - g)
    error = spread / math.sqrt(n)
    if error == 0:
        return said + "."
    said += f". Their mean, {number(mean)}, is {number(off)} away from backprop: "
    if off < 3 * error:
        return said + f"no more than chance makes (a mean of {n} scatters by {number(error)})."
    return said + f"more than chance makes easily (a mean of {n} scatters by {number(error)})."
