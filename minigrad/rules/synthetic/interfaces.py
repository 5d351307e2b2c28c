"""How good the modules at the interfaces are, against the gradients that they stand for."""

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
    from minigrad.rules.synthetic.sweeps import Decoupled


@dataclass(frozen=True)
class Interface:
    """One module's predictions dh_hat on a batch.

    after            the layer that the interface is after
    r2_true          R² = 1 - Σ‖dh_hat - dh‖² / Σ‖dh - mean dh‖² against the true gradient dh: 1 is
                     perfect, 0 no better than one constant, below 0 worse
    r2_bootstrapped  the same against what the module is taught: what the block above makes of its
                     own module's prediction ("locked": of the true gradient; "bp-lambda": of the
                     mixture). At the top interface both are the same
    cosine           <dh_hat, dh> / ‖dh_hat‖ ‖dh‖; NaN for predictions that are 0
    norm_ratio       ‖dh_hat‖ / ‖dh‖
    """

    after: int
    r2_true: float
    r2_bootstrapped: float
    cosine: float
    norm_ratio: float


class InterfaceReport:
    """One `Interface` each, and of each block the updates and the age of the last; prints."""

    def __init__(self, interfaces: list[Interface], updates: list[int], ages: list[int]):
        self.interfaces, self.updates, self.ages = interfaces, updates, ages

    @classmethod
    def of(
        cls, net: Decoupled, loss: Loss, x: Array, target: Array, mixture: float = 0.0
    ) -> InterfaceReport:
        """Measured on copies: no batch statistics, random stream or gradient is moved.

        mixture: how much of a module's lesson comes down from above, and is no module's word.
        """
        blocks, modules, loss = copy.deepcopy((net.blocks, net.modules, loss))
        h, dh_hats = x, []
        for i, block in enumerate(blocks):
            h = block.forward(h)
            if i < len(modules):
                dh_hats.append(modules[i].predict(h, target).copy())
        loss.forward(h, target)
        true = bootstrapped = loss.backward()
        found = []
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
    norms = float(np.linalg.norm(a)), float(np.linalg.norm(b))
    cosine = float((a * b).sum()) / (norms[0] * norms[1]) if min(norms) > 0 else math.nan
    ratio = norms[0] / norms[1] if norms[1] else math.nan
    return Interface(after, r_squared(a, b), r_squared(a, c), cosine, ratio)


def r_squared(predicted: np.ndarray, true: np.ndarray) -> float:
    """1 - Σ‖predicted - true‖² / Σ‖true - mean over the batch‖²; NaN where `true` is constant."""
    spread = float(((true - true.mean(axis=0)) ** 2).sum())
    return 1 - float(((predicted - true) ** 2).sum()) / spread if spread else math.nan
