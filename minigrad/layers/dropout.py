"""Dropout."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import numpy as np

from minigrad.backend import Array, array_module, host_generator
from minigrad.checks import count, not_negative, number
from minigrad.generators import described, restored
from minigrad.kernels.counter import uniform
from minigrad.layers.base import Layer
from minigrad.streams import Action


class Dropout(Layer):
    r"""y = x ⊙ m in training, m = 0 with probability p, else 1/(1-p). In evaluation y = x.

    Shapes: any x, y the same. E[y] = x, so evaluation needs no rescaling ("inverted" dropout).
    Backward:  dx    = dy ⊙ m           the m of the last forward
    Jvp:       y_dot = x_dot ⊙ m        the m of the last forward
    Each forward draws a new mask m, on the device of x. Within `holding(model)` all forwards use
    one mask. Each layer has its own random numbers. `reseed` restarts them. A copy goes on
    where the layer was. So does a layer that was pickled, or set to an `rng_state`.
    Source: Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov 2014, §4 and §10.
    Taught in: 07_deep_networks.
    """

    monotone = True
    _not_searched = ("generators",)  # `rng_state` below adds them

    def __init__(
        self,
        p: float = 0.5,
        *,
        dtype: Any = None,
        rng: np.random.Generator | None = None,
        seed: int | None = None,
    ):
        """
        p          the probability that a number is dropped, 0 <= p <= 1. With 1, y = 0
        dtype      float32 or float64. None: the dtype of the input
        rng, seed  a numpy.random.Generator, or an integer, not both: the source of the masks.
                   Without them the masks differ from run to run
        """
        super().__init__(dtype)
        self.p = not_negative("p", p)
        if self.p > 1:
            raise ValueError(f"p is the probability of a drop: expected 0 <= p <= 1, got {p}")
        self.reseed(int(host_generator(rng, seed).integers(2**63)))

    def reseed(self, seed: int) -> None:
        self._seed = seed
        self.generators: dict[str, np.random.Generator] = {}  # "numpy": made by the first mask
        self.drawn = 0  # how many random numbers were drawn on a GPU

    def forward(self, x: Array, train: bool = True) -> Array:
        array_module(x)
        self.check_input(x)
        if not train or self.p == 0:
            self.cache = 1  # y = 1·x
            return x.copy()
        self.cache = m = self.once(f"mask {x.shape}", lambda: self._mask(x))
        return x * m

    def _mask(self, x: Array) -> Array:
        kept = self._uniform(x) >= self.p
        return kept.astype(x.dtype) / ((1 - self.p) or 1)  # p = 1: none is kept

    def _uniform(self, x: Array) -> Array:
        """Random numbers in [0, 1) of x's shape, on the device of x."""
        xp = array_module(x)
        if xp is np:
            if "numpy" not in self.generators:
                self.generators["numpy"] = np.random.default_rng(self._seed)
            drawn: Any = self.generators["numpy"].random(x.shape, dtype=np.float32)
            return cast("Array", drawn)
        # A counter: CuPy's own generators can be neither saved nor copied.
        u = uniform(xp, self._seed, self.drawn, x.shape)
        self.drawn += x.size
        return u

    def rng_state(self) -> dict[str, Any]:
        """The seed, the host's generator once it is made, and the numbers drawn on a GPU."""
        state = super().rng_state() | {"seed": int(self._seed), "drawn": self.drawn}
        made = {name: described(generator) for name, generator in self.generators.items()}
        if made:
            state["generators"] = made
        return state

    def _rng_actions(self, state: Mapping[str, Any]) -> list[Action]:
        """What `set_rng_state` is about to do, after all checks."""
        who = type(self).__name__
        if not isinstance(state, Mapping) or not {"seed", "drawn"} <= state.keys():
            raise KeyError(f"{who}: expected random streams with seed and drawn, got {state!r:.60}")
        rest = dict(state)
        seed = number(f"{who}: seed", rest.pop("seed"))
        if not isinstance(seed, int) or seed < 0:
            raise ValueError(f"{who}: seed must be a whole number >= 0, got {seed!r}")
        drawn = count(f"{who}: drawn", rest.pop("drawn"))
        given = rest.pop("generators", {})
        if not isinstance(given, Mapping) or given.keys() - {"numpy"}:
            raise KeyError(f"{who}: expected a generator called numpy, got {given!r:.60}")
        new = {name: restored(one, f"{who}: {name}") for name, one in given.items()}
        if not all(isinstance(one, np.random.Generator) for one in new.values()):
            raise ValueError(f"{who}: its generator must be a numpy.Generator")

        def act() -> None:
            self._seed = seed
            self.drawn = drawn
            self.generators = cast("dict[str, np.random.Generator]", new)

        return [*super()._rng_actions(rest), (act, None)]

    def backward(self, dy: Array) -> Array:
        return dy * self.recall()

    def jvp(self, x_dot: Array, params_dot: Mapping[str, Array] | None = None) -> Array:
        return x_dot * self.recall()

    def __repr__(self) -> str:
        return f"Dropout({self.p})"
