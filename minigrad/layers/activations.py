"""Element-wise activations: ReLU, the sigmoid and tanh."""

from __future__ import annotations

from collections.abc import Mapping

from minigrad.backend import Array, Tangent, array_module
from minigrad.kernels.elementwise import (
    masked,
    relu,
    relu_with_tangent,
    sigmoid,
    sigmoid_slope,
    tanh_slope,
)
from minigrad.layers.base import Layer


class ReLU(Layer):
    r"""y = max(x, 0), element by element.

    Shapes: any x, y the same.
    Backward:  dx    = dy ⊙ [x > 0]       at the kink relu'(0) = 0, as in PyTorch
    Jvp:       y_dot = x_dot ⊙ [x > 0]    a diagonal Jacobian is its own transpose
    Where x <= 0, dx is 0, even if dy is infinite or NaN.
    Where x is NaN, y is NaN and the slope is 0. (In PyTorch the slope is 1 there.)
    Source: Nair, Hinton 2010.  Taught in: 04_training_loop.
    """

    is_activation = True
    monotone = True

    def forward(self, x: Array, train: bool = True) -> Array:
        array_module(x)
        self.check_input(x)
        # y = max(x, 0). The cache keeps the mask [x > 0]: it needs 1/4 of y's memory, or less.
        y, self.cache = relu(x)
        return y

    def backward(self, dy: Array) -> Array:
        # dx = dy ⊙ [x > 0]
        return masked(dy, self.recall())

    def jvp(self, x_dot: Array, params_dot: Mapping[str, Array] | None = None) -> Array:
        # y_dot = x_dot ⊙ [x > 0]
        return masked(x_dot, self.recall())

    def forward_jvp(
        self,
        x: Array,
        x_dot: Tangent,
        params_dot: Mapping[str, Array] | None = None,
        train: bool = True,
    ) -> tuple[Array, Tangent]:
        """y and y_dot together. x is read only once."""
        if x_dot is None:
            return super().forward_jvp(x, x_dot, params_dot, train)
        array_module(x, x_dot)
        self.check_input(x)
        self.cache = None
        return relu_with_tangent(x, x_dot)


class Sigmoid(Layer):
    r"""y = σ(x) = 1 / (1 + e^(-x)), element by element. No x makes it overflow.

    Shapes: any x, y the same.
    Backward:  dx    = dy ⊙ y(1 - y)
    Jvp:       y_dot = x_dot ⊙ y(1 - y)
    Range: e^(-x) is limited to about the largest finite float. There σ is 6e-39 in float32.
    Source: DS 4420, "Backprop".  Taught in: 01_gradients_by_hand.
    """

    is_activation = True
    monotone = True

    def forward(self, x: Array, train: bool = True) -> Array:
        array_module(x)
        self.check_input(x)
        # y = 1 / (1 + e^(-x))
        self.cache = y = sigmoid(x)
        return y

    def backward(self, dy: Array) -> Array:
        y = self.recall()
        # dx = dy ⊙ y(1 - y)
        return sigmoid_slope(dy, y)

    def jvp(self, x_dot: Array, params_dot: Mapping[str, Array] | None = None) -> Array:
        y = self.recall()
        # y_dot = x_dot ⊙ y(1 - y)
        return sigmoid_slope(x_dot, y)


class Tanh(Layer):
    r"""y = tanh(x), element by element.

    Shapes: any x, y the same.
    Backward:  dx    = dy ⊙ (1 - y²)
    Jvp:       y_dot = x_dot ⊙ (1 - y²)
    Source: LeCun, Bottou, Orr, Müller 1998, "Efficient BackProp", §4.4.
    """

    is_activation = True
    monotone = True

    def forward(self, x: Array, train: bool = True) -> Array:
        xp = array_module(x)
        self.check_input(x)
        # y = tanh(x)
        self.cache = y = xp.tanh(x)
        return y

    def backward(self, dy: Array) -> Array:
        y = self.recall()
        # dx = dy ⊙ (1 - y²)
        return tanh_slope(dy, y)

    def jvp(self, x_dot: Array, params_dot: Mapping[str, Array] | None = None) -> Array:
        y = self.recall()
        # y_dot = x_dot ⊙ (1 - y²)
        return tanh_slope(x_dot, y)
