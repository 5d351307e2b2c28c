"""Rules that draw random numbers: a seed and the number of steps are all of their state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from minigrad.checks import positive_int
from minigrad.layers import Layer
from minigrad.rules.base import Rule
from minigrad.rules.loading import steps_of


class SeededRule(Rule):
    """(seed, step) fixes what is drawn in a step: a run that is continued draws the same."""

    def __init__(self, seed: int = 0):
        self.seed = positive_int("seed", seed, least=0)
        self.steps = 0

    def generator(self) -> np.random.Generator:
        """The random numbers of this step."""
        return np.random.default_rng((self.seed, self.steps))

    def reseed(self, seed: int) -> None:
        """Begin the random numbers anew, from this seed and step 0."""
        self.seed = positive_int("seed", seed, least=0)
        self.steps = 0

    def state_dict(self) -> dict[str, Any]:
        """The seed, and the number of steps."""
        return {"seed": self.seed, "steps": self.steps}

    def load_state_dict(self, model: Layer, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave.

        KeyError: the state is another rule's. ValueError: it is of another seed.
        """
        self.steps = steps_of(type(self).__name__, state, self.seed)
