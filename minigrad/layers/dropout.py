"""Dropout."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from minigrad.backend import Array, array_module, device_generator, host_generator
from minigrad.checks import not_negative
from minigrad.layers.base import Layer


class Dropout(Layer):
    r"""y = x ⊙ m in training, m = 0 with probability p, else 1/(1-p); y = x in evaluation.

    Shapes: any x, y the same. E[y] = x, so evaluation needs no rescaling ("inverted" dropout).
    Backward:  dx    = dy ⊙ m
    Jvp:       y_dot = x_dot ⊙ m        the same m: the derivative of what forward did
    Each evaluation draws a new mask, where x lives, from random numbers of the layer's own;
    `reseed` restarts them, and several evaluations share one mask within `holding(model)`.
    Source: Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov 2014, §4 and §10.
    """

    monotone = True

    def __init__(
        self,
        p: float = 0.5,
        *,
        dtype: Any = None,
        rng: np.random.Generator | None = None,
        seed: int | None = None,
    ):
        """
        p          the probability that a number is dropped, 0 <= p < 1
        dtype      float32 or float64; None: that of its input
        rng, seed  where the masks come from, a numpy.random.Generator or an integer, not both;
                   without them two layers draw different masks
        """
        super().__init__(dtype)
        self.p = not_negative("p", p)
        if self.p >= 1:
            raise ValueError(f"p is the probability to drop: expected 0 <= p < 1, got {p}")
        self.reseed(int(host_generator(rng, seed).integers(2**63)))

    def reseed(self, seed: int) -> None:
        self._seed = seed
        self.generators: dict[str, Any] = {}  # by the array module's name

    def __getstate__(self) -> dict[str, Any]:
        """For copies, also in other processes: NumPy's random numbers go on where they are.

        CuPy's generators cannot be copied: a copy begins them anew.
        """
        kept = {name: g for name, g in self.generators.items() if name == "numpy"}
        return super().__getstate__() | {"generators": kept}

    def forward(self, x: Array, train: bool = True) -> Array:
        array_module(x)
        self.check_input(x)
        if not train or self.p == 0:
            self.cache = 1  # y = 1·x
            return x.copy()
        self.cache = m = self.once(f"mask {x.shape}", lambda: self._mask(x))
        return x * m

    def _mask(self, x: Array) -> Array:
        xp = array_module(x)
        if xp.__name__ not in self.generators:  # only x tells where to draw
            self.generators[xp.__name__] = device_generator(self._seed, xp)
        kept = self.generators[xp.__name__].random(x.shape, dtype=np.float32) >= self.p
        return kept.astype(x.dtype) / (1 - self.p)

    def backward(self, dy: Array) -> Array:
        return dy * self.recall()

    def jvp(self, x_dot: Array, params_dot: Mapping[str, Array] | None = None) -> Array:
        return x_dot * self.recall()

    def __repr__(self) -> str:
        return f"Dropout({self.p})"
