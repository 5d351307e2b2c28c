"""Save the state of a layer's random generators, and set it again."""

from __future__ import annotations

import copy
import random
from collections.abc import Mapping
from typing import Any

import numpy as np

STREAMS = (np.random.Generator, np.random.RandomState, random.Random)


class RandomStreams:
    """Every layer has `rng_state` and `set_rng_state` from here.

    They find generators in attributes, as in `self.rng = np.random.default_rng(seed)`, and in
    dicts in attributes. A layer that keeps a generator elsewhere overrides both methods.
    """

    def rng_state(self) -> dict[str, Any]:
        """{attribute: a copy of its generator}, for generators on the host. Most layers have {}."""
        state: dict[str, Any] = {}
        for name, value in vars(self).items():
            if isinstance(value, STREAMS):
                state[name] = value
            elif isinstance(value, dict):
                inside = {key: item for key, item in value.items() if isinstance(item, STREAMS)}
                if inside:
                    state[name] = inside
        return copy.deepcopy(state)

    def set_rng_state(self, state: Mapping[str, Any]) -> None:
        """Go back to a state from `rng_state`. The layer then draws the same numbers again."""
        for name, value in copy.deepcopy(dict(state)).items():
            if isinstance(value, dict):
                getattr(self, name).update(value)
            else:
                setattr(self, name, value)
