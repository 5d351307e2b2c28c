"""What a recorded step depends on, looked at again before it is repeated."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from minigrad.generators import common_state
from minigrad.kernels import form
from minigrad.layers import Layer

PLAIN = (bool, int, float, str, type(None), np.generic)
NUMBERS = (int, float, np.integer, np.floating)
MOST = 100  # entries of a list or a dict that are looked at
PASSING = {"cache", "grads", "_kept"}  # attributes that each step sets anew
Key = tuple[int, str]  # the number of an owner, and its attribute


class Seen:
    """The attributes of a model's layers, of a loss and of rules, and the arrays of the layers.

    It keeps the objects themselves, so that another object cannot be taken for one of them.
    """

    def __init__(self, model: Layer, others: Iterable[Any]):
        self.owners: list[Any] = [*model.modules(), *others]
        self.form = form()
        self.values: dict[Key, Any] = {}
        for i, owner in enumerate(self.owners):
            for name, value in _attributes(owner):
                self.values[i, name] = value

    def as_before(self, other: Seen, but: frozenset[Key] = frozenset()) -> bool:
        """Whether nothing has changed, apart from some attributes."""
        if self.form != other.form or len(self.owners) != len(other.owners):
            return False
        if any(a is not b for a, b in zip(self.owners, other.owners, strict=True)):
            return False
        return not self.changed(other) - but

    def changed(self, other: Seen) -> frozenset[Key]:
        """The attributes that are not the same."""
        keys = self.values.keys() | other.values.keys()
        missing = object()
        mine = self.values.get
        yours = other.values.get
        return frozenset(key for key in keys if not same(mine(key, missing), yours(key, missing)))

    def counted(self, other: Seen) -> str:
        """ "Noise.steps" for a number that is another one in `other`, or ""."""
        for i, name in sorted(self.changed(other)):
            if _counts(self.values.get((i, name)), other.values.get((i, name))):
                return f"{type(self.owners[i]).__name__}.{name}"
        return ""


def drawn(model: Layer, others: Iterable[Any]) -> dict[str, bytes]:
    """The state of all random streams, by the name of the class that draws."""
    found = {}
    for i, owner in enumerate([*model.modules(), *others]):
        if hasattr(owner, "rng_state"):
            found[f"{i} {type(owner).__name__}"] = pickle.dumps(owner.rng_state())
    return found | {"0 the shared generator, of random or np.random,": pickle.dumps(common_state())}


def _attributes(owner: Any) -> Iterator[tuple[str, Any]]:
    for name, value in vars(owner).items():
        if name in ("params", "buffers"):
            yield from ((f"{name}[{key!r}]", array) for key, array in value.items())
        elif isinstance(value, dict | list) and len(value) <= MOST and name not in PASSING:
            items = value.items() if isinstance(value, dict) else value
            yield name, (type(value), *items)
        elif name not in PASSING:
            yield name, value


def _counts(before: Any, after: Any) -> bool:
    """Whether a number is another one, also one in a list."""
    if isinstance(before, tuple) and isinstance(after, tuple) and len(before) == len(after):
        return any(map(_counts, before, after))
    numbers = isinstance(before, NUMBERS) and isinstance(after, NUMBERS)
    return numbers and not isinstance(before, bool) and not same(before, after)


def same(a: Any, b: Any) -> bool:
    """Whether these are the same object, or equal plain values."""
    if a is b:
        return True
    if isinstance(a, tuple) and isinstance(b, tuple) and len(a) == len(b):
        return all(same(x, y) for x, y in zip(a, b, strict=True))
    return type(a) is type(b) and isinstance(a, PLAIN) and a == b
