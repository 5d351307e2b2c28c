"""ReLU's relatives: activations that are close to 0 on the left and to x on the right."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from minigrad.backend import Array, array_module
from minigrad.checks import finite, positive
from minigrad.kernels.rectifiers import (
    gelu,
    gelu_slope,
    leaky,
    silu,
    silu_slope,
    softplus,
    softplus_slope,
)
from minigrad.layers.base import Layer


class LeakyReLU(Layer):
    r"""y = x where x > 0, else a x, element by element, with a = negative_slope.

    Shapes: any x, y the same.
    Backward:  dx    = dy ⊙ m,  m = 1 where x > 0, else a.  At the kink m = a, as in PyTorch
    Jvp:       y_dot = x_dot ⊙ m
    Source: Maas, Hannun, Ng 2013.  Taught in: 01_gradients_by_hand (an exercise).
    """

    is_activation = True

    def __init__(self, negative_slope: float = 0.01, *, dtype: Any = None):
        """
        negative_slope  a, the slope where x <= 0. A single number, the same for all x
        dtype           float32 or float64. None: the dtype of the input
        """
        super().__init__(dtype)
        self.negative_slope = finite("negative_slope", negative_slope)
        self.monotone = self.negative_slope >= 0

    def forward(self, x: Array, train: bool = True) -> Array:
        array_module(x)
        self.check_input(x)
        # y = m x,  m = 1 where x > 0, else a
        y, self.cache = leaky(x, self.negative_slope)
        return y

    def backward(self, dy: Array) -> Array:
        # dx = dy ⊙ m
        return dy * self.recall()

    def jvp(self, x_dot: Array, params_dot: Mapping[str, Array] | None = None) -> Array:
        # y_dot = x_dot ⊙ m
        return x_dot * self.recall()

    def __repr__(self) -> str:
        return f"LeakyReLU({self.negative_slope})"


class GELU(Layer):
    r"""y = x Φ(x), element by element. Φ(x) = P(Z <= x) for a normal Z: x times "how large is x".

    Shapes: any x, y the same.
    approximate="none":  Φ(x) = (1 + erf(x/√2))/2,  Φ'(x) = e^(-x²/2)/√(2π)
    approximate="tanh":  Φ(x) = (1 + tanh u)/2,  Φ'(x) = (1 - tanh² u) u'/2,
                         u = √(2/π) (x + 0.044715 x³),  u' = √(2/π) (1 + 0.134145 x²)
    Backward:  dx    = dy ⊙ (Φ(x) + x Φ'(x))
    Jvp:       y_dot = x_dot ⊙ (Φ(x) + x Φ'(x))
    The least y is -0.17, at x = -0.75: left of it y rises again.
    Source: Hendrycks, Gimpel 2016, §2.
    """

    is_activation = True

    def __init__(self, approximate: str = "none", *, dtype: Any = None):
        """
        approximate  "none": with erf. "tanh": Φ differs by at most 2e-4
        dtype        float32 or float64. None: the dtype of the input
        """
        super().__init__(dtype)
        if approximate not in ("none", "tanh"):
            raise ValueError(f'approximate must be "none" or "tanh", got {approximate!r}')
        self.approximate = approximate

    def forward(self, x: Array, train: bool = True) -> Array:
        array_module(x)
        self.check_input(x)
        # y = x Φ(x)
        y, z, Phi = gelu(x, self.approximate)
        self.cache = z, Phi
        return y

    def backward(self, dy: Array) -> Array:
        # dx = dy ⊙ (Φ(x) + x Φ'(x))
        z, Phi = self.recall()
        return gelu_slope(dy, z, Phi, self.approximate)

    def jvp(self, x_dot: Array, params_dot: Mapping[str, Array] | None = None) -> Array:
        # y_dot = x_dot ⊙ (Φ(x) + x Φ'(x))
        z, Phi = self.recall()
        return gelu_slope(x_dot, z, Phi, self.approximate)

    def __repr__(self) -> str:
        return f"GELU({self.approximate!r})" if self.approximate != "none" else "GELU()"


class SiLU(Layer):
    r"""y = x σ(x), σ(x) = 1/(1 + e^(-x)), element by element. Also called swish.

    Shapes: any x, y the same.
    Backward:  dx    = dy ⊙ σ(1 + x(1 - σ))
    Jvp:       y_dot = x_dot ⊙ σ(1 + x(1 - σ))
    The least y is -0.28, at x = -1.28: left of it y rises again.
    Source: Hendrycks, Gimpel 2016, §2; Elfwing, Uchibe, Doya 2018.
    """

    is_activation = True

    def forward(self, x: Array, train: bool = True) -> Array:
        array_module(x)
        self.check_input(x)
        # y = x σ(x)
        y, s = silu(x)
        self.cache = x, s
        return y

    def backward(self, dy: Array) -> Array:
        # dx = dy ⊙ σ(1 + x(1 - σ))
        return silu_slope(dy, *self.recall())

    def jvp(self, x_dot: Array, params_dot: Mapping[str, Array] | None = None) -> Array:
        # y_dot = x_dot ⊙ σ(1 + x(1 - σ))
        return silu_slope(x_dot, *self.recall())


class Softplus(Layer):
    r"""y = ln(1 + e^(βx))/β, element by element: a smooth ReLU. Where βx > threshold, y = x.

    Shapes: any x, y the same.
    Backward:  dx    = dy ⊙ σ(βx),  or dy where βx > threshold
    Jvp:       y_dot = x_dot ⊙ σ(βx),  or x_dot where βx > threshold
    Stable: ln(1 + e^z) = max(z, 0) + ln(1 + e^(-|z|)). No e^(-|z|) overflows.
    Source: Dugas, Bengio, Bélisle, Nadeau, Garcia 2000.
    """

    is_activation = True
    monotone = True

    def __init__(self, beta: float = 1.0, threshold: float = 20.0, *, dtype: Any = None):
        """
        beta       β > 0. The larger, the closer y is to ReLU
        threshold  where βx is larger, y = x. At 20 the difference is 2e-9/β
        dtype      float32 or float64. None: the dtype of the input
        """
        super().__init__(dtype)
        self.beta = positive("beta", beta)
        self.threshold = finite("threshold", threshold)

    def forward(self, x: Array, train: bool = True) -> Array:
        array_module(x)
        self.check_input(x)
        # y = (max(z, 0) + ln(1 + e^(-|z|)))/β,  z = βx
        y, z, linear = softplus(x, self.beta, self.threshold)
        self.cache = z, linear
        return y

    def backward(self, dy: Array) -> Array:
        # dx = dy ⊙ σ(βx)
        return softplus_slope(dy, *self.recall())

    def jvp(self, x_dot: Array, params_dot: Mapping[str, Array] | None = None) -> Array:
        # y_dot = x_dot ⊙ σ(βx)
        return softplus_slope(x_dot, *self.recall())

    def __repr__(self) -> str:
        return f"Softplus({self.beta}, {self.threshold})"
