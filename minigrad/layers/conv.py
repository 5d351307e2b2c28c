"""The convolution layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from minigrad.backend import Array, array_module, host_generator
from minigrad.checks import pair, positive_int
from minigrad.kernels import winograd
from minigrad.kernels.parallel import groups, parts, scratch
from minigrad.kernels.windows import channels_first, channels_last, col2im, im2col, output_size
from minigrad.layers.base import Layer, initial_uniform
from minigrad.threads import each


class Conv2d(Layer):
    r"""y[n, o, i, j] = b[o] + Σ_{c,k,l} W[o, c, k, l] · x[n, c, i·s + k - p, j·s + l - p].

    Shapes: x (N, C, H, W), W (O, C, KH, KW), b (O,), y (N, O, OH, OW), with
    OH = (H + 2p - KH)/s + 1 rounded down, OW likewise; x counts as 0 outside the image.

    Every output pixel is one dot product of the kernel with a window of x. With the windows as
    the rows of `cols` (N·OH·OW, KH·KW·C), "im2col", the layer is a Linear layer:
    Backward:  y = cols W' + b,  dW' = colsᵀ dy,  db = Σ dy,  dcols = dy W'ᵀ,
               dx = each window of dcols added back to where it was cut out, "col2im"
    Jvp:       y_dot = cols(x_dot) W' + cols(x) W_dot' + b_dot
    cols is never whole: that of a few images at a time (of one, at least) stays in the cache.

    Source: LeCun et al. 1989; im2col as in Chellapilla, Puri, Simard 2006.
    Taught in: 04_convolution.
    """

    uses_threads = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] = 0,
        *,
        bias: bool = True,
        dtype: Any = "float32",
        rng: np.random.Generator | None = None,
        seed: int | None = None,
    ):
        """
        in_channels   C of the images that come in, an integer >= 1
        out_channels  C_out, how many kernels there are, an integer >= 1
        kernel_size   an integer >= 1, or (rows, columns)
        stride        how many pixels the kernel moves on, an integer >= 1, or (down, right)
        padding       rows and columns of zeros at each edge, an integer >= 0, or (rows, columns)
        bias          whether b is added
        dtype         float32 or float64
        rng, seed     where the start is drawn from, a numpy.random.Generator or an integer, not
                      both; without them it differs from run to run
        """
        super().__init__(dtype)
        self.in_channels = positive_int("in_channels", in_channels)
        self.out_channels = positive_int("out_channels", out_channels)
        self.kernel_size = pair("kernel_size", kernel_size)
        self.stride = pair("stride", stride)
        self.padding = pair("padding", padding, least=0)
        rng = host_generator(rng, seed)
        shape = (self.out_channels, self.in_channels, *self.kernel_size)
        fan_in = self.in_channels * self.kernel_size[0] * self.kernel_size[1]
        W = initial_uniform(rng, shape, fan_in, self.dtype)
        # In memory W lies as W' (KH·KW·C, O), and W is a view of that: `_matrix` copies nothing.
        self.params["W"] = (
            array_module(W).ascontiguousarray(W.transpose(2, 3, 1, 0)).transpose(3, 2, 0, 1)
        )
        if bias:
            self.params["b"] = initial_uniform(rng, (self.out_channels,), fan_in, self.dtype)

    def forward(self, x: Array, train: bool = True) -> Array:
        self._check(x)
        self.cache = padded = channels_last(x, self.padding)
        return self._convolve([(padded, self.params["W"])], self.params.get("b"))

    def _check(self, x: Array) -> None:
        """Raise unless x is a batch of images that this layer takes."""
        array_module(x, self.params["W"])
        (KH, KW), (ph, pw) = self.kernel_size, self.padding
        self.check_input(
            x,
            f"(N, {self.in_channels}, H >= {max(1, KH - 2 * ph)}, W >= {max(1, KW - 2 * pw)})",
            x.ndim == 4
            and x.shape[1] == self.in_channels
            and x.shape[2] + 2 * ph >= KH
            and x.shape[3] + 2 * pw >= KW,
        )

    def backward(self, dy: Array) -> Array:
        self.backward_params(dy)
        padded, rows = self.recall(), channels_last(dy)
        xp, (_, OH, OW, O) = array_module(dy), rows.shape
        dx, W = xp.zeros_like(padded), self._matrix(self.params["W"])

        def work(part: slice) -> None:
            # dcols = dy W'ᵀ, then every window is added back to the pixels that it was cut from
            n = len(rows[part])
            dcols = scratch("cols", (n * OH * OW, len(W)), dx)
            xp.matmul(rows[part].reshape(-1, O), W.T, out=dcols)
            dwindows = dcols.reshape(n, OH, OW, *self.kernel_size, self.in_channels)
            col2im(dwindows, self.stride, dx[part])

        each(work, self._parts(padded))
        (ph, pw), (H, W_) = self.padding, padded.shape[1:3]
        return channels_first(dx[:, ph : H - ph, pw : W_ - pw])

    def backward_params(self, dy: Array) -> None:
        padded = self.recall()
        self.check_upstream(dy, (len(padded), self.out_channels, *self._size(padded)))
        rows = channels_last(dy)
        xp, (K, O) = array_module(dy), self._matrix(self.params["W"]).shape

        def work(group: list[slice]) -> tuple[Array, Array]:
            # dW' = colsᵀ dy and db = 1ᵀ dy, added up over the parts of the group
            dW, db = xp.zeros((K, O), dy.dtype), xp.zeros(O, dy.dtype)
            product = scratch("product", (K, O), dy)
            for part in group:
                cols, dy_part = self._im2col(padded[part]), rows[part].reshape(-1, O)
                dW += xp.matmul(cols.T, dy_part, out=product)
                db += xp.ones(len(cols), dy.dtype) @ dy_part
            return dW, db

        dWs, dbs = zip(*each(work, groups(self._parts(padded)) or [[]]), strict=True)
        dW = sum(dWs[1:], dWs[0]).reshape(*self.kernel_size, self.in_channels, O)
        self.grads["W"] = dW.transpose(3, 2, 0, 1)
        if "b" in self.params:
            self.grads["b"] = sum(dbs[1:], dbs[0])

    def jvp(self, x_dot: Array | None, params_dot: Mapping[str, Array] | None = None) -> Array:
        terms, (ph, pw) = [], self.padding
        if x_dot is not None:
            N, H, width, C = self.recall().shape
            self.check_tangent(x_dot, (N, C, H - 2 * ph, width - 2 * pw))
            terms.append((channels_last(x_dot, self.padding), self.params["W"]))
        if params_dot is not None:
            terms.append((self.recall(), params_dot["W"]))
        return self._convolve(terms, (params_dot or {}).get("b"))

    def forward_jvp(
        self,
        x: Array,
        x_dot: Array | None,
        params_dot: Mapping[str, Array] | None = None,
        train: bool = True,
    ) -> tuple[Array, Array | None]:
        """y = cols(x) W' + b, y_dot = cols(x) W_dot' + cols(x_dot) W' + b_dot: cols(x) made once.

        Where it pays, these products are made of fewer multiplications, see `winograd`.
        """
        if not params_dot:
            return super().forward_jvp(x, x_dot, params_dot, train)
        self._check(x)
        if x_dot is not None:
            self.check_tangent(x_dot, x.shape)
        self.cache, O, KW, sw = None, self.out_channels, self.kernel_size[1], self.stride[1]
        padded = channels_last(x, self.padding)
        padded_dot = None if x_dot is None else channels_last(x_dot, self.padding)
        xp = array_module(x, params_dot["W"])
        W, W_dot = self._matrix(self.params["W"]), self._matrix(params_dot["W"])
        b, b_dot = self.params.get("b"), params_dot.get("b")
        y = xp.empty((len(x), *self._size(padded), O), x.dtype)
        y_dot = xp.empty_like(y)
        m = winograd.rows_at_once(padded.shape[1:3], self.kernel_size, self.stride, x.shape[1])
        if m:
            W, W_dot = winograd.kernels(W, m), winograd.kernels(W_dot, m)

        def columns(rows: Array) -> Array:
            return winograd.columns(rows, m, KW, sw) if m else self._im2col(rows)

        def place(name: str, y: Array) -> Array:
            """Where products go: the plain ones are the result already."""
            return scratch(name, (m + 2, y.size // (m * O), O), y) if m else y.reshape(-1, O)

        def finish(products: Array, b: Array | None, y: Array) -> None:
            if m:
                winograd.add_up(products, b, y)
            elif b is not None:
                products += b

        def work(part: slice) -> None:
            own, own_dot = place("products", y[part]), place("products_dot", y_dot[part])
            cols = columns(padded[part])
            xp.matmul(cols, W, out=own)
            xp.matmul(cols, W_dot, out=own_dot)
            if padded_dot is not None:
                cols = columns(padded_dot[part])
                own_dot += xp.matmul(cols, W, out=scratch("more", own_dot.shape, y))
            finish(own, b, y[part])
            finish(own_dot, b_dot, y_dot[part])

        each(work, self._parts(padded, 2, m))
        return channels_first(y), channels_first(y_dot)

    def _convolve(self, terms: list[tuple[Array, Array]], b: Array | None) -> Array:
        """Σ cols(x) W' + b over the terms (x, W), seen as (N, O, OH, OW)."""
        padded, O = terms[0][0], self.out_channels
        xp = array_module(padded)
        y = xp.empty((len(padded), *self._size(padded), O), padded.dtype)
        terms = [(x, self._matrix(W)) for x, W in terms]

        def work(part: slice) -> None:
            out = y[part].reshape(-1, O)
            for i, (x, W) in enumerate(terms):
                if i == 0:
                    xp.matmul(self._im2col(x[part]), W, out=out)
                else:
                    out += self._im2col(x[part]) @ W
            if b is not None:
                out += b

        each(work, self._parts(padded))
        return channels_first(y)

    def _im2col(self, rows: Array) -> Array:
        """cols (N·OH·OW, KH·KW·C) of some images (N, H, W, C), in this thread's scratch memory."""
        OH, OW = self._size(rows)
        K = self.kernel_size[0] * self.kernel_size[1] * self.in_channels
        return im2col(
            rows, self.kernel_size, self.stride, scratch("cols", (len(rows) * OH * OW, K), rows)
        )

    def _parts(self, padded: Array, products: int = 1, m: int = 0) -> list[slice]:
        """The batch in parts whose cols, and products the size of y, stay in the cache.

        m: of `winograd`, whose windows have one row, and are m + 2 for each m.
        """
        (OH, OW), (KH, KW) = self._size(padded), self.kernel_size
        rows, height = (OH // m * (m + 2), 1) if m else (OH, KH)
        numbers = rows * OW * (height * KW * self.in_channels + products * self.out_channels)
        return parts(len(padded), numbers * padded.itemsize, padded)

    def _size(self, rows: Array) -> tuple[int, int]:
        """(OH, OW) for padded images (N, H, W, C)."""
        return output_size(rows.shape[1:3], self.kernel_size, self.stride)

    def _matrix(self, W: Array) -> Array:
        """W' (KH·KW·C, O): the kernels as the columns of one matrix."""
        return W.transpose(2, 3, 1, 0).reshape(-1, self.out_channels)

    def __repr__(self) -> str:
        bias = "" if "b" in self.params else ", bias=False"
        return (
            f"Conv2d({self.in_channels}, {self.out_channels}, {self.kernel_size}, "
            f"stride={self.stride}, padding={self.padding}{bias})"
        )
