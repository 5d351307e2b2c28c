"""The base of all losses: one number for a batch, and its derivative."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.backend import Array
from minigrad.siblings import prefer_plain
from minigrad.streams import StreamsOfParts

SIBLINGS = {"each": ("forward",), "each_jvp": ("forward", "jvp")}


class Loss(StreamsOfParts):
    """L = 1/N Σ_n L_n, a mean over N examples.

    forward(output, target)  L, a float. loss(output, target) is the same
    backward()               dL/doutput at the last forward, an array of output's shape
    jvp(output_dot)          L_dot = <dL/doutput, output_dot>, a float. None is a tangent of 0
    For rules that need the loss of each example:
    each(output, target)     L_n, (N,), on the device of output. It replaces a forward
    each_jvp(output_dot)     the tangents of L_n, (N,). Their mean is L_dot
    A class that changes `forward` or `jvp` does not inherit `each` and `each_jvp`: they would
    compute the old loss.
    """

    def __init__(self) -> None:
        self.cache: Any = None

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        prefer_plain(cls, Loss, SIBLINGS)

    def __call__(self, output: Array, target: Array) -> float:
        """loss(output, target) is loss.forward(output, target)."""
        return self.forward(output, target)

    def forward(self, output: Array, target: Array) -> float:
        """L, a float."""
        raise NotImplementedError(f"{type(self).__name__} has no forward(output, target) yet")

    def backward(self) -> Array:
        """dL/doutput, an array like output."""
        raise NotImplementedError(f"{type(self).__name__} has no backward() yet")

    def jvp(self, output_dot: Array | None) -> float:
        """<dL/doutput, output_dot>, a float. 0 for None."""
        raise NotImplementedError(f"{type(self).__name__} has no jvp(output_dot) yet")

    def each(self, output: Array, target: Array) -> Array:
        """L_n, (N,)."""
        raise NotImplementedError(
            f"{type(self).__name__} has no each(output, target) of its own yet: the loss of each "
            "example, which some rules need"
        )

    def each_jvp(self, output_dot: Array) -> Array:
        """The tangents of L_n, (N,)."""
        raise NotImplementedError(
            f"{type(self).__name__} has no each_jvp(output_dot) of its own yet: the slope of each "
            "example's loss, which some rules need"
        )

    def recall(self) -> Any:
        """What `forward` kept. RuntimeError if it has not been called."""
        if self.cache is None:
            raise RuntimeError(
                f"{type(self).__name__}: call forward(output, target) before backward or jvp"
            )
        return self.cache

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


def total(terms: Array) -> float:
    """Σ terms, added up in float64, as a float on the host."""
    return float(terms.sum(dtype=np.float64))
