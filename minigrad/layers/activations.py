"""Element-wise activations and the two softmaxes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from minigrad.backend import Array, array_module
from minigrad.kernels.parallel import by_batch, over_batch
from minigrad.layers.base import Layer


class ReLU(Layer):
    r"""y = max(x, 0), element by element.

    Shapes: any x, y the same.
    Backward:  dx    = dy ⊙ [x > 0]       the kink: relu'(0) = 0, as PyTorch has it
    Jvp:       y_dot = x_dot ⊙ [x > 0]    a diagonal Jacobian is its own transpose
    Source: Nair, Hinton 2010.  Taught in: 03_first_network.
    """

    monotone = True
    is_activation = True

    def forward(self, x: Array, train: bool = True) -> Array:
        xp = array_module(x)
        self.check_input(x)
        self.cache = by_batch(lambda x: x > 0, x, dtype="bool")  # a quarter of y's memory
        return by_batch(lambda x: xp.maximum(x, 0), x)

    def backward(self, dy: Array) -> Array:
        return by_batch(lambda dy, on: dy * on, dy, self.recall())

    def jvp(self, x_dot: Array, params_dot: Mapping[str, Array] | None = None) -> Array:
        return by_batch(lambda x_dot, on: x_dot * on, x_dot, self.recall())

    def forward_jvp(
        self,
        x: Array,
        x_dot: Array | None,
        params_dot: Mapping[str, Array] | None = None,
        train: bool = True,
    ) -> tuple[Array, Array | None]:
        """x is read once for both, and the mask x > 0 never leaves the cache."""
        if x_dot is None:
            return super().forward_jvp(x, x_dot, params_dot, train)
        self.check_input(x)
        self.cache, xp = None, array_module(x, x_dot)
        y, y_dot = xp.empty_like(x), xp.empty_like(x_dot)

        def work(part: slice) -> None:
            xp.multiply(x_dot[part], x[part] > 0, out=y_dot[part])
            xp.maximum(x[part], 0, out=y[part])

        over_batch(work, x)
        return y, y_dot


class Sigmoid(Layer):
    r"""y = σ(x) = 1 / (1 + e^(-x)), element by element; stable for any x.

    Shapes: any x, y the same.
    Backward:  dx    = dy ⊙ y(1 - y)
    Jvp:       y_dot = x_dot ⊙ y(1 - y)
    Range: e^(-x) is cut off near the largest finite float, where σ is 6e-39 in float32.
    Source: DS 4420, "Backprop".  Taught in: 01_gradients_by_hand.
    """

    monotone = True
    is_activation = True

    def forward(self, x: Array, train: bool = True) -> Array:
        xp = array_module(x)
        self.check_input(x)
        # σ(x) = 1 / (1 + e^(-x)), in one buffer; -x <= ln(largest float) keeps e^(-x) finite.
        y = xp.negative(x)
        xp.minimum(y, _LARGEST_EXPONENT[y.dtype], out=y)
        xp.exp(y, out=y)
        y += 1
        xp.reciprocal(y, out=y)
        self.cache = y
        return y

    def backward(self, dy: Array) -> Array:
        y = self.recall()
        return dy * (y * (1 - y))

    def jvp(self, x_dot: Array, params_dot: Mapping[str, Array] | None = None) -> Array:
        y = self.recall()
        return x_dot * (y * (1 - y))


class Tanh(Layer):
    r"""y = tanh(x), element by element.

    Shapes: any x, y the same.
    Backward:  dx    = dy ⊙ (1 - y²)
    Jvp:       y_dot = x_dot ⊙ (1 - y²)
    Source: LeCun, Bottou, Orr, Müller 1998, "Efficient BackProp", §4.4.
    """

    monotone = True
    is_activation = True

    def forward(self, x: Array, train: bool = True) -> Array:
        xp = array_module(x)
        self.check_input(x)
        self.cache = y = xp.tanh(x)
        return y

    def backward(self, dy: Array) -> Array:
        y = self.recall()
        return dy * (1 - y * y)

    def jvp(self, x_dot: Array, params_dot: Mapping[str, Array] | None = None) -> Array:
        y = self.recall()
        return x_dot * (1 - y * y)


class Softmax(Layer):
    r"""y_c = e^(x_c) / Σ_k e^(x_k), row by row.

    Shapes: x (N, C), y (N, C); every row of y sums to 1.
    Backward:  dx    = y ⊙ (dy - Σ_c dy_c y_c)
    Jvp:       y_dot = y ⊙ (x_dot - Σ_c x_dot_c y_c)    J = diag(y) - y yᵀ is symmetric
    Stable: the row's largest entry is subtracted first, which changes nothing else.
    Trap: CrossEntropyLoss takes logits; a Softmax before it is the double softmax of
    03_first_network, where the loss can never fall below 1.4612.
    Source: Bridle 1990.  Taught in: 03_first_network.
    """

    def forward(self, x: Array, train: bool = True) -> Array:
        xp = array_module(x)
        self.check_input(x, "(N, C)", x.ndim == 2)
        y = xp.exp(x - row_max(x))
        y /= y.sum(axis=1, keepdims=True)
        self.cache = y
        return y

    def backward(self, dy: Array) -> Array:
        return self._apply_jacobian(dy)

    def jvp(self, x_dot: Array, params_dot: Mapping[str, Array] | None = None) -> Array:
        return self._apply_jacobian(x_dot)

    def _apply_jacobian(self, v: Array) -> Array:
        y = self.recall()
        return y * (v - (v * y).sum(axis=1, keepdims=True))


class LogSoftmax(Layer):
    r"""y = x - ln Σ_k e^(x_k), row by row: the logarithm of Softmax, without its underflow.

    Shapes: x (N, C), y (N, C).
    Backward:  dx    = dy - p Σ_c dy_c          with p = e^y, the softmax
    Jvp:       y_dot = x_dot - Σ_c p_c x_dot_c
    Source: WTB notebook, `F.log_softmax`; log-sum-exp as in Higham 2002, §1.  Feeds NLLLoss.
    """

    def forward(self, x: Array, train: bool = True) -> Array:
        xp = array_module(x)
        self.check_input(x, "(N, C)", x.ndim == 2)
        y = x - row_max(x)
        y -= xp.log(xp.exp(y).sum(axis=1, keepdims=True))
        self.cache = y
        return y

    def backward(self, dy: Array) -> Array:
        y = self.recall()
        return dy - array_module(y).exp(y) * dy.sum(axis=1, keepdims=True)

    def jvp(self, x_dot: Array, params_dot: Mapping[str, Array] | None = None) -> Array:
        y = self.recall()
        return x_dot - (array_module(y).exp(y) * x_dot).sum(axis=1, keepdims=True)


def row_max(x: Array) -> Array:
    """max_c x[n, c] as (N, 1); by way of x's transpose, for NumPy is slow along a short axis."""
    return array_module(x).ascontiguousarray(x.T).max(axis=0)[:, None]


# ln(largest finite float), rounded down to what exp brings back as a finite number
_LARGEST_EXPONENT = {np.dtype("float32"): 88.0, np.dtype("float64"): 709.0}
