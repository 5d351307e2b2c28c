"""Methods that must agree with others: forward_jvp, backward_params, each, each_jvp."""

from __future__ import annotations

from functools import partial

import numpy as np

from minigrad import backend
from minigrad.backend import Array
from minigrad.gradcheck.findings import Findings, close, copies, on_device, same
from minigrad.gradcheck.function import Function
from minigrad.gradcheck.table import tangents_for
from minigrad.layers import Layer
from minigrad.losses import Loss


def examine_siblings(f: Function, x: Array, found: Findings, rng: np.random.Generator) -> None:
    """Compare each faster method with the plain ones that it replaces."""
    output = x
    if f.model is not None:
        model = f.model
        for g in (f, f.at(train=not f.train)):
            if g.takes(x):
                found.attempt("forward_jvp", partial(_forward_jvp, g, model, x, found, rng))
                found.attempt("backward_params", partial(_backward_params, g, model, x, found, rng))
        model.reseed(f.seed)
        output = model.forward(x, f.train)
    if f.loss is not None:
        loss = f.loss
        found.attempt("each", lambda: _each(f, loss, output, found, rng))


def _forward_jvp(
    f: Function, model: Layer, x: Array, found: Findings, rng: np.random.Generator
) -> None:
    tangents = on_device(tangents_for(f.arrays(x), rng), x)
    x_dot = tangents["x"]
    params_dot = f.params_dot(tangents) or None
    for moved_x, moved_params in ((x_dot, params_dot), (x_dot, None), (None, params_dot)):
        if moved_x is None and moved_params is None:
            continue
        model.reseed(f.seed)
        y = backend.to_host(model.forward(x, f.train)).copy()
        y_dot = backend.to_host(model.jvp(moved_x, moved_params)).copy()
        held = {"x": x, "x_dot": x_dot} | dict(params_dot or {})
        before = copies(held)
        model.reseed(f.seed)
        both = model.forward_jvp(x, moved_x, moved_params, f.train)
        if not close(backend.to_host(both[0]), y):
            found.fault("forward_jvp", "its y is not forward's")
        if not close(backend.to_host(both[1]), y_dot):
            found.fault("forward_jvp", "its y_dot is not that of forward, then jvp")
        for name, array in held.items():
            if not same(array, before[name]):
                found.fault("forward_jvp", f"it changed {name} itself: compute a new array")
    model.reseed(f.seed)
    if model.forward_jvp(x, None, None, f.train)[1] is not None:
        found.fault("forward_jvp", "where nothing moves, its y_dot must be None")


def _backward_params(
    f: Function, model: Layer, x: Array, found: Findings, rng: np.random.Generator
) -> None:
    if not model.params:
        return
    model.reseed(f.seed)
    y = model.forward(x, f.train)
    dy = backend.to_device(np.asarray(rng.standard_normal(y.shape)), like=y)
    model.backward(dy)
    whole = copies(model.grads)
    for _, leaf in model.leaves():
        leaf.grads = {}
    model.reseed(f.seed)
    model.forward(x, f.train)
    before = copies({"dy": dy})
    model.backward_params(dy)
    alone = copies(model.grads)
    if not same(dy, before["dy"]):
        found.fault("backward_params", "it changed dy itself")
    for name in sorted(whole.keys() | alone.keys()):
        if name not in alone or name not in whole:
            words = "backward alone" if name in whole else "backward_params alone"
            found.fault("backward_params", f"{words} writes a gradient for {name}")
        elif not close(alone[name], whole[name]):
            found.fault("backward_params", f"its d{name} is not backward's")


def _one_by_one(loss: Loss, output: Array, target: Array) -> np.ndarray:
    """The loss of each example, as a batch of one."""
    values = [loss.forward(output[n : n + 1], target[n : n + 1]) for n in range(len(output))]
    return np.array(values)


def _among_others(loss: Loss, output: Array, target: Array) -> np.ndarray:
    """L_n of each example, with the other examples' outputs exchanged. It must be the same."""
    values = []
    for n in range(len(output)):
        other = backend.to_host(output).copy()
        others = [i for i in range(len(output)) if i != n]
        other[others] = other[others[1:] + others[:1]]
        moved = loss.each(backend.to_device(other, like=output), target)
        values.append(backend.to_host(moved)[n])
    return np.array(values)


def _each(
    f: Function, loss: Loss, output: Array, found: Findings, rng: np.random.Generator
) -> None:
    target = f.target_like(output)
    mixes = loss.mixes_examples  # then a factor of L_n depends on the batch
    value = loss.forward(output, target)
    gradient = backend.to_host(loss.backward()).copy()
    output_dot = backend.to_device(np.asarray(rng.standard_normal(output.shape)), like=output)
    before = copies({"output_dot": output_dot})
    try:
        values = backend.to_host(loss.each(output, target)).copy()
        # the size of the terms, since they may cancel in the mean; NaN if a term is NaN
        size = float(np.abs(values).mean())
        if values.shape != (len(output),):
            found.fault("each", f"shape {values.shape} instead of ({len(output)},)")
        elif not abs(float(values.mean()) - value) <= 1e-9 * size:  # also where it is NaN
            found.fault("each", f"its mean is {values.mean():.9g}, the loss {value:.9g}")
        elif not close(values, (_among_others if mixes else _one_by_one)(loss, output, target)):
            found.fault("each", "it is not each example's own loss")
        loss.each(output, target)
        if not close(backend.to_host(loss.backward()), gradient):
            found.fault("each", "it counts as a forward, but backward after it is another one")
    except NotImplementedError:
        pass
    loss.forward(output, target)
    slope = loss.jvp(output_dot)
    if loss.jvp(None) != 0:
        found.fault("jvp(None)", "None stands for what does not move: the slope is then 0")
    try:
        slopes = backend.to_host(loss.each_jvp(output_dot)).copy()
    except NotImplementedError:
        return
    size = float(np.abs(slopes).mean())
    if slopes.shape != (len(output),):
        found.fault("each_jvp", f"shape {slopes.shape} instead of ({len(output)},)")
    elif not abs(float(slopes.mean()) - slope) <= 1e-9 * size:
        found.fault("each_jvp", f"its mean is {slopes.mean():.9g}, jvp gives {slope:.9g}")
    if not same(output_dot, before["output_dot"]):
        found.fault("each_jvp", "it changed output_dot itself: compute a new array")
