"""Feedback alignment: fixed random weights send the error down."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from minigrad.backend import Array
from minigrad.layers import Layer
from minigrad.losses import Loss
from minigrad.rules.chain import replaced
from minigrad.rules.feedback.matrices import RandomFeedback, laid
from minigrad.rules.feedback.weights import fans_in, sent_through
from minigrad.rules.loading import fitting_array
from minigrad.rules.needs import no_backward

Weights = dict[str, Array]


class OtherWeights(RandomFeedback):
    """The base of rules that go down as backprop does, with other arrays in the place of W."""

    cost = 3.0

    def estimate(self, model: Layer, loss: Loss, x: Array, target: Array) -> float:
        weights = sent_through(model)
        if reason := self._nothing(weights):
            raise ValueError(reason)
        value = loss.forward(model.forward(x, train=True), target)
        dy = loss.backward()
        with replaced(model, "", self._feedback(weights, fans_in(model))):
            model.backward_params(dy)
        return value

    def _feedback(self, weights: Weights, fan_in: Mapping[str, int]) -> Weights:
        """{name: what is in the place of W}."""
        raise NotImplementedError

    def _nothing(self, weights: Weights) -> str | None:
        if weights:
            return None
        return (
            f"{type(self).__name__} would be backprop here: above the first layer with parameters "
            "the model has no Linear or Conv2d, nor a layer of yours that says sends_through. "
            "Take Backprop()"
        )

    def why_not(self, model: Layer, loss: Loss | None = None) -> str | None:
        return self._nothing(sent_through(model)) or no_backward(self, model, loss)

    def names(self, model: Layer) -> list[str]:
        return list(sent_through(model))

    def _loaded(self, model: Layer, state: Mapping[str, Any], more: Any = ()) -> Weights:
        found = super()._loaded(model, state, more)
        for name, W in sent_through(model).items():
            if name in found:
                fitting_array(f"feedback/{name}", found[name], W.shape, W.dtype)
                found[name] = laid(found[name], W)
        return found


class FeedbackAlignment(OtherWeights):
    r"""δ_l = (δ_{l+1} B_{l+1}ᵀ) f'(z_l), dW_l = h_{l-1}ᵀ δ_l: backprop with a random B for W.

    h_l = f(z_l), z_l = h_{l-1} W_l. B_l has the shape of W_l, and never changes. It stands in the
    place of W in the dx of every Linear and Conv2d. The gradient of W itself is computed as ever.
    All other layers (batch norm, pooling, the sum of a residual block) use their own transpose.
    W comes to align with B, so that the angle to the true gradient falls below 90 degrees.
    Start:  B ~ U(-a, a), a = scale/√D with D inputs of a unit, as W itself starts. He's uniform
            start is scale=√6.
    Cost: that of backprop.
    Source: Lillicrap, Cownden, Tweed, Akerman 2016; convolutions: Moskovitz, Litwin-Kumar, Abbott
    2018.  Taught in: 14_side_by_side, 13_without_weight_transport.
    """

    def __init__(self, scale: float = 1.0, seed: int = 0):
        """
        scale  of B, a number > 0
        seed   of B, an integer >= 0
        """
        super().__init__(scale, seed)

    def _feedback(self, weights: Weights, fan_in: Mapping[str, int]) -> Weights:
        self.check_feedback(weights)
        return {
            name: self.kept(name, i, W, fan_in[name]) for i, (name, W) in enumerate(weights.items())
        }
