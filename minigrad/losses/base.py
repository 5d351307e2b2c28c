"""The base of all losses: one number for a batch, and its derivative."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np

from minigrad.backend import Array, to_host
from minigrad.kernels import device
from minigrad.kernels.device import sums
from minigrad.kernels.recording import number
from minigrad.siblings import prefer_plain
from minigrad.streams import StreamsOfParts

SIBLINGS = {"each": ("forward",), "each_jvp": ("forward", "jvp")}


class Loss(StreamsOfParts):
    """L = 1/N Σ_n L_n, a mean over N examples. With reduction="sum" it is their sum.

    forward(output, target)  L, a float. loss(output, target) is the same
    backward()               dL/doutput at the last forward, an array of output's shape
    jvp(output_dot)          L_dot = <dL/doutput, output_dot>, a float. None is a tangent of 0
    For rules that need the loss of each example:
    each(output, target)     L_n, (N,), on the device of output. It replaces a forward
    each_jvp(output_dot)     the tangents of L_n, (N,). Their mean is L_dot
    The mean of L_n is always L: with reduction="sum", L_n is N times the example's own loss.
    A class that changes `forward` or `jvp` does not inherit `each` and `each_jvp`: they would
    compute the old loss.
    """

    reductions: tuple[str, ...] = ("mean", "sum")  # those that the class has
    reduction = "mean"  # also of a loss whose __init__ does not call this one

    def __init__(self, reduction: str = "mean") -> None:
        self.cache: Any = None
        if reduction not in self.reductions:
            known = " or ".join(repr(name) for name in self.reductions)
            hint = "; loss.each(output, target) gives the loss of each example"
            raise ValueError(
                f"{type(self).__name__}: reduction must be {known}, got {reduction!r}"
                + (hint if reduction == "none" else "")
            )
        self.reduction = reduction

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

    @property
    def mixes_examples(self) -> bool:
        """Whether the other examples change an example's L_n, if only by a factor."""
        return self.reduction == "sum"

    def size(self, target: Array) -> float:
        """How much a batch counts in the mean over several: N. 1 with reduction="sum"."""
        return 1 if self.reduction == "sum" else len(target)

    def recall(self) -> Any:
        """What `forward` kept. RuntimeError if it has not been called."""
        if self.cache is None:
            raise RuntimeError(
                f"{type(self).__name__}: call forward(output, target) before backward or jvp"
            )
        return self.cache

    def __repr__(self) -> str:
        """The arguments that are not the defaults."""
        said = []
        for name, parameter in inspect.signature(type(self).__init__).parameters.items():
            value = vars(self).get(name, parameter.default)
            value = value.tolist() if hasattr(value, "tolist") else value
            if parameter.default is not parameter.empty and repr(value) != repr(parameter.default):
                said.append(f"{name}={value!r}")
        return f"{type(self).__name__}({', '.join(said)})"


def as_weight(name: str, value: Any) -> Any:
    """`value` as an array on the host, or None. Raises unless all of it are finite numbers."""
    if value is None:
        return None
    try:
        weight = to_host(value).astype(np.float64)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be an array of numbers, got {value!r:.60}") from None
    if not np.isfinite(weight).all():
        raise ValueError(f"{name} must be finite numbers, got {value!r:.60}")
    return weight


def total(terms: Array) -> float:
    """Σ terms, added up in float64, as a float on the host.

    While a step is recorded as a CUDA graph, the number stays on the GPU, and one can calculate
    with it.
    """
    if type(terms) is np.ndarray:
        return number(np.add.reduce(terms, axis=None, dtype=np.float64))
    if device.ready(terms):
        return number(sums.total(terms))
    return number(terms.sum(dtype=np.float64))
