"""The way of a small network through its weights: where it was after some of its steps."""

from __future__ import annotations

import numpy as np

from minigrad.backend import to_host
from minigrad.layers import Layer

LARGEST = 500  # parameters; of larger networks nothing is kept
MOST = 200  # places; then every other one is dropped, and half as many are added


class Trail:
    """places  [(step, θ as one row)], from the first weights on; empty for a large network."""

    def __init__(self, model: Layer):
        self.small = sum(p.size for p in model.params.values()) <= LARGEST
        self.every = 1  # steps between two places
        self.places: list[tuple[int, np.ndarray]] = []
        self.add(0, model)

    def add(self, step: int, model: Layer) -> None:
        """Keep where the model is after `step` steps, if it is its turn."""
        if not self.small or step % self.every:
            return
        self.places.append((step, flat(model)))
        if len(self.places) > MOST:
            self.places = self.places[::2]
            self.every *= 2

    def until(self, step: int, model: Layer) -> list[tuple[int, np.ndarray]]:
        """The places, and where the model is now."""
        if not self.small or self.places[-1][0] == step:
            return list(self.places)
        return [*self.places, (step, flat(model))]


def flat(model: Layer) -> np.ndarray:
    """All parameters as one row, in float64 on the host."""
    rows = [to_host(p).astype("float64").ravel() for p in model.params.values()]
    return np.concatenate(rows) if rows else np.zeros(0)
