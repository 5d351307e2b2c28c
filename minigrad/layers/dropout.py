"""Dropout."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from minigrad.backend import Array, array_module, device_generator, host_generator
from minigrad.checks import not_negative
from minigrad.layers.base import Layer


class Dropout(Layer):
    r"""y = x ⊙ m in training, m = 0 with probability p, else 1/(1-p). In evaluation y = x.

    Shapes: any x, y the same. E[y] = x, so evaluation needs no rescaling ("inverted" dropout).
    Backward:  dx    = dy ⊙ m           the m of the last forward
    Jvp:       y_dot = x_dot ⊙ m        the m of the last forward
    Each forward draws a new mask m, on the device of x. Within `holding(model)` all forwards use
    one mask. Each layer has its own random numbers. `reseed` restarts them.
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
        dtype      float32 or float64. None: the dtype of the input
        rng, seed  a numpy.random.Generator, or an integer, not both: the source of the masks.
                   Without them the masks differ from run to run
        """
        super().__init__(dtype)
        self.p = not_negative("p", p)
        if self.p >= 1:
            raise ValueError(f"p is the probability of a drop: expected 0 <= p < 1, got {p}")
        self.reseed(int(host_generator(rng, seed).integers(2**63)))

    def reseed(self, seed: int) -> None:
        self._seed = seed
        self.generators: dict[str, Any] = {}  # {name of the array module: generator}

    def __getstate__(self) -> dict[str, Any]:
        """What a copy or a pickle gets. NumPy's generator is copied in its present state.

        CuPy's generators cannot be copied. A copy starts them again from the seed.
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
        if xp.__name__ not in self.generators:  # x decides the device
            self.generators[xp.__name__] = device_generator(self._seed, xp)
        kept = self.generators[xp.__name__].random(x.shape, dtype=np.float32) >= self.p
        return kept.astype(x.dtype) / (1 - self.p)

    def backward(self, dy: Array) -> Array:
        return dy * self.recall()

    def jvp(self, x_dot: Array, params_dot: Mapping[str, Array] | None = None) -> Array:
        return x_dot * self.recall()

    def __repr__(self) -> str:
        return f"Dropout({self.p})"
