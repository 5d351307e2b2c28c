"""The random streams of a layer: their state, to be copied, saved and set again."""

from __future__ import annotations

import copy
import random
from collections.abc import Mapping
from typing import Any

import numpy as np

STREAMS = (np.random.Generator, np.random.RandomState, random.Random)


class RandomStreams:
    """Part of every layer: `rng_state` and `set_rng_state`.

    They find the streams by themselves. A layer that draws random numbers keeps its generator in
    an attribute, `self.rng = np.random.default_rng(seed)`, or several in a dict. A layer that keeps
    its stream in another way overrides both methods.
    """

    def rng_state(self) -> dict[str, Any]:
        """Copies of this layer's generators on the host, by attribute. {} for most layers."""
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
        """Draw from now on what the layer would have drawn after `rng_state` gave this state."""
        for name, value in copy.deepcopy(dict(state)).items():
            if isinstance(value, dict):
                getattr(self, name).update(value)
            else:
                setattr(self, name, value)
