"""Signal and noise of a network's gradients over a window of mini-batches."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from minigrad import backend
from minigrad.backend import Array, array_module
from minigrad.layers import Layer
from minigrad.rules.well_tempered.gates import null_fraction
from minigrad.rules.well_tempered.moments import Moments

PER = ("parameter", "neuron", "layer")


@dataclass(frozen=True)
class Fractions:
    """How many `weights` there are, and which share of them is noisy or dead.

    below_one    those with ρ < 1; "fraction" in the original code. Dead weights have ρ = 0, unless
                 they share a ρ with live ones
    dead         those without a gradient in any mini-batch
    live_below   those with ρ < 1, among the ones that are not dead
    null         what `live_below` would be if gradients were pure noise
    """

    weights: int
    below_one: float
    dead: float
    live_below: float
    null: float


class SignalToNoise:
    r"""ρ = |ḡ| / (σ/√B) of each weight, from its gradients in B mini-batches.

    snr      {"0.W": ρ, ...}, in a shape that broadcasts to the parameter's
    dead     {"0.W": whether all of its gradients were 0, ...}
    batches  {"0.W": B, ...}; B is smaller for a layer that the rule leaves out in some steps

    σ = 0 and ḡ ≠ 0 give ρ = ∞. ḡ = 0 gives ρ = 0. Weights that share one ρ, those into a neuron or
    of a layer, have ρ² = Σ ḡ² / Σ σ²/B. A parameter with a single gradient has no ρ.
    """

    def __init__(
        self,
        snr: Mapping[str, Array],
        dead: Mapping[str, Array],
        batches: Mapping[str, float],
        unbiased: bool = False,
    ):
        self.snr = dict(snr)
        self.dead = dict(dead)
        self.batches = dict(batches)
        self.unbiased = unbiased

    @classmethod
    def of(
        cls,
        model: Layer,
        moments: Mapping[str, Moments],
        per: str = "parameter",
        unbiased: bool = False,
    ) -> SignalToNoise:
        """From the moments of the gradients of a model's parameters, by flat name."""
        known = {key: m for key, m in moments.items() if m.count > 1}
        snr: dict[str, Array] = {}
        for prefix, layer in model.leaves():
            names = [name for name in layer.params if prefix + name in known]
            signal = [known[prefix + name].mean ** 2 for name in names]
            noise = [known[prefix + name].error2(unbiased) for name in names]
            if names and per != "parameter":
                axes = [layer.unit_axis.get(n, 0) if per == "neuron" else None for n in names]
                _check_units(layer, {n: signal[i].shape for i, n in enumerate(names)}, axes)
                signal = _pooled(signal, axes)
                noise = _pooled(noise, axes)
            for name, s, n in zip(names, signal, noise, strict=True):
                snr[prefix + name] = _ratio(s, n).astype(layer.params[name].dtype)
        dead: dict[str, Any] = {key: (known[key].mean == 0) & (known[key].sum == 0) for key in snr}
        return cls(snr, dead, {key: known[key].count for key in snr}, unbiased)

    def live(self) -> np.ndarray:
        """ρ of all weights that are not dead, as one array in NumPy."""
        parts = []
        for key, snr in self.snr.items():
            alive = ~backend.to_host(self.dead[key])
            parts.append(np.broadcast_to(backend.to_host(snr), alive.shape)[alive])
        return np.concatenate(parts)

    @cached_property
    def by_parameter(self) -> dict[str, Fractions]:
        """Fractions of each parameter by its flat name."""
        return {key: _fractions(counts) for key, counts in self._counts.items()}

    @cached_property
    def total(self) -> Fractions:
        """Fractions of all weights."""
        return _fractions(sum(self._counts.values(), np.zeros(5)))

    @cached_property
    def _counts(self) -> dict[str, np.ndarray]:
        """For each parameter five counts: all weights; with ρ < 1; dead; live with ρ < 1; live ones
        that would have ρ < 1 if gradients were pure noise."""
        dead = {key: int(array.sum()) for key, array in self.dead.items()}
        counts = {}
        for key, snr in self.snr.items():
            is_dead = self.dead[key]
            below = array_module(snr).broadcast_to(snr < 1, is_dead.shape)
            live = is_dead.size - dead[key]
            null = 0.0
            if live:
                null = live * _null_fraction(
                    self.batches[key], self._together(key, dead), self.unbiased
                )
            counts[key] = np.array(
                [is_dead.size, int(below.sum()), dead[key], int((below & ~is_dead).sum()), null]
            )
        return counts

    def _together(self, key: str, dead: Mapping[str, int]) -> int:
        """How many live weights share one ρ, on average."""
        snr = self.snr[key]
        layer = key.rpartition(".")[0]
        neighbours = [k for k in self.snr if k.rpartition(".")[0] == layer]
        if all(self.snr[k].shape == self.dead[k].shape for k in neighbours):
            return 1
        live = sum(self.dead[k].size - dead[k] for k in neighbours)
        return max(1, round(live / max(1, int((snr > 0).sum()))))

    def __str__(self) -> str:
        lines = [
            f"{'parameter':12}{'weights':>10}{'ρ < 1':>9}{'dead':>9}{'ρ < 1 of live':>15}"
            f"{'if noise':>10}{'B':>8}"
        ]
        rows = [(key, f, f"{self.batches[key]:.4g}") for key, f in self.by_parameter.items()]
        for key, f, batches in [*rows, ("all", self.total, "")]:
            lines.append(
                f"{key:12}{f.weights:10,}{f.below_one:9.3f}{f.dead:9.3f}{f.live_below:15.3f}"
                f"{f.null:10.3f}{batches:>8}"
            )
        return "\n".join(lines)


_null_fraction = lru_cache(maxsize=256)(null_fraction)


def _fractions(counts: np.ndarray) -> Fractions:
    weights, below, dead, live_below, null = counts.tolist()
    live = weights - dead
    return Fractions(
        int(weights),
        below / weights if weights else math.nan,
        dead / weights if weights else math.nan,
        live_below / live if live else math.nan,
        null / live if live else math.nan,
    )


def _check_units(
    layer: Layer, shapes: Mapping[str, tuple[int, ...]], axes: list[int | None]
) -> None:
    units = {
        name: 1 if axis is None else shape[axis]
        for (name, shape), axis in zip(shapes.items(), axes, strict=True)
    }
    if len(set(units.values())) > 1:
        raise ValueError(
            f'per="neuron": the parameters of {type(layer).__name__} have {units} units; say in '
            "its unit_axis along which axis of each the units lie"
        )


def _pooled(arrays: list[Array], axes: list[int | None]) -> list[Array]:
    """Sum each array over all axes but the given one (None: over all), and add up the sums.

    The result has one such sum for each array, in a shape that broadcasts to it.
    """
    total = sum(
        a.sum(axis=tuple(i for i in range(a.ndim) if i != axis)).reshape(-1)
        for a, axis in zip(arrays, axes, strict=True)
    )
    return [
        total.reshape([-1 if i == axis else 1 for i in range(a.ndim)])
        for a, axis in zip(arrays, axes, strict=True)
    ]


def _ratio(signal: Array, noise: Array) -> Array:
    """√(signal/noise); 0 where there is no signal, ∞ where there is no noise but a signal."""
    xp = array_module(signal)
    with np.errstate(divide="ignore", invalid="ignore"):
        return xp.where(signal == 0, 0.0, xp.sqrt(signal / noise))
