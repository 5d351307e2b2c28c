"""What all forward gradients share: slopes along directions, and random directions to take."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

import numpy as np

from minigrad.backend import Array, array_module
from minigrad.checks import check_state, not_negative, positive_int
from minigrad.kernels.parts import WORTH_A_THREAD
from minigrad.layers import Layer
from minigrad.losses import Loss
from minigrad.rules.base import Rule
from minigrad.rules.forward.directions import DirectionSampler, StepDirections
from minigrad.rules.loading import steps_of
from minigrad.rules.renamed import old_attribute
from minigrad.threads import one_blas_thread


class ForwardRule(Rule):
    """dW_hat = d v, with d = <∇L, v> the slope of the loss along a direction v.

    `steps` is the number of estimates so far. `derivatives` are the slopes of the last estimate,
    before they are clipped.
    """

    def __init__(self, clip: float | None = None):
        self.clip = above_zero("clip", clip)
        self.steps = 0
        self.derivatives: list[Any] = []

    def estimate(self, model: Layer, loss: Loss, x: Array, target: Array) -> float:
        if reason := self._refusal(model):
            raise ValueError(reason)
        params = model.params
        self.steps += 1
        self.derivatives = []
        size = sum(p.nbytes for p in params.values())
        # minigrad's own threads share the work. BLAS's threads would compete for the same cores.
        on_host = type(x) is np.ndarray
        alone = on_host and (model.uses_threads or size >= 2 * WORTH_A_THREAD)
        with one_blas_thread() if alone else nullcontext():
            return self._estimate(model, loss, x, target)

    def why_not(self, model: Layer, loss: Loss | None = None) -> str | None:
        return self._refusal(model) or super().why_not(model, loss)

    def _refusal(self, model: Layer) -> str | None:
        """The part of `why_not` that is asked in each step: what would give wrong gradients."""
        if not model.params:
            return "the model has no parameters: there is no direction to move in"
        return None

    def _estimate(self, model: Layer, loss: Loss, x: Array, target: Array) -> float:
        """Fill the layers' `grads`. Returns the loss."""
        raise NotImplementedError(f"{type(self).__name__} has no _estimate(...) yet")

    def clipped(self, slope: Any) -> Any:
        """The slope, cut off at ±clip. It is a number, or an array with one for each example.

        `derivatives` keeps the slope as it was before.
        """
        self.derivatives.append(slope)
        if self.clip is None:
            return slope
        if isinstance(slope, float):
            return min(max(slope, -self.clip), self.clip)  # in this order a NaN stays NaN
        return array_module(slope).clip(slope, -self.clip, self.clip)


class Perturbation(ForwardRule):
    """K random directions a step, and the slope along each by a jvp or by a finite difference."""

    perturb = ""  # what moves along the directions: "weights" or "activities"

    def __init__(
        self,
        directions: int,
        distribution: str,
        method: str,
        clip: float | None,
        scheme: str,
        epsilon: float | None,
        antithetic: bool,
        seed: int,
    ):
        super().__init__(clip)
        self.directions = positive_int("directions", directions)
        self.sampler = DirectionSampler(distribution, seed)
        self.method = one_of("method", method, ("jvp", "finite-difference"))
        self.scheme = one_of("scheme", scheme, ("central", "one-sided"))
        self.epsilon = above_zero("epsilon", epsilon)
        self.antithetic = bool(antithetic)
        differences = method == "finite-difference"
        if antithetic and not (differences and scheme == "one-sided"):
            raise ValueError(
                "antithetic pairs need one-sided finite differences: a jvp along -v says nothing "
                "new, and a central difference is such a pair already; give "
                'method="finite-difference", scheme="one-sided"'
            )
        if not differences and (epsilon is not None or scheme != "central"):
            raise ValueError('epsilon and scheme are for method="finite-difference"')
        if antithetic and self.directions % 2:
            raise ValueError(f"antithetic pairs need an even K, got directions={directions}")

    @property
    def distribution(self) -> str:
        return self.sampler.distribution

    @property
    def seed(self) -> int:
        return self.sampler.seed

    @property
    def mode(self) -> str:
        """Another name of `method`."""
        return self.method

    step = old_attribute("step", "epsilon")

    def sample_for(self, arrays: Mapping[Any, Array]) -> StepDirections:
        """This step's K directions, for arrays like these."""
        return StepDirections(self.sampler, self.steps, arrays, self.directions, self.antithetic)

    def state_dict(self) -> dict[str, Any]:
        """The seed, and the number of steps. A continued run then draws the same directions."""
        return {"seed": self.seed, "steps": self.steps}

    def load_state_dict(self, model: Layer, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave.

        KeyError: the state is another rule's. ValueError: it is of another seed.
        """
        check_state(type(self).__name__, state)
        if any(str(name).startswith("guide/") for name in state):
            raise KeyError("the state has a guide's part, this rule has no guide")
        self.steps = steps_of(type(self).__name__, state, self.seed)


def above_zero(name: str, value: float | None) -> float | None:
    """None, or `value` as a float above 0; else a ValueError that names the argument."""
    return None if value is None else positive(name, value)


def positive(name: str, value: float) -> float:
    """`value` as a float above 0; else a ValueError that names the argument."""
    if not_negative(name, value) == 0:
        raise ValueError(f"{name} must be above 0, got {value!r}")
    return float(value)


def one_of(name: str, value: str, allowed: tuple[str, ...]) -> str:
    """`value` if it is allowed; else a ValueError that names the argument."""
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(allowed)}, got {value!r}")
    return value
