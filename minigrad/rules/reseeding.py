"""The random streams of a rule, and of all that it holds, begun anew from a seed."""

from __future__ import annotations

import random
from typing import Any

import numpy as np

from minigrad.generators import Known, is_known, set_to
from minigrad.layers import Layer
from minigrad.streams import RandomStreams


def reseed_parts(owner: Any, seed: int) -> None:
    """Give each generator in the owner's attributes, and in dicts and lists there, a new state.

    Things there that have a `reseed(seed)`, such as a wrapped rule or a DirectionSampler, do it
    themselves. Modules and optimisers are searched in the same way. Networks are left alone, but
    for those of modules. Generators are set in place: two objects that share one still share it.
    """
    seeds = np.random.SeedSequence(seed)
    modules = getattr(owner, "_holds_layers", False)
    for value in list(vars(owner).values()):
        for item in _inside(value):
            new = int(seeds.spawn(1)[0].generate_state(1)[0])
            if is_known(item):
                set_to(item, _seeded(item, new))
            elif isinstance(item, type) or (isinstance(item, Layer) and not modules):
                continue
            elif callable(getattr(item, "reseed", None)):
                item.reseed(new)
            elif isinstance(item, RandomStreams):
                reseed_parts(item, new)


def _inside(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return list(value) if isinstance(value, list | tuple) else [value]


def _seeded(like: Any, seed: int) -> Known:
    """A new generator of the same kind."""
    if isinstance(like, random.Random):
        return random.Random(seed)
    if isinstance(like, np.random.RandomState):
        kind = like.get_state(legacy=False)["bit_generator"]
        return np.random.RandomState(getattr(np.random, str(kind))(seed))
    bits = type(getattr(like, "bit_generator", like))(seed)
    return np.random.Generator(bits) if isinstance(like, np.random.Generator) else bits
