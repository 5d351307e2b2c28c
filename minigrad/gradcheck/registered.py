"""Float arrays that a layer uses, and that are in neither its params nor its buffers."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np

from minigrad import backend
from minigrad.backend import Array
from minigrad.gradcheck.findings import Findings, close
from minigrad.gradcheck.function import Function
from minigrad.gradcheck.precision import every_part
from minigrad.layers import Layer


def shared_views(subject: Any) -> list[str]:
    """Sentences for parameters in one memory that are not one array: W and a view of W."""
    params = dict(subject.params) if isinstance(subject, Layer) else {}
    arrays = {name: array for name, array in params.items() if isinstance(array, np.ndarray)}
    return [
        f"{one} and {other} are views of one memory, and not one array. A step of the one moves "
        "the other; they were checked as if they were two. Put the same array in both places"
        for one, other in combinations(arrays, 2)
        if arrays[one] is not arrays[other] and np.may_share_memory(arrays[one], arrays[other])
    ]


def examine_registration(f: Function, x: Array, found: Findings) -> None:
    """Warn of each float array outside params and buffers that y depends on."""
    if f.model is None:
        return
    y = f.value(x)
    for part in every_part(f.model):
        before = Layer.unregistered(part)
        f.value(x.copy())  # a copy: an attribute that is x itself is then another array
        for name, array in Layer.unregistered(part).items():
            # an array that forward replaces each time is a cache
            if before.get(name) is array:
                _examine_array(f, x, y, type(part).__name__, name, array, found)


def examine_mixing(f: Function, x: Array, found: Findings) -> None:
    """Warn if an example's output depends on the others, and no class says so."""
    if f.model is None or f.is_loss or x.ndim < 2 or len(x) < 2:
        return
    if any(part.mixes_examples for part in every_part(f.model)):
        return
    y = f.value(x)
    other = x.copy()
    other[0] = 0.5 * other[0] + 0.25
    moved = f.moved_value(other)
    if moved is None or moved.shape != y.shape or len(y) != len(x) or close(moved[1:], y[1:]):
        return
    found.warnings.append(
        "the output for one example depends on the other examples of the batch. Write "
        "mixes_examples = True into the class, so that noise on activities, which needs examples "
        "on their own, refuses it"
    )


def _examine_array(
    f: Function, x: Array, y: np.ndarray, layer: str, name: str, array: Array, found: Findings
) -> None:
    old = array.copy()
    try:
        array[...] = 1.01 * array + 0.01
    except ValueError:  # read-only: a constant
        return
    try:
        moved = f.moved_value(x)
        untouched = bool((backend.to_host(array) == backend.to_host(1.01 * old + 0.01)).all())
    finally:
        array[...] = old
    if moved is not None and np.array_equal(moved, y, equal_nan=True):
        return
    if not untouched:
        return
    found.warnings.append(
        f"y depends on {layer}.{name} {tuple(array.shape)}, an array that is in neither params "
        f'nor buffers. No rule will train it, and nothing saves it. Put it into params["{name}"] '
        f'if it is to be learned, into buffers["{name}"] if it is a constant'
    )
