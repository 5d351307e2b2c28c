"""Sign-symmetric feedback: the signs of the weights, with other sizes."""

from __future__ import annotations

from collections.abc import Mapping
from math import sqrt
from typing import Any

from minigrad.backend import Array, array_module
from minigrad.checks import count, positive_int
from minigrad.rules.feedback.alignment import OtherWeights, Weights

KINDS = ("uniform", "batchwise", "fixed")


class SignSymmetric(OtherWeights):
    r"""δ_l = (δ_{l+1} B_{l+1}ᵀ) f'(z_l), B = M ∘ sign(W): feedback that knows signs alone.

    uniform    M = s, one number for each layer (uSF)
    batchwise  M = |U|, drawn again for each batch (brSF)
    fixed      M = |U|, drawn once (frSF). `feedback` has M
    U ~ U(-a, a), a = scale/√D with D inputs of a unit, as W itself starts. s = a/√3 is the root
    mean square of U, so that all three kinds are of one size. B stands in the place of W in the
    dx of every Linear and Conv2d; see FeedbackAlignment.
    Cost: that of backprop.
    Source: Liao, Leibo, Poggio 2016 (signs); Moskovitz, Litwin-Kumar, Abbott 2018 (sizes); the
    three names: biotorch, Sanfiz, Akrout 2021.  Taught in: 13_without_weight_transport.
    """

    def __init__(self, kind: str = "uniform", scale: float = 1.0, seed: int = 0):
        """
        kind   "uniform", "batchwise" or "fixed"
        scale  of the sizes, a number > 0
        seed   of the random sizes, an integer >= 0
        """
        if kind not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {kind!r}")
        super().__init__(scale, seed)
        self.kind = kind
        self.steps = 0  # estimates so far

    def _feedback(self, weights: Weights, fan_in: Mapping[str, int]) -> Weights:
        self.check_feedback(weights if self.kind == "fixed" else ())
        self.steps += 1
        return {
            name: self._size(name, i, W, fan_in[name]) * array_module(W).sign(W)
            for i, (name, W) in enumerate(weights.items())
        }

    def _size(self, name: str, number: int, W: Array, fan_in: int) -> Any:
        """M of one layer."""
        if self.kind == "uniform":
            return W.dtype.type(self.scale / sqrt(3 * fan_in))
        if self.kind == "fixed":
            return abs(self.kept(name, number, W, fan_in))
        return abs(self.drawn((self.steps, number), W, fan_in))

    def reseed(self, seed: int) -> None:
        """Draw the sizes of each batch from this seed. Fixed ones stay."""
        if self.kind == "batchwise":
            self.seed = positive_int("seed", seed, 0)
            self.steps = 0

    def state_dict(self) -> dict[str, Any]:
        """The fixed sizes, on the host, and the number of steps."""
        return super().state_dict() | {"steps": self.steps}

    def load_state_dict(self, model: Any, state: Mapping[str, Any]) -> None:
        found = self._loaded(model, state, ["steps"])
        if found and self.kind != "fixed":
            raise KeyError(f"SignSymmetric({self.kind!r}) keeps no sizes, and this state has some")
        self.steps = count("steps", state["steps"])
        self.feedback = found
