"""How good the modules' predictions are, compared with the true gradients."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from minigrad import backend
from minigrad.backend import Array
from minigrad.losses import Loss

if TYPE_CHECKING:
    from minigrad.rules.synthetic.sweeps import DecoupledNetwork


@dataclass(frozen=True)
class Interface:
    """One module's predictions dh_hat on a batch.

    after            the number of the layer below the interface
    r2_true          R² = 1 - Σ‖dh_hat - dh‖² / Σ‖dh - mean dh‖², dh the true gradient: 1 is
                     perfect, 0 as good as a constant, below 0 worse than a constant
    r2_bootstrapped  R², dh being what the module learns: Jᵀ of the block above times the prediction
                     at that block's output ("locked": times the true gradient there; "bp-lambda":
                     times the mixture). At the top interface both R² are the same
    cosine           <dh_hat, dh> / ‖dh_hat‖ ‖dh‖; NaN for predictions that are 0
    norm_ratio       ‖dh_hat‖ / ‖dh‖
    """

    after: int
    r2_true: float
    r2_bootstrapped: float
    cosine: float
    norm_ratio: float


class InterfaceReport:
    """A table: an `Interface` for each module; updates and steps since the last for each block."""

    def __init__(self, interfaces: list[Interface], updates: list[int], ages: list[int]):
        self.interfaces = interfaces
        self.updates = updates
        self.ages = ages

    @classmethod
    def of(
        cls, net: DecoupledNetwork, loss: Loss, x: Array, target: Array, mixture: float = 0.0
    ) -> InterfaceReport:
        """Measured on copies, so that no statistic, random stream or gradient changes.

        mixture: λ in g = λ Jᵀ g + (1 - λ) dh_hat, the gradient that a module below learns from: 0
        is the prediction alone, 1 the true gradient.
        """
        blocks, modules, loss = copy.deepcopy((net.blocks, net.modules, loss))
        h = x
        dh_hats = []
        for i, block in enumerate(blocks):
            h = block.forward(h)
            if i < len(modules):
                dh_hats.append(modules[i].predict(h, target).copy())
        loss.forward(h, target)
        true = bootstrapped = loss.backward()
        found: list[Interface] = []
        for i in range(len(modules) - 1, -1, -1):
            bootstrapped = blocks[i + 1].backward(bootstrapped)
            true = blocks[i + 1].backward(true)
            found.insert(0, _interface(blocks[i].stop - 1, dh_hats[i], true, bootstrapped))
            bootstrapped = mixture * bootstrapped + (1 - mixture) * dh_hats[i]
        ages = [net.steps - last for last in net.last_update]
        return cls(found, list(net.updates), ages)

    def __str__(self) -> str:
        lines = [
            f"{'after layer':>12}{'R² true':>10}{'R² taught':>11}{'cosine':>9}{'norm':>8}"
            f"{'updates below':>15}{'age':>6}"
        ]
        for interface, n, age in zip(self.interfaces, self.updates, self.ages, strict=False):
            lines.append(
                f"{interface.after:12}{interface.r2_true:10.3f}{interface.r2_bootstrapped:11.3f}"
                f"{interface.cosine:9.3f}{interface.norm_ratio:8.2f}{n:15,}{age:6}"
            )
        n, age = self.updates[-1], self.ages[-1]
        lines.append(f"{'top':>12}{'':38}{n:15,}{age:6}")
        return "\n".join(lines)


def _interface(after: int, predicted: Array, true: Array, bootstrapped: Array) -> Interface:
    a, b, c = (
        backend.to_host(v).reshape(len(v), -1).astype("float64")
        for v in (predicted, true, bootstrapped)
    )
    length = float(np.linalg.norm(a))
    true_length = float(np.linalg.norm(b))
    both = min(length, true_length) > 0
    cosine = float((a * b).sum()) / (length * true_length) if both else math.nan
    ratio = length / true_length if true_length else math.nan
    return Interface(after, r_squared(a, b), r_squared(a, c), cosine, ratio)


def r_squared(predicted: np.ndarray, true: np.ndarray) -> float:
    """1 - Σ‖predicted - true‖² / Σ‖true - mean over the batch‖²; NaN where `true` is constant."""
    spread = float(((true - true.mean(axis=0)) ** 2).sum())
    return 1 - float(((predicted - true) ** 2).sum()) / spread if spread else math.nan
