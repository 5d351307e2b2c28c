"""Losses for single elements. Output and target have the same shape."""

from __future__ import annotations

from typing import Any

from minigrad.backend import Array, array_module, to_device
from minigrad.kernels.losses import binary_cross_entropy, binary_slope
from minigrad.losses.base import Loss, as_weight, total


class ElementLoss(Loss):
    """L = 1/n Σ f(x_i, t_i), over all n elements. With reduction="sum" there is no 1/n.

    A class that is derived from this one writes f and its derivative:
    terms(x, target)   f(x_i, t_i), an array like x. It fills the cache
    slopes()           ∂f/∂x at x_i, an array like x
    L_n is the mean over the example's elements.
    """

    def forward(self, x: Array, target: Array) -> float:
        # L = 1/n Σ f
        value = total(self.terms(x, target)) / self.divisor(x)
        if value != value:  # NaN: only then look at the numbers, which copies to the host
            self.explain(x, target)
        return value

    def each(self, x: Array, target: Array) -> Array:
        return self._by_example(self.terms(x, target))

    def backward(self) -> Array:
        slopes = self.slopes()
        # dx = 1/n ∂f/∂x
        return slopes / self.divisor(slopes)

    def jvp(self, output_dot: Array | None) -> float:
        if output_dot is None:
            self.recall()
            return 0.0
        # L_dot = 1/n Σ ∂f/∂x x_dot
        return total(self.slopes() * output_dot) / self.divisor(output_dot)

    def each_jvp(self, output_dot: Array) -> Array:
        return self._by_example(self.slopes() * output_dot)

    def terms(self, x: Array, target: Array) -> Array:
        """f(x_i, t_i)."""
        raise NotImplementedError(f"{type(self).__name__} has no terms(x, target) yet")

    def slopes(self) -> Array:
        """∂f/∂x at x_i, of the last `terms`."""
        raise NotImplementedError(f"{type(self).__name__} has no slopes() yet")

    def explain(self, x: Array, target: Array) -> None:
        """ValueError if the numbers given are the reason for a loss that is NaN."""

    def divisor(self, x: Array) -> int:
        """What the sum over all elements is divided by: n, their number."""
        if self.reduction == "mean":
            return x.size
        return 1 if self.reduction == "sum" else len(x)  # else "batchmean"

    def _by_example(self, terms: Array) -> Array:
        """L_n (N,). Their mean is L."""
        rows = terms.reshape(len(terms), -1)
        if self.reduction == "mean":
            return rows.mean(axis=1)
        return rows.sum(axis=1) * (len(rows) / self.divisor(terms))


class BCELoss(ElementLoss):
    r"""L = -1/n Σ t ln p + (1 - t) ln(1 - p), over all n elements: binary cross-entropy.

    Shapes: probabilities p and target t of the same shape, both in [0, 1].
    Forward:   a logarithm below -100 becomes -100, so that p = 0 or 1 gives a finite loss
    Backward:  dp = (p - t) / (p (1 - p)) / n, with p (1 - p) at least 1e-12
    Jvp:       L_dot = 1/n Σ (p - t) / (p (1 - p)) p_dot
    `weight` is a factor for each element, or for each of an example's elements: (N, D) or (D,).
    Both limits as in PyTorch. A saturated sigmoid has y (1 - y) = 0, and the gradient becomes 0.
    With BCEWithLogitsLoss, which has the sigmoid inside, it does not become 0.
    Source: DS 4420, "Backprop".  Taught in: 01_gradients_by_hand.
    """

    def __init__(self, weight: Any = None, *, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.weight = as_weight("weight", weight)

    def terms(self, p: Array, target: Array) -> Array:
        check_same_shape(self, p, target)
        self.cache = p, target
        # f = -(t ln p + (1 - t) ln(1 - p)), NaN where the target is no probability
        return weighted(self, binary_cross_entropy(p, target))

    def backward(self) -> Array:
        p, target = self.recall()
        # dp = (p - t) / (p (1 - p)) / n
        return weighted(self, binary_slope(p, target, self.divisor(p)))

    def slopes(self) -> Array:
        p, target = self.recall()
        # ∂f/∂p = (p - t) / (p (1 - p))
        return weighted(self, binary_slope(p, target, 1))

    def explain(self, p: Array, target: Array) -> None:
        if bool(((p < 0) | (p > 1)).any()):
            raise ValueError(
                f"BCELoss takes probabilities in [0, 1], got {range_of(p)}; put Sigmoid() "
                "before it, or take BCEWithLogitsLoss"
            )
        check_probabilities(self, target)


class MSELoss(ElementLoss):
    r"""L = 1/n Σ (x - t)², over all n elements: mean squared error.

    Shapes: x and target t of the same shape.
    Backward:  dx = 2 (x - t) / n
    Jvp:       L_dot = 2/n Σ (x - t) x_dot
    It is a mean, not a sum, so that a good learning rate does not depend on n.
    Source: Gauss 1809.
    """

    def __init__(self, *, reduction: str = "mean") -> None:
        super().__init__(reduction)

    def terms(self, x: Array, target: Array) -> Array:
        check_same_shape(self, x, target)
        self.cache = difference = x - target
        # f = (x - t)²
        return difference * difference

    def backward(self) -> Array:
        difference = self.recall()
        # dx = 2 (x - t) / n
        return difference * (2 / self.divisor(difference))

    def jvp(self, output_dot: Array | None) -> float:
        difference = self.recall()
        if output_dot is None:
            return 0.0
        # L_dot = 2/n Σ (x - t) x_dot
        return 2 * total(difference * output_dot) / self.divisor(difference)

    def each_jvp(self, output_dot: Array) -> Array:
        return 2 * self._by_example(self.recall() * output_dot)


def weighted(loss: Any, terms: Array, name: str = "weight") -> Array:
    """terms ⊙ weight. The loss's weight may lack leading axes, or have axes of length 1."""
    weight = getattr(loss, name)
    if weight is None:
        return terms
    shape = tuple(terms.shape)
    if weight.ndim > len(shape) or not all(
        a in (1, b) for a, b in zip(weight.shape[::-1], shape[::-1], strict=False)
    ):
        raise ValueError(
            f"{type(loss).__name__}: {name} has shape {weight.shape}, which does not fit an output "
            f"of shape {shape}; give one number for each of an example's elements, {shape[1:]}"
        )
    return terms * to_device(weight.astype(terms.dtype), like=terms)


def check_probabilities(loss: Loss, target: Array) -> None:
    """ValueError unless 0 <= target <= 1. It copies to the host."""
    if not bool(((target >= 0) & (target <= 1)).all()):
        name = type(loss).__name__
        raise ValueError(f"{name} takes targets in [0, 1], got {range_of(target)}")


def range_of(array: Array) -> str:
    """The smallest and the largest value, as text."""
    return f"{float(array.min()):.4g} to {float(array.max()):.4g}"


def check_same_shape(loss: Loss, output: Array, target: Array) -> Any:
    """The array module. Raises unless output and target have one shape and one dtype."""
    xp = array_module(output, target)
    name = type(loss).__name__
    if output.ndim == 0:
        raise ValueError(
            f"{name} expected an output of shape (N, ...), got (), a single number; for one "
            "example write output.reshape(1, 1)"
        )
    if output.shape != target.shape or output.size == 0:
        column = output.shape == (*target.shape, 1)
        cast = "" if target.dtype == output.dtype else f".astype('{output.dtype}')"
        advice = f"; make the target a column, y[:, None]{cast}"
        raise ValueError(
            f"{name} expected output and target of one shape, got {tuple(output.shape)} and "
            f"{tuple(target.shape)}; broadcasting them would average over the wrong pairs"
            f"{advice if column else ''}"
        )
    if output.dtype != target.dtype:
        raise TypeError(
            f"{name} expected output and target of one dtype, got {output.dtype} and "
            f"{target.dtype}; cast with target.astype('{output.dtype}')"
        )
    return xp
