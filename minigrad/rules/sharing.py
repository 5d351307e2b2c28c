"""Weight tying: arrays that several layers share."""

from __future__ import annotations

from collections.abc import Mapping

from minigrad.backend import Array
from minigrad.layers import Layer


def shared(model: Layer) -> dict[str, list[str]]:
    """{the first name of an array: all its names}, for arrays that several layers have."""
    names: dict[int, list[str]] = {}
    for name, param in model.params.items():
        names.setdefault(id(param), []).append(name)
    return {group[0]: group for group in names.values() if len(group) > 1}


def summed(grads: Mapping[str, Array], groups: Mapping[str, list[str]]) -> dict[str, Array]:
    """One gradient for each array. Where layers share it, theirs are added under its first name.

    groups: as `shared` gives them.
    """
    total = dict(grads)
    for first, names in groups.items():
        found = [total.pop(name) for name in names if name in total]
        if found:
            total[first] = sum(found[1:], found[0])
    return total
