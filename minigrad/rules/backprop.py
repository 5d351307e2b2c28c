"""Backpropagation: the true gradient."""

from __future__ import annotations

from minigrad.backend import Array
from minigrad.layers import Layer
from minigrad.losses import Loss
from minigrad.rules.base import Rule
from minigrad.rules.needs import no_backward


class Backprop(Rule):
    r"""dW = ∂L/∂W for every weight, by the chain rule from the loss down.

    Forward:   x_l = f_l(x_{l-1}, W_l), l = 1 ... L;  loss L(x_L, target)
    Backward:  dx_L = ∂L/∂x_L;  dx_{l-1} = (∂f_l/∂x_{l-1})ᵀ dx_l,  dW_l = (∂f_l/∂W_l)ᵀ dx_l
    Cost: about three forward passes. The dx of the first layer with parameters is not computed.
    Source: Linnainmaa 1970; Rumelhart, Hinton, Williams 1986.  Taught in: 01_gradients_by_hand.
    """

    cost = 3.0
    averages_examples = True

    def estimate(self, model: Layer, loss: Loss, x: Array, target: Array) -> float:
        value = loss.forward(model.forward(x, train=True), target)
        model.backward_params(loss.backward())
        return value

    def why_not(self, model: Layer, loss: Loss | None = None) -> str | None:
        return no_backward(self, model, loss)
