"""The two softmaxes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from minigrad.backend import Array, array_module
from minigrad.checks import axis
from minigrad.kernels.elementwise import row_max
from minigrad.layers.base import Layer


class Softmax(Layer):
    r"""y_c = e^(x_c) / Σ_k e^(x_k), row by row, or along the axis `dim`.

    Shapes: x (N, C), y (N, C). Every row of y sums to 1. With dim: any x, y the same.
    Backward:  dx    = y ⊙ (dy - Σ_c dy_c y_c)
    Jvp:       y_dot = y ⊙ (x_dot - Σ_c x_dot_c y_c)    J = diag(y) - y yᵀ is symmetric
    Stable: each row's largest entry is subtracted first. This leaves y the same.
    Trap: CrossEntropyLoss takes logits. A Softmax layer before it makes a double softmax. The
    loss can then never fall below 1.4612: see the case study double_softmax.
    Source: Bridle 1990.  Taught in: 04_training_loop.
    """

    def __init__(self, dim: int | None = None, dtype: Any = None):
        """
        dim    the axis of the C entries that sum to 1. Axis 0 is the batch: its examples are then
               mixed. None: x is (N, C), and dim is 1
        dtype  float32 or float64. None: the dtype of the input
        """
        self.dim, dtype = axis("dim", dim, dtype)
        super().__init__(dtype)
        self.mixes_examples = self.dim == 0

    def forward(self, x: Array, train: bool = True) -> Array:
        xp = array_module(x)
        dim = check_axis(self, x)
        # y_c = e^(x_c - max) / Σ_k e^(x_k - max)
        y = xp.exp(x - _largest(x, dim))
        y /= y.sum(axis=dim, keepdims=True)
        self.cache = y, dim
        return y

    def backward(self, dy: Array) -> Array:
        y, dim = self.recall()
        # dx = y ⊙ (dy - Σ_c dy_c y_c)
        return y * (dy - (dy * y).sum(axis=dim, keepdims=True))

    def jvp(self, x_dot: Array, params_dot: Mapping[str, Array] | None = None) -> Array:
        y, dim = self.recall()
        # y_dot = y ⊙ (x_dot - Σ_c x_dot_c y_c)
        return y * (x_dot - (x_dot * y).sum(axis=dim, keepdims=True))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({'' if self.dim is None else self.dim})"


class LogSoftmax(Layer):
    r"""y = x - ln Σ_k e^(x_k), row by row, or along `dim`: the logarithm of Softmax.

    Shapes: x (N, C), y (N, C). With dim: any x, y the same. y does not underflow.
    Backward:  dx    = dy - p Σ_c dy_c          with p = e^y, the softmax
    Jvp:       y_dot = x_dot - Σ_c p_c x_dot_c
    NLLLoss takes this y.
    Source: WTB notebook, `F.log_softmax`; log-sum-exp as in Higham 2002, §1.
    """

    def __init__(self, dim: int | None = None, dtype: Any = None):
        """
        dim    the axis of the C entries. Axis 0 is the batch: its examples are then mixed. None:
               x is (N, C), and dim is 1
        dtype  float32 or float64. None: the dtype of the input
        """
        self.dim, dtype = axis("dim", dim, dtype)
        super().__init__(dtype)
        self.mixes_examples = self.dim == 0

    def forward(self, x: Array, train: bool = True) -> Array:
        xp = array_module(x)
        dim = check_axis(self, x)
        # y = z - ln Σ_k e^(z_k),  z = x - max. No z is above 0, so the sum cannot overflow.
        y = x - _largest(x, dim)
        y -= xp.log(xp.exp(y).sum(axis=dim, keepdims=True))
        self.cache = y, dim
        return y

    def backward(self, dy: Array) -> Array:
        y, dim = self.recall()
        # dx = dy - p Σ_c dy_c,  p = e^y
        return dy - array_module(y).exp(y) * dy.sum(axis=dim, keepdims=True)

    def jvp(self, x_dot: Array, params_dot: Mapping[str, Array] | None = None) -> Array:
        y, dim = self.recall()
        # y_dot = x_dot - Σ_c p_c x_dot_c
        return x_dot - (array_module(y).exp(y) * x_dot).sum(axis=dim, keepdims=True)

    __repr__ = Softmax.__repr__


def check_axis(layer: Softmax | LogSoftmax, x: Array) -> int:
    """The number of the layer's axis in x. Raises if x has no such axis."""
    dim = layer.dim
    if dim is None:
        layer.check_input(x, "(N, C)", x.ndim == 2, "for another axis give dim" * (x.ndim > 2))
        return 1
    here = -x.ndim <= dim < x.ndim
    layer.check_input(x, f"with an axis {dim}", here)
    if dim + x.ndim == 0 and x.ndim > 0:
        raise ValueError(f"axis {dim} of x is the batch: to mix its examples, write dim=0")
    return dim


def _largest(x: Array, dim: int) -> Array:
    """The largest entry along the axis."""
    if x.ndim == 2 and dim in (1, -1):
        return row_max(x)
    return x.max(axis=dim, keepdims=True) if x.size else x.sum(axis=dim, keepdims=True)
