"""The convolution layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from minigrad.backend import Array, Tangent, array_module, host_generator
from minigrad.checks import pair, positive_int
from minigrad.kernels.convolution import (
    convolve,
    convolve_jvp,
    convolve_with_tangent,
    gradients,
    kernel_gradients,
)
from minigrad.kernels.windows import Padding, Pair, both_sides, channels_first, output_size
from minigrad.layers.base import Layer, initial_uniform


class Conv2d(Layer):
    r"""y[n, o, i, j] = b[o] + Σ_{c,k,l} W[o, c, k, l] · x[n, c, i·s + k - p, j·s + l - p].

    Shapes: x (N, C, H, W), W (O, C, KH, KW), b (O,), y (N, O, OH, OW), with
    OH = (H + 2p - KH)/s + 1 rounded down, OW likewise. x is 0 outside the image.

    Each output pixel is the dot product of a kernel and a window of x. Write the windows into the
    rows of a matrix cols (N·OH·OW, KH·KW·C): this is "im2col". Write the kernels into the columns
    of W' (KH·KW·C, O). Then y = cols W' + b, as in a Linear layer:
    Backward:  dW' = colsᵀ dy,  db = Σ dy,  dcols = dy W'ᵀ,
               dx = dcols, with each window added to its own pixels of x: "col2im"
    Jvp:       y_dot = cols(x_dot) W' + cols(x) W_dot' + b_dot
    Source: LeCun et al. 1989; im2col as in Chellapilla, Puri, Simard 2006.
    Taught in: 06_convolution.
    """

    uses_threads = True
    sends_through = "W"  # backward uses W for dx alone

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] | str = 0,
        *,
        bias: bool = True,
        dtype: Any = "float32",
        rng: np.random.Generator | None = None,
        seed: int | None = None,
    ):
        """
        in_channels   C, the number of channels of x, an integer >= 1
        out_channels  O, the number of kernels, an integer >= 1
        kernel_size   an integer >= 1, or (rows, columns)
        stride        s, the pixels from one window to the next, an integer >= 1, or (down, right)
        padding       p, the rows and columns of zeros at each edge, an integer >= 0, or a pair.
                      "same": as many that y is as large as x. They are KH - 1 rows in all, the
                      smaller half of them above (columns likewise). "valid": none
        bias          whether b is added
        dtype         float32 or float64
        rng, seed     a numpy.random.Generator, or an integer, not both: the source of the random
                      start. Without them the start differs from run to run
        """
        super().__init__(dtype)
        self.in_channels = positive_int("in_channels", in_channels)
        self.out_channels = positive_int("out_channels", out_channels)
        self.kernel_size = pair("kernel_size", kernel_size)
        self.stride = pair("stride", stride)
        self.padding, self._edges = _edges(padding, self.kernel_size, self.stride)
        rng = host_generator(rng, seed)
        shape = (self.out_channels, self.in_channels, *self.kernel_size)
        fan_in = self.in_channels * self.kernel_size[0] * self.kernel_size[1]
        W = initial_uniform(rng, shape, fan_in, self.dtype)
        # W' (KH·KW·C, O) lies in memory. W is a view of it.
        matrix = array_module(W).ascontiguousarray(W.transpose(2, 3, 1, 0))
        self.params["W"] = matrix.transpose(3, 2, 0, 1)
        if bias:
            self.params["b"] = initial_uniform(rng, (self.out_channels,), fan_in, self.dtype)

    def forward(self, x: Array, train: bool = True) -> Array:
        self._check(x)
        W = self.params["W"]
        b = self.params.get("b")
        # y = cols(x) W' + b. The cache keeps x, padded, with the channels last.
        y, self.cache = convolve(x, W, b, self.stride, self._edges)
        return y

    def backward(self, dy: Array) -> Array:
        rows = self._recalled(dy)
        W = self.params["W"]
        # dW' = colsᵀ dy,  db = Σ dy
        # dx = col2im(dcols),  dcols = dy W'ᵀ
        dW, db, dx = gradients(dy, rows, W, self.stride, self._edges)
        self._keep(dW, db)
        return dx

    def backward_params(self, dy: Array) -> None:
        """The same gradients as `backward`. dx is not computed."""
        rows = self._recalled(dy)
        # dW' = colsᵀ dy,  db = Σ dy
        self._keep(*kernel_gradients(dy, rows, self.kernel_size, self.stride))

    def _recalled(self, dy: Array) -> Array:
        """The cache, after a check of dy."""
        rows: Array = self.recall()
        size = output_size(rows.shape[1:3], self.kernel_size, self.stride)
        self.check_upstream(dy, (len(rows), self.out_channels, *size))
        return rows

    def _keep(self, dW: Array, db: Array) -> None:
        self.grads["W"] = dW
        if "b" in self.params:
            self.grads["b"] = db

    def jvp(self, x_dot: Tangent, params_dot: Mapping[str, Array] | None = None) -> Array:
        rows = self.recall()
        if x_dot is not None:
            self.check_tangent(x_dot, channels_first(rows, self._edges).shape)
        W = self.params["W"]
        W_dot, b_dot = (params_dot["W"], params_dot.get("b")) if params_dot else (None, None)
        # y_dot = cols(x_dot) W' + cols(x) W_dot' + b_dot
        return convolve_jvp(rows, x_dot, W, W_dot, b_dot, self.stride, self._edges)

    def forward_jvp(
        self,
        x: Array,
        x_dot: Tangent,
        params_dot: Mapping[str, Array] | None = None,
        train: bool = True,
    ) -> tuple[Array, Tangent]:
        """y and y_dot together. cols(x) is made only once."""
        if not params_dot:
            return super().forward_jvp(x, x_dot, params_dot, train)
        self._check(x)
        if x_dot is not None:
            self.check_tangent(x_dot, x.shape)
        self.cache = None
        W = self.params["W"]
        W_dot = params_dot["W"]
        b = self.params.get("b")
        b_dot = params_dot.get("b")
        return convolve_with_tangent(x, x_dot, W, W_dot, b, b_dot, self.stride, self._edges)

    def _check(self, x: Array) -> None:
        """Raise unless x is a batch of images with in_channels channels and at least one window."""
        array_module(x, self.params["W"])
        C = self.in_channels
        added = map(sum, both_sides(self._edges))
        H, W = (max(1, k - zeros) for k, zeros in zip(self.kernel_size, added, strict=True))
        fits = x.ndim == 4 and x.shape[1] == C and x.shape[2] >= H and x.shape[3] >= W
        self.check_input(x, f"(N, {C}, H >= {H}, W >= {W})", fits)

    def __repr__(self) -> str:
        bias = "" if "b" in self.params else ", bias=False"
        return (
            f"Conv2d({self.in_channels}, {self.out_channels}, {self.kernel_size}, "
            f"stride={self.stride}, padding={self.padding!r}{bias})"
        )


def _edges(padding: Any, kernel_size: Pair, stride: Pair) -> tuple[Pair | str, Padding]:
    """(the padding as it is said, the padding of each edge). Raises for what cannot be done."""
    if padding == "same":
        if stride != (1, 1):
            raise ValueError(f'padding="same" needs stride=1, got {stride}')
        # y is as large as x if KH - 1 rows are added: (KH - 1)/2, rounded down, above the image
        down, right = ((k - 1) // 2 for k in kernel_size)
        KH, KW = kernel_size
        return "same", ((down, KH - 1 - down), (right, KW - 1 - right))
    if isinstance(padding, str) and padding != "valid":
        raise ValueError(f'padding must be an integer, a pair, "same" or "valid", got {padding!r}')
    numbers = (0, 0) if padding == "valid" else pair("padding", padding, least=0)
    return numbers, numbers
