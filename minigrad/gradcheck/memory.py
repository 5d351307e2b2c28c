"""The memory of results: each call must return arrays of its own."""

from __future__ import annotations

import numpy as np

from minigrad import backend
from minigrad.backend import Array
from minigrad.gradcheck.findings import Findings, copies, on_device, same, upstream
from minigrad.gradcheck.function import Function
from minigrad.gradcheck.points import second
from minigrad.gradcheck.table import tangents_for

VIEWS = ({"x", "y"}, {"dy", "dx"}, {"x_dot", "y_dot"})  # Flatten's y is a view of its x


def examine_memory(
    f: Function, x: Array, found: Findings, rng: np.random.Generator, jvp: bool
) -> None:
    """No result may be overwritten by the next call, or share memory with other arrays."""
    y = f.value(x)
    dy = upstream(f, y, rng, x)
    tangents = on_device(tangents_for(f.arrays(x), rng), x)
    given = f.arrays(x) | {"dy": dy} | {f"{name}_dot": a for name, a in tangents.items()}
    results = {} if f.is_loss else {"y": f.output(x)}
    if f.is_loss:
        f.output(x)
    before = copies(results)
    results |= f.backward(dy)
    _changed(found, results, before, "backward changed {}, which forward had returned")
    before = copies(results)
    if jvp and not f.is_loss:
        results["y_dot"] = f.jvp(tangents)
        _changed(found, results, before, "jvp changed {}, which an earlier call had returned")
    before = copies(results)
    _aliases(found, results, given)
    f.output(second(x))
    f.backward(upstream(f, y, rng, x))
    if jvp:
        f.jvp(on_device(tangents_for(f.arrays(x), rng), x))
    _changed(found, results, before, "the next call overwrote {}: make a new array each time")


def _changed(
    found: Findings, results: dict[str, Array], before: dict[str, np.ndarray], words: str
) -> None:
    for name, copy in before.items():
        if not same(results[name], copy):
            found.fault(name, words.format(name))


def _aliases(found: Findings, results: dict[str, Array], given: dict[str, Array]) -> None:
    """Write into each result, and see what else changes."""
    everything = given | results
    whole = copies(everything)
    for name, result in results.items():
        try:
            result[...] = 2 * result + 1
        except ValueError:  # read-only: nobody can write through it
            continue
        for other, copy in whole.items():
            if other == name or same(everything[other], copy):
                continue
            view = {name, other} in VIEWS and result.size == everything[other].size
            if not view:
                found.fault(name, f"{name} shares memory with {other}: return a copy")
        for other, copy in whole.items():
            if not same(everything[other], copy):
                everything[other][...] = backend.to_device(copy, like=result)
