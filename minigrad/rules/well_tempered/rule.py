"""Well-tempered backprop: gradients weakened where they do not stand out from their own noise."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from minigrad import backend
from minigrad.backend import Array, array_module
from minigrad.checks import positive_int
from minigrad.layers import Layer
from minigrad.losses import Loss
from minigrad.rules.backprop import Backprop
from minigrad.rules.base import Rule
from minigrad.rules.well_tempered.gates import GATES, Gate
from minigrad.rules.well_tempered.moments import Moments
from minigrad.rules.well_tempered.signal_to_noise import PER, SignalToNoise

STATE = ("snr", "dead", "mean", "sum", "batches", "weight", "squares")  # arrays first


class WellTempered(Rule):
    r"""dW_hat = f(η) dW, dW the wrapped rule's, η its signal-to-noise ratio, weight by weight.

    Over a window of B mini-batches:  ḡ = Σ g_b/B,  σ² = Σ (g_b - ḡ)²/B,  η = |ḡ| / (σ/√B);
    f(η) = min(1, η), or another gate.
    Lagged (2019, the seed):      g_b ← f(η of the window before) g_b. The gate does not know
                                  the gradient that it weakens. The first window is not gated.
    Within the step (2018, `mini_batch=n`): the batch is cut into mini-batches of n, the weights
                                  stand still, and the step is f(η) ḡ with ḡ's own η.

    Where B numbers say nothing: σ = 0 and ḡ ≠ 0: η = ∞. All g_b = 0, a *dead* weight: η = 0,
    reported apart, and not gated, since it may wake up. B < 2: nothing is gated, with a warning.
    A smaller last mini-batch counts by its size. `print(rule.measured)` shows all by parameter.
    Source: ansuini/WellTemperedSGD, wtb.py (2019) and wtsgd.py (2018).  Taught in:
    05_well_tempered.
    """

    def __init__(
        self,
        rule: Rule | None = None,
        *,
        gate: str | Gate = "linear",
        window: str | int = "epoch",
        decay: float | None = None,
        mini_batch: int | None = None,
        per: str = "parameter",
        unbiased: bool = False,
    ):
        """
        gate        "linear", "none", "hard", "wiener", "james-stein", or a function of η, which is
                    an array that may have ∞ in it
        window      "epoch", or the number of mini-batches after which η is measured anew
        decay       instead of windows: each step is gated by an exponential average over all
                    before it (two at least), in which k steps back weighs decay^k
        mini_batch  examples in each mini-batch; given, the gate works within the step
        per         what has one η: each "parameter"; all weights into a "neuron" (or channel)
                    together, η² = Σ ḡ² / Σ σ²/B; or all of a "layer"
        unbiased    σ² = Σ (g_b - ḡ)²/(B - 1); without it η is larger by √(B/(B - 1)), as the seed's
        """
        self.rule = Backprop() if rule is None else rule
        if not isinstance(self.rule, Rule):
            raise TypeError(
                f"rule must be a Rule, got {self.rule!r}; write WellTempered(mg.rules.Backprop())"
            )
        if not callable(gate) and gate not in GATES:
            raise ValueError(f"gate must be one of {sorted(GATES)} or a function, got {gate!r}")
        if per not in PER:
            raise ValueError(f"per must be one of {PER}, got {per!r}")
        if decay is not None and not 0 < decay < 1:
            raise ValueError(f"decay must be between 0 and 1, got {decay}")
        if isinstance(window, str) and window != "epoch":
            raise ValueError(f'window must be "epoch" or a number of mini-batches, got {window!r}')
        if sum((window != "epoch", decay is not None, mini_batch is not None)) > 1:
            raise ValueError("give one of window, decay and mini_batch: each is a way to measure η")
        self.gate, self.per, self.unbiased, self.decay = gate, per, unbiased, decay
        self.window = window if window == "epoch" else positive_int("window", window, least=2)
        self.mini_batch = None if mini_batch is None else positive_int("mini_batch", mini_batch)
        self._begin(None)

    def _begin(self, model: Layer | None) -> None:
        """Nothing is known of this model yet."""
        self.model = model
        self.measured: SignalToNoise | None = None  # the last window
        self._gates: dict[str, Array] = {}
        self._restart()

    def _restart(self) -> None:
        """A new window."""
        self._moments: dict[str, Moments] = {}
        self._steps = self._examples = 0  # mini-batches so far; examples in the first

    def estimate(self, model: Layer, loss: Loss, x: Array, target: Array) -> float:
        if model is not self.model:
            self._begin(model)
        if self.mini_batch is not None:
            return self._within_step(loss, x, target)
        if self.decay is not None and self._steps > 1:
            self._measure()
        value = self.rule.estimate(model, loss, x, target)
        self._add(len(x))
        self._apply()
        if self._steps == self.window:
            self._close()
        return value

    def end_epoch(self) -> None:
        self.rule.end_epoch()
        if self.window == "epoch" and self.decay is None and self._steps:
            self._close()

    @property
    def cost(self) -> float:
        return self.rule.cost

    def rescale(self, factor: float) -> None:
        self.rule.rescale(factor)

    def _within_step(self, loss: Loss, x: Array, target: Array) -> float:
        """ḡ over the batch's mini-batches, gated by its own η."""
        self._restart()  # of what an interrupted step may have left
        total, n = 0.0, self.mini_batch
        for start in range(0, len(x), n):
            part = slice(start, start + n)
            value = self.rule.estimate(self.model, loss, x[part], target[part])
            total += value * len(x[part])
            self._add(len(x[part]))
        for prefix, layer in self.model.leaves():
            layer.grads = {
                name: self._moments[prefix + name].mean.astype(param.dtype)
                for name, param in layer.params.items()
                if prefix + name in self._moments
            }
        self._close()
        self._apply()
        return total / len(x)

    def _add(self, examples: int) -> None:
        """Take the gradients that the rule has left into the window."""
        self._examples = self._examples or examples
        weight = examples / self._examples
        for key, g in self.model.grads.items():
            self._moments.setdefault(key, Moments(self.decay or 1.0)).add(g, weight)
        self._steps += 1

    def _close(self) -> None:
        """The window is full: measure, and begin another."""
        if self._steps > 1:
            self._measure()
        else:
            self._gates = {}
            hint = "a smaller batch_size, or window=n"
            if self.mini_batch is not None:
                hint = "larger batches, or a smaller mini_batch"
            warnings.warn(
                "WellTempered saw one mini-batch only and gates nothing: a variance needs two; use "
                + hint,
                stacklevel=4,
            )
        self._restart()

    def _measure(self) -> None:
        self._set(SignalToNoise.of(self.model, self._moments, self.per, self.unbiased))

    def _set(self, measured: SignalToNoise) -> None:
        """Gates f(η); 1 for dead weights."""
        self.measured = measured
        gate = self.gate if callable(self.gate) else GATES[self.gate]
        self._gates = {}
        for key, snr in measured.snr.items():
            xp = array_module(snr)
            with np.errstate(over="ignore"):  # η² of a weight without noise
                f = xp.where(measured.dead[key], 1.0, gate(snr))
            self._gates[key] = f.astype(snr.dtype)

    def _apply(self) -> None:
        for prefix, layer in self.model.leaves():
            layer.grads = {
                name: g * self._gates[prefix + name] if prefix + name in self._gates else g
                for name, g in layer.grads.items()
            }

    def state_dict(self) -> dict[str, Any]:
        """Copies of what was measured so far, on the host, flat; the wrapped rule's too."""
        state: dict[str, Any] = {"settings": self._settings()}
        state |= {"steps": self._steps, "examples": self._examples}
        if self.measured is not None:
            for kind in ("snr", "dead"):
                for key, array in getattr(self.measured, kind).items():
                    state[f"{kind}/{key}"] = backend.to_host(array).copy()
            state |= {f"batches/{key}": value for key, value in self.measured.batches.items()}
        for key, m in self._moments.items():
            state |= {f"weight/{key}": m.weight, f"squares/{key}": m.squares}
            state |= {f"mean/{key}": backend.to_host(m.mean).copy()}
            state |= {f"sum/{key}": backend.to_host(m.sum).copy()}
        return state | {f"rule/{key}": value for key, value in self.rule.state_dict().items()}

    def load_state_dict(self, model: Layer, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave, for this model: the next step is then the same.

        All is checked first. KeyError: something is missing, or of no parameter of the model;
        ValueError: of another shape, or measured with other settings.
        """
        if missing := {"settings", "steps", "examples"} - state.keys():
            raise KeyError(f"this is no state of a WellTempered rule: {sorted(missing)} missing")
        if (settings := str(state["settings"])) != self._settings():
            raise ValueError(f"the state was measured with {settings}, not {self._settings()}")
        params = model.params
        parts: dict[str, dict[str, Any]] = {kind: {} for kind in STATE}
        inner: dict[str, Any] = {}
        for full, value in state.items():
            kind, _, key = full.partition("/")
            if kind == "rule":
                inner[key] = value
            elif key:
                parts[kind][key] = _fitting(full, value, params.get(key), kind in STATE[:4])
        moments = {}
        for key, mean in parts["mean"].items():
            m = moments[key] = Moments(self.decay or 1.0)
            m.mean, m.sum = mean, parts["sum"][key]
            m.weight, m.squares = parts["weight"][key], parts["squares"][key]
        self.rule.load_state_dict(model, inner)
        self._begin(model)
        self._moments = moments
        self._steps, self._examples = int(state["steps"]), int(state["examples"])
        if parts["snr"]:
            snr, dead, batches = (parts[kind] for kind in ("snr", "dead", "batches"))
            self._set(SignalToNoise(snr, dead, batches, self.unbiased))

    @property
    def snr(self) -> dict[str, Array]:
        """η by parameter, as the last window has it; {} before the first is full."""
        return self.measured.snr if self.measured else {}

    @property
    def fraction_below_one(self) -> float:
        """The share of weights with η < 1 in the last window, dead ones too; NaN before it.

        `measured.total` has the dead ones apart, and what the share would be in pure noise.
        """
        return self.measured.total.below_one if self.measured else math.nan

    def _settings(self) -> str:
        """How η is measured, in words."""
        how = f"window={self.window!r}"
        if self.decay is not None:
            how = f"decay={self.decay}"
        if self.mini_batch is not None:
            how = f"mini_batch={self.mini_batch}"
        return f"{how}, per={self.per!r}, unbiased={self.unbiased}"

    def __repr__(self) -> str:
        gate = self.gate if isinstance(self.gate, str) else getattr(self.gate, "__name__", "...")
        return f"WellTempered({self.rule!r}, gate={gate!r}, {self._settings()})"


def _fitting(name: str, value: Any, like: Array | None, is_array: bool) -> Any:
    """A copy of a state's array where `like` is, or a number, if it fits the parameter `like`."""
    if like is None:
        raise KeyError(f"{name!r} is of no parameter of the model")
    if not is_array:
        return float(value)
    value = np.array(value)
    small = value.ndim == like.ndim and all(
        a in (1, b) for a, b in zip(value.shape, like.shape, strict=True)
    )
    if not (value.shape == like.shape or (small and name.startswith("snr/"))):
        raise ValueError(f"{name}: expected shape {like.shape}, got {value.shape}")
    return backend.to_device(value, like)
