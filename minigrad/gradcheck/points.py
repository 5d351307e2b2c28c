"""The derivatives at other points: a second x, other batch sizes, the other mode, other strides.

A layer that is right at one x may be wrong at the next: it keeps an old cache, say.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from minigrad import backend
from minigrad.backend import Array, array_module
from minigrad.gradcheck.compared import decisions
from minigrad.gradcheck.differences import DirectionDifference
from minigrad.gradcheck.findings import Findings, close, differing, on_device, results, upstream
from minigrad.gradcheck.function import Function, gradient_of
from minigrad.gradcheck.table import along, tangents_for

MANY = 6  # with more arrays than that, one direction moves all of them at once
MIX = 0.5**0.5  # no round number: a mixture of round numbers may hit a kink at 0
FACTOR = 1024.0  # a power of two: it rounds nothing


def second(x: Array) -> Array:
    """Another x in the same range: each example a mixture of itself and the one before it."""
    host = backend.to_host(x)
    if host.ndim == 0 or len(host) < 2:
        return backend.to_device(MIX * host, like=x)
    return backend.to_device(MIX * host + (1 - MIX) * np.roll(host, 1, axis=0), like=x)


def examine_points(
    f: Function, x: Array, found: Findings, rng: np.random.Generator, rtol: float, jvp: bool
) -> None:
    """The same x again, a second x, other batch sizes, and the other mode."""
    found.attempt("again", partial(examine_repetition, f, x, found, rng, jvp))
    f.output(x)  # if forward keeps an old cache, it is now that of x
    where = "at a second x (does forward keep an old cache?)"
    found.attempt("second x", partial(compare_at, f, second(x), found, rng, rtol, jvp, where))
    batches = [len(x)] if x.ndim else []
    for batch, g in other_batches(f, x):
        if compare_batch(g, batch, found, rng, rtol, jvp):
            batches.append(len(batch))
    if batches:
        sizes = ", ".join(str(n) for n in sorted(set(batches)))
        found.notes.append(f"batches of {sizes} examples")
    examine_mode(f, x, found, rng, rtol, jvp)


def examine_repetition(
    f: Function, x: Array, found: Findings, rng: np.random.Generator, jvp: bool
) -> None:
    """The same x must give the same results, whatever was called in between."""
    y = f.value(x)
    dy = upstream(f, y, rng, x)
    tangents = on_device(tangents_for(f.arrays(x), rng), x) if jvp else None
    first = results(f, x, dy, tangents)
    f.output(second(x))
    for name in differing(results(f, x, dy, tangents), first):
        found.fault(name, "another result after a forward at another x: it keeps an old cache")
    if tangents is not None:
        f.output(x)
        f.jvp(tangents)
        after = {name: backend.to_host(a).copy() for name, a in f.backward(dy).items()}
        f.output(x)
        f.backward(dy)
        after["y_dot"] = backend.to_host(f.jvp(tangents)).copy()
        for name in differing(after, {k: v for k, v in first.items() if k != "y"}):
            found.fault(name, "jvp and backward at one point disturb each other: keep the cache")
    wide_dy = dy if f.is_loss else _strided(dy)
    for name in differing(results(f, _strided(x), wide_dy, tangents), first):
        found.fault(name, "another result for x or dy that is not contiguous (a slice, x.T)")
    if not f.is_loss:
        f.output(x)
        scaled = {name: backend.to_host(a) / FACTOR for name, a in f.backward(FACTOR * dy).items()}
        for name, gradient in scaled.items():
            if not close(gradient, first[name]):
                found.fault(name, "1024 times dy must give 1024 times the gradient: do not clip dy")
    if tangents is not None:
        many = {name: FACTOR * tangent for name, tangent in tangents.items()}
        if not close(backend.to_host(f.tangent(x, many)) / FACTOR, first["y_dot"]):
            found.fault("y_dot", "1024 times the tangents must give 1024 times y_dot")


def _strided(array: Array) -> Array:
    """The same numbers with gaps: every second place of a wider last axis."""
    xp = array_module(array)
    if array.ndim == 0:
        return array
    wide = xp.zeros((*array.shape[:-1], 2 * array.shape[-1]), array.dtype)
    wide[..., ::2] = array
    return wide[..., ::2]


def other_batches(f: Function, x: Array) -> Iterator[tuple[Array, Function]]:
    """A batch of one example and a batch twice as large as x, with their targets."""
    if x.ndim == 0 or len(x) == 0:
        return
    xp = array_module(x)
    target: Any = f.target
    fits = hasattr(target, "shape") and len(target.shape) > 0 and len(target) == len(x)
    if len(x) > 1:
        yield x[:1].copy(), f.at(target=target[:1] if fits else target)
    double = xp.concatenate([x, second(x)])
    both = xp.concatenate([target, target]) if fits else target
    yield double, f.at(target=both)


def compare_batch(
    f: Function,
    x: Array,
    found: Findings,
    rng: np.random.Generator,
    rtol: float,
    jvp: bool,
    mode: str = "",
) -> bool:
    """Compare at this batch; False where the layer does not take it, which is no fault."""
    try:
        f.output(x)
    except Exception:  # batch norm refuses a batch of one; a surface may want one shape
        return False
    where = f"for a batch of {len(x)}{mode}"
    found.attempt(where, lambda: compare_at(f, x, found, rng, rtol, jvp, where))
    return True


def examine_mode(
    f: Function, x: Array, found: Findings, rng: np.random.Generator, rtol: float, jvp: bool
) -> None:
    """Compare in the other mode: in evaluation if f is in training, else in training."""
    if f.model is None:
        return
    g = f.at(train=not f.train)
    mode = "training" if g.train else "evaluation"
    try:
        g.output(x)
    except Exception as error:  # the layer's own code may raise anything
        if g.train and isinstance(error, ValueError):  # batch norm refuses a batch of one
            found.notes.append(f"not checked in training mode: {error}")
        else:
            found.fault(f"{mode} mode", f"forward stopped by {type(error).__name__}: {error}")
        return
    where = f"in {mode} mode (train={g.train})"
    for point in (x, second(x)):
        found.attempt(f"{mode} mode", partial(compare_at, g, point, found, rng, rtol, jvp, where))
    for batch, h in other_batches(g, x):
        compare_batch(h, batch, found, rng, rtol, jvp, f" {where}")


def compare_at(
    f: Function,
    x: Array,
    found: Findings,
    rng: np.random.Generator,
    rtol: float,
    jvp: bool,
    where: str,
) -> None:
    """Compare each gradient and y_dot at x with difference quotients along random directions."""
    y = f.value(x)
    dy = upstream(f, y, rng, x)
    host_dy = backend.to_host(dy)
    arrays = f.arrays(x)
    f.output(x)
    gradients = {name: backend.to_host(a).copy() for name, a in f.backward(dy).items()}
    for name in gradients.keys() - {gradient_of(each) for each in arrays}:
        found.fault(name, f"backward wrote a gradient for {name[1:]!r}, no parameter, {where}")
    moving = {}
    for name, array in arrays.items():
        gradient = gradients.get(gradient_of(name))
        if gradient is None:
            found.fault(gradient_of(name), f"backward wrote no such gradient {where}")
        elif gradient.shape != array.shape:
            text = f"shape {gradient.shape} instead of {array.shape} {where}"
            found.fault(gradient_of(name), text)
        else:
            moving[name] = gradient
    groups = [[name] for name in moving] if len(moving) <= MANY else [list(moving)]
    for group in groups:
        label = ", ".join(gradient_of(name) for name in group)
        for _ in range(3):
            tangents = tangents_for({name: arrays[name] for name in group}, rng)
            moves = [(arrays[name], tangents[name], moving[name]) for name in group]
            state, _, _ = along(f, x, y, host_dy, moves, rtol)
            if state == "wrong":
                found.fault(label, f"wrong {where}")
            if state in ("ok", "wrong"):
                break
        else:
            found.notes.append(f"{label} could not be compared {where}: kinks?")
    found.points += 1
    if jvp:
        _compare_jvp(f, x, y, found, rng, rtol, where)


def _compare_jvp(
    f: Function,
    x: Array,
    y: np.ndarray,
    found: Findings,
    rng: np.random.Generator,
    rtol: float,
    where: str,
) -> None:
    arrays = f.arrays(x)
    tangents = tangents_for(arrays, rng)
    f.output(x)
    y_dot = backend.to_host(f.jvp(on_device(tangents, x))).copy()
    if y_dot.shape != y.shape:
        found.fault("y_dot", f"shape {y_dot.shape} instead of {y.shape} {where}")
        return
    moves = [(array, tangents[name]) for name, array in arrays.items()]
    difference = DirectionDifference(f, x, y, moves)
    ladder = difference.ladder()
    states = [
        decision.state
        for decision in decisions(y_dot.reshape(-1), difference.quotient, lambda _: ladder, rtol)
    ]
    if "wrong" in states:
        found.fault("y_dot", f"wrong {where}: {states.count('wrong')} of {len(states)} entries")
