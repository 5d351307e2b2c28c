"""Random matrices B that a rule draws once and keeps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from minigrad import backend
from minigrad.backend import Array, array_module
from minigrad.checks import positive, positive_int
from minigrad.layers import Layer
from minigrad.rules.base import Rule
from minigrad.rules.loading import check_finite, check_names, check_settings


class RandomFeedback(Rule):
    """The base of rules with fixed random matrices.

    feedback  {name: B}, drawn in the first estimate. An array that is put there before is used
              instead: rule.feedback["2.W"] = B. (It is copied if it has another dtype or lies in
              memory in another order, so that a resumed run has the same sums bit for bit.)
    """

    def __init__(self, scale: float = 1.0, seed: int = 0):
        self.scale = positive("scale", scale)
        self.seed = positive_int("seed", seed, 0)
        self.feedback: dict[str, Array] = {}

    def kept(
        self, name: str, key: int, like: Array, fan_in: int, shape: tuple[int, ...] | None = None
    ) -> Array:
        """B of this name, in the dtype and the shape of `like`, or in another shape.

        If there is none it is drawn: B ~ U(-a, a), a = scale/√fan_in. Each key has numbers of its
        own.
        """
        wanted = tuple(like.shape) if shape is None else shape
        B = self.feedback.get(name)
        if B is None:
            B = self.feedback[name] = self.drawn((key,), like, fan_in, shape)
        if tuple(B.shape) != wanted:
            raise ValueError(
                f"{type(self).__name__}: feedback[{name!r}] must have shape {wanted}, "
                f"this one has {tuple(B.shape)}. If it is of another model, make a new rule"
            )
        by_row = B.strides[-1:] == (like.dtype.itemsize,)
        in_order = B.strides == like.strides if shape is None else by_row
        if not in_order or B.dtype != like.dtype or array_module(B) is not array_module(like):
            B = self.feedback[name] = laid(B, like, shape)
        return B

    def drawn(
        self, key: tuple[int, ...], like: Array, fan_in: int, shape: tuple[int, ...] | None = None
    ) -> Array:
        """U(-a, a), a = scale/√fan_in, in the shape of `like` or in another."""
        rng = np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=key))
        bound = self.scale / np.sqrt(fan_in)
        return laid(rng.uniform(-bound, bound, shape or like.shape), like, shape)

    def check_feedback(self, names: Iterable[str]) -> None:
        """ValueError if `feedback` has a name that the model has not."""
        known = list(names)
        if unknown := [name for name in self.feedback if name not in known]:
            raise ValueError(
                f"{type(self).__name__}: feedback has {unknown[:5]}, and this model needs "
                f"{known[:5]}. If it is of another model, make a new rule"
            )

    def names(self, model: Layer) -> list[str]:
        """The names that `feedback` has for this model."""
        raise NotImplementedError

    def state_dict(self) -> dict[str, Any]:
        """Copies of all B, on the host, and their shapes: so one that is missing is noticed."""
        arrays = {name: backend.to_host(B).copy() for name, B in self.feedback.items()}
        return {"shapes": _shapes(arrays)} | {f"feedback/{k}": B for k, B in arrays.items()}

    def load_state_dict(self, model: Layer, state: Mapping[str, Any]) -> None:
        self.feedback = self._loaded(model, state)

    def _loaded(
        self, model: Layer, state: Mapping[str, Any], more: Iterable[str] = ()
    ) -> dict[str, Array]:
        """The matrices of a state, if all of them are right. `more`: other names it must have."""
        names = {f"feedback/{name}": name for name in self.names(model)}
        check_names(type(self).__name__, state, ["shapes", *more], names)
        given = {name: backend.to_host(state[key]) for key, name in names.items() if key in state}
        check_settings(state["shapes"], _shapes(given), "saved")
        like = next(iter(model.params.values()), None)
        for name, array in given.items():
            if array.dtype != model.dtype:
                raise ValueError(f"feedback/{name}: expected {model.dtype}, got {array.dtype}")
            check_finite(f"feedback/{name}", array)
        return {name: backend.to_device(array.copy(), like) for name, array in given.items()}


def laid(values: Array, like: Array, shape: tuple[int, ...] | None = None) -> Array:
    """The numbers in the dtype of `like`, where it is, and in memory as it lies.

    With a shape of their own they lie row by row.
    """
    xp = array_module(like)
    B = xp.empty_like(like) if shape is None else xp.empty(shape, like.dtype)
    B[...] = backend.to_device(values.astype(like.dtype), like)
    return B


def _shapes(arrays: Mapping[str, np.ndarray]) -> str:
    """The names and shapes, as text."""
    return ", ".join(f"{name}: {arrays[name].shape}" for name in sorted(arrays))
