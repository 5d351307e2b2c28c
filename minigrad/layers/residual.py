"""Skip connections."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from minigrad.backend import Array, Tangent
from minigrad.layers.base import Layer
from minigrad.layers.sequential import Sequential, chain


class Residual(Sequential):
    r"""y = s(x) + f(x), f the given layers one after another: a skip connection.

    Shapes: any x. s(x), f(x) and y have the same shape. Without a shortcut s(x) = x.
    Backward:  dx = J_sᵀ dy + J_fᵀ dy        with s(x) = x a gradient that reaches y reaches x whole
    Jvp:       y_dot = J_s x_dot + J_f x_dot
    It is a Sequential. The parameters of f have the names "0.W", "1.b", ... The shortcut is the
    last of its layers: after an f of 5 layers its names begin with "5.". `residual.f` and
    `residual.shortcut` are the two. It is one layer of the network around it: a cut between
    blocks is before or after it, never inside.
    Source: He, Zhang, Ren, Sun 2015, "Deep residual learning", §3.2, eq. 1 and 2.
    """

    has_shortcut = False  # True: the last of the layers is s

    def __init__(self, *layers: Layer, shortcut: Layer | None = None):
        """
        layers    f. x goes through them in this order
        shortcut  s, a layer or a Sequential, for an f that changes the shape: a 1x1 convolution
                  and a batch norm, or Subsample. None: s(x) = x
        """
        if not layers:
            raise ValueError("Residual needs at least one layer: y = x + f(x)")
        if shortcut is not None and not isinstance(shortcut, Layer):
            raise TypeError(
                f"shortcut must be a layer, got {type(shortcut).__name__}; for several write "
                "shortcut=Sequential(*layers)"
            )
        self.has_shortcut = shortcut is not None
        super().__init__(*layers, *([] if shortcut is None else [shortcut]))

    @property
    def f(self) -> Sequential:
        """f, of the same layer objects."""
        return Sequential(*(self.layers[:-1] if self.has_shortcut else self.layers))

    @property
    def shortcut(self) -> Layer | None:
        """s; None for s(x) = x."""
        return self.layers[-1] if self.has_shortcut else None

    def forward(self, x: Array, train: bool = True) -> Array:
        f, s = self.f, self.shortcut
        # y = s(x) + f(x)
        return self._sum(x if s is None else s.forward(x, train), f.forward(x, train), x)

    def backward(self, dy: Array) -> Array:
        f, s = self.f, self.shortcut
        # dx = J_sᵀ dy + J_fᵀ dy
        return (dy if s is None else s.backward(dy)) + f.backward(dy)

    def backward_params(self, dy: Array) -> None:
        """The gradients of f and s alone: the dy of both is that of y."""
        f, s = self.f, self.shortcut
        f.backward_params(dy)
        if s is not None and s.params:
            s.backward_params(dy)

    def jvp(self, x_dot: Tangent, params_dot: Mapping[str, Array] | None = None) -> Any:
        f, s = self.f, self.shortcut
        of_f, of_s = self._parts(params_dot)
        s_dot = x_dot if s is None or not (of_s or x_dot is not None) else s.jvp(x_dot, of_s)
        # y_dot = J_s x_dot + J_f x_dot
        return _plus(s_dot, f.jvp(x_dot, of_f))

    def forward_jvp(
        self,
        x: Array,
        x_dot: Array | None,
        params_dot: Mapping[str, Array] | None = None,
        train: bool = True,
    ) -> tuple[Array, Array | None]:
        """y and y_dot together, layer by layer. The memory does not grow with the depth."""
        f, s = self.f, self.shortcut
        of_f, of_s = self._parts(params_dot)
        s_x, s_dot = (x, x_dot) if s is None else s.forward_jvp(x, x_dot, of_s, train)
        f_x, f_dot = f.forward_jvp(x, x_dot, of_f, train)
        return self._sum(s_x, f_x, x), _plus(s_dot, f_dot)

    def inside(self, prefix: str) -> list[list[tuple[str, Layer]]]:
        """(prefix, layer) for each layer of f, and of s, for the table that `summary` prints."""
        if type(self).forward is not Residual.forward:
            return []
        branches = [list(chain(self.f, prefix))]
        if self.shortcut is not None:
            branches.append(list(chain(self.shortcut, f"{prefix}{len(self.layers) - 1}.")))
        return branches

    def _parts(
        self, params_dot: Mapping[str, Array] | None
    ) -> tuple[dict[str, Array], dict[str, Array] | None]:
        """What moves in f, and in s with the names that it has there."""
        moving = dict(params_dot or {})
        self._split(moving)  # KeyError for a name that neither has
        start = f"{len(self.layers) - 1}."
        of_s = [name for name in moving if self.has_shortcut and name.startswith(start)]
        inside = {name.removeprefix(start): moving.pop(name) for name in of_s}
        return moving, inside or None

    def _sum(self, s: Array, f: Array, x: Array) -> Array:
        if f.shape != s.shape:
            if self.has_shortcut:
                raise ValueError(
                    "Residual adds f(x) to the shortcut's s(x), so their shapes must be the same: "
                    f"f(x) has {tuple(f.shape)}, s(x) has {tuple(s.shape)}"
                )
            raise ValueError(
                f"Residual adds f(x) to x, so f must not change the shape: x has {tuple(x.shape)}, "
                f"f(x) has {tuple(f.shape)}; or give a shortcut that changes it in the same way"
            )
        return s + f

    def __repr__(self) -> str:
        if self.shortcut is None:
            return super().__repr__()
        last = len(self.layers) - 1
        return super().__repr__().replace(f"\n  {last}: ", f"\n  {last}, shortcut: ")


def _plus(a: Tangent, b: Tangent) -> Any:
    """The sum of two tangents. None is a tangent of 0."""
    if a is None or b is None:
        return b if a is None else a
    return a + b
