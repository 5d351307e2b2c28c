"""Well-tempered backprop: a gradient counts less where its noise is as large as itself."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from minigrad import backend
from minigrad.backend import Array, array_module
from minigrad.checks import check_state, count, positive_int
from minigrad.layers import Layer
from minigrad.losses import Loss
from minigrad.rules.backprop import Backprop
from minigrad.rules.base import Rule
from minigrad.rules.loading import check_settings
from minigrad.rules.needs import too_few
from minigrad.rules.renamed import old_attribute, renamed
from minigrad.rules.sharing import shared, summed
from minigrad.rules.well_tempered.gates import GATES, Gate
from minigrad.rules.well_tempered.moments import Moments
from minigrad.rules.well_tempered.signal_to_noise import PER, SignalToNoise
from minigrad.rules.well_tempered.state import parts_of
from minigrad.rules.wrapper import Wrapper


class WellTempered(Wrapper):
    r"""dW_hat = f(ρ) dW: dW is the wrapped rule's, ρ its signal-to-noise ratio, for each weight.

    Over a window of B mini-batches:  ḡ = Σ g_b/B,  σ² = Σ (g_b - ḡ)²/B,  ρ = |ḡ| / (σ/√B);
    f(ρ) = min(1, ρ), or another gate.
    Lagged (2019, the original): g_b ← f(ρ of the window before) g_b. The first window is not gated.
    Within the step (2018, `micro_batch_size=n`): the batch is cut into micro-batches of n. The
    weights stand still over all of them. The step is f(ρ) ḡ, with ḡ's own ρ.

    σ = 0 and ḡ ≠ 0: ρ = ∞. All g_b = 0, a *dead* weight: ρ = 0. It is counted apart and is not
    gated, since it may have a gradient later. B < 2: nothing is gated, with a warning. A smaller
    last batch counts by its size. Layers that share an array have one ρ, of the sum of their
    gradients. `print(rule.measured)` shows a table.
    Source: ansuini/WellTemperedSGD, wtb.py (2019), wtsgd.py (2018). Taught in: 08_well_tempered.
    """

    _old_arguments = ("mini_batch",)

    def __init__(
        self,
        rule: Rule | None = None,
        *,
        gate: str | Gate = "linear",
        window: str | int = "epoch",
        decay: float | None = None,
        micro_batch_size: int | None = None,
        per: str = "parameter",
        unbiased: bool = False,
        mini_batch: int | None = None,
    ):
        """
        rule              the rule to wrap; None: Backprop()
        gate              "linear", "none", "hard", "wiener", "james-stein", or a function of ρ. ρ
                          is an array and may contain ∞
        window            "epoch", or the number of mini-batches after which ρ is measured again
        decay             instead of windows: ρ comes from an exponential average over all steps
                          before, two at least. The step k back has the weight decay^k
        micro_batch_size  examples in each micro-batch; the gate then works within the step. Its old
                          name is mini_batch
        per               what has a ρ of its own: each weight ("parameter"), all weights into a
                          "neuron" (or channel), or all weights of a "layer". Weights that share an
                          ρ have ρ² = Σ ḡ² / Σ σ²/B
        unbiased          σ² = Σ (g_b - ḡ)²/(B - 1). Without it ρ is larger by √(B/(B - 1)), as in
                          the original code
        """
        super().__init__(Backprop() if rule is None else rule)
        micro_batch_size = renamed(
            "WellTempered", "mini_batch", "micro_batch_size", mini_batch, micro_batch_size
        )
        if not callable(gate) and gate not in GATES:
            raise ValueError(f"gate must be one of {sorted(GATES)} or a function, got {gate!r}")
        if per not in PER:
            raise ValueError(f"per must be one of {PER}, got {per!r}")
        if decay is not None and not 0 < decay < 1:
            raise ValueError(f"decay must be between 0 and 1, got {decay}")
        if isinstance(window, str) and window != "epoch":
            raise ValueError(f'window must be "epoch" or a number of mini-batches, got {window!r}')
        if sum((window != "epoch", decay is not None, micro_batch_size is not None)) > 1:
            raise ValueError(
                "give one of window, decay and micro_batch_size: each is a way to measure ρ"
            )
        self.gate = gate
        self.per = per
        self.unbiased = unbiased
        self.decay = decay
        self.window = window if window == "epoch" else positive_int("window", window, least=2)
        if micro_batch_size is not None:
            positive_int("micro_batch_size", micro_batch_size)
        self.micro_batch_size = micro_batch_size
        self._begin(None)

    mini_batch = old_attribute("mini_batch", "micro_batch_size")

    def _begin(self, model: Layer | None) -> None:
        """Forget all measurements: the next ones are of this model."""
        self.model = model
        self.measured: SignalToNoise | None = None  # the last window
        self._gates: dict[str, Array] = {}
        self._groups: dict[str, list[str]] = {}  # arrays that several layers share
        self._first: dict[str, str] = {}  # {each name of such an array: its first name}
        self._restart()

    def _restart(self) -> None:
        """Begin a new window."""
        self._moments: dict[str, Moments] = {}
        self._steps = 0  # mini-batches so far
        self._examples = 0  # in the first mini-batch

    def estimate(self, model: Layer, loss: Loss, x: Array, target: Array) -> float:
        if model is not self.model:
            self._begin(model)
        self._groups = shared(model)
        self._first = {name: first for first, names in self._groups.items() for name in names}
        if self.micro_batch_size is not None:
            return self._within_step(model, loss, x, target, self.micro_batch_size)
        if self.decay is not None and self._steps > 1:
            self._measure()
        value = self.rule.estimate(model, loss, x, target)
        self._add(len(x))
        self._apply()
        if self._steps == self.window:
            self._close()
        return value

    def why_not(self, model: Layer, loss: Loss | None = None) -> str | None:
        return too_few(model, self.micro_batch_size) or super().why_not(model, loss)

    def end_epoch(self) -> None:
        super().end_epoch()
        if self.window == "epoch" and self.decay is None and self._steps:
            self._close()

    def _within_step(self, model: Layer, loss: Loss, x: Array, target: Array, n: int) -> float:
        """ḡ over the batch's micro-batches of n examples, gated by its own ρ."""
        self._restart()  # a step that was interrupted may have left sums
        total = 0.0
        for start in range(0, len(x), n):
            part = slice(start, start + n)
            value = self.rule.estimate(model, loss, x[part], target[part])
            total += value * len(x[part])
            self._add(len(x[part]))
        for prefix, layer in model.leaves():
            layer.grads = {
                name: self._mean(prefix + name).astype(param.dtype)
                for name, param in layer.params.items()
                if self._by_array(prefix + name) in self._moments
            }
        self._close()
        self._apply()
        return total / len(x)

    def _by_array(self, key: str) -> str:
        """The first name of a parameter's array: several layers may share it."""
        return self._first.get(key, key)

    def _mean(self, key: str) -> Array:
        """ḡ. Where m layers share the array, each gets ḡ/m: the optimiser adds the parts."""
        first = self._by_array(key)
        mean = self._moments[first].mean
        return mean / len(self._groups[first]) if first in self._groups else mean

    def _leaves(self) -> list[tuple[str, Layer]]:
        """(prefix, layer) of the model that is measured."""
        return [] if self.model is None else list(self.model.leaves())

    def _add(self, examples: int) -> None:
        """Add the gradients that the rule has written to the window."""
        self._examples = self._examples or examples
        weight = examples / self._examples
        grads = {prefix + k: g for prefix, layer in self._leaves() for k, g in layer.grads.items()}
        for key, g in summed(grads, self._groups).items():
            self._moments.setdefault(key, Moments(self.decay or 1.0)).add(g, weight)
        self._steps += 1

    def _close(self) -> None:
        """The window is full: measure ρ, and begin a new window."""
        if self._steps > 1:
            self._measure()
        else:
            self._gates = {}
            hint = "a smaller batch_size, or window=n"
            if self.micro_batch_size is not None:
                hint = "larger batches, or a smaller micro_batch_size"
            warnings.warn(
                "WellTempered saw one mini-batch only and gates nothing: a variance needs two; use "
                + hint,
                stacklevel=4,
            )
        self._restart()

    def _measure(self) -> None:
        if self.model is not None:
            measured = SignalToNoise.of(self.model, self._moments, self.per, self.unbiased)
            self.measured = measured
            self._gates = self._gates_of(measured)

    def _gates_of(self, measured: SignalToNoise) -> dict[str, Array]:
        """Gates f(ρ), and 1 for dead weights."""
        gate = self.gate if callable(self.gate) else GATES[self.gate]
        gates = {}
        for key, snr in measured.snr.items():
            xp = array_module(snr)
            with np.errstate(over="ignore"):  # ρ² may overflow where there is almost no noise
                f = xp.where(measured.dead[key], 1.0, gate(snr))
            gates[key] = f.astype(snr.dtype)
        return gates

    def _apply(self) -> None:
        """grads ← f(ρ) grads, where ρ is known."""
        for prefix, layer in self._leaves():
            gates = {name: self._gates.get(self._by_array(prefix + name)) for name in layer.grads}
            layer.grads = {
                name: g if gates[name] is None else g * gates[name]
                for name, g in layer.grads.items()
            }

    def state_dict(self) -> dict[str, Any]:
        """Copies of all measurements and the wrapped rule's state: a flat dict, on the host."""
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
        return state | super().state_dict()

    def load_state_dict(self, model: Layer, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave, for this model. The next step is then the same.

        All is checked before anything changes. KeyError: something is missing, or fits no parameter
        of the model. ValueError: another shape, or measured with other settings.
        """
        check_state(type(self).__name__, state)
        inner = {k: v for k, v in state.items() if str(k).startswith(self.prefix)}
        own = {k: v for k, v in state.items() if k not in inner}
        parts = parts_of(own, model)
        check_settings(own["settings"], self._settings(), "measured")
        steps = count("steps", own["steps"])
        examples = count("examples", own["examples"])
        moments = {}
        for key, mean in parts["mean"].items():
            m = moments[key] = Moments(self.decay or 1.0)
            m.mean = mean
            m.sum = parts["sum"][key]
            m.weight = parts["weight"][key]
            m.squares = parts["squares"][key]
        measured = None
        gates: dict[str, Array] = {}
        if parts["snr"]:
            snr, dead, batches = (parts[kind] for kind in ("snr", "dead", "batches"))
            measured = SignalToNoise(snr, dead, batches, self.unbiased)
            gates = self._gates_of(measured)  # a gate of one's own may raise
        super().load_state_dict(model, inner)
        self._begin(model)
        self._moments = moments
        self._steps = steps
        self._examples = examples
        self.measured = measured
        self._gates = gates

    @property
    def snr(self) -> dict[str, Array]:
        """ρ by parameter, of the last full window; {} before there is one."""
        return self.measured.snr if self.measured else {}

    @property
    def fraction_below_one(self) -> float:
        """The share of weights with ρ < 1 in the last full window; NaN before there is one.

        Dead weights are in it. `measured.total` counts them apart, and says what the share would be
        if gradients were pure noise.
        """
        return self.measured.total.below_one if self.measured else math.nan

    def _settings(self) -> str:
        """How ρ is measured, as text. Saved states contain it, so do not change its words."""
        how = f"window={self.window!r}"
        if self.decay is not None:
            how = f"decay={self.decay}"
        if self.micro_batch_size is not None:
            how = f"mini_batch={self.micro_batch_size}"
        return f"{how}, per={self.per!r}, unbiased={self.unbiased}"
