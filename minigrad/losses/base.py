"""What every loss is: one number for a batch, and its derivative by the network's output."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.backend import Array
from minigrad.siblings import prefer_plain

SIBLINGS = {"each": ("forward",), "each_jvp": ("forward", "jvp")}


class Loss:
    """L = 1/N Σ_n L_n, a mean; `backward` and `jvp` are its derivative where forward was called.

    forward(output, target)  L, a float; loss(output, target) is the same
    backward()               dL/doutput, an array of output's shape
    jvp(output_dot)          L_dot = <dL/doutput, output_dot>, a float; None does not move
    For rules that treat each example by itself:
    each(output, target)     L_n, (N,), where the output lives; it counts as a forward
    each_jvp(output_dot)     L_n's tangents, (N,); their mean is L_dot
    A class that changes `forward` or `jvp` does not inherit these two: they would still be those
    of the other loss.
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
        """<dL/doutput, output_dot>, a float; 0 for None."""
        raise NotImplementedError(f"{type(self).__name__} has no jvp(output_dot) yet")

    def each(self, output: Array, target: Array) -> Array:
        """L_n, (N,)."""
        raise NotImplementedError(
            f"{type(self).__name__} has no each(output, target) of its own yet: the loss of each "
            "example, for rules that treat each example by itself"
        )

    def each_jvp(self, output_dot: Array) -> Array:
        """The tangents of L_n, (N,)."""
        raise NotImplementedError(
            f"{type(self).__name__} has no each_jvp(output_dot) of its own yet: the slope of each "
            "example's loss, for rules that treat each example by itself"
        )

    def recall(self) -> Any:
        """What `forward` kept; RuntimeError when there is nothing yet."""
        if self.cache is None:
            raise RuntimeError(
                f"{type(self).__name__}: call forward(output, target) before backward or jvp"
            )
        return self.cache

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


def total(terms: Array) -> float:
    """Σ terms, added up in float64: the one number that a loss brings to the host."""
    return float(terms.sum(dtype=np.float64))
