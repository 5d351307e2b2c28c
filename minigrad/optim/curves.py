"""Schedules that follow a curve: cosine, linear, polynomial, or any function."""

from __future__ import annotations

from collections.abc import Callable
from math import cos, pi

from minigrad.checks import not_negative, positive_int
from minigrad.optim.base import Optimizer
from minigrad.optim.schedules import Schedule


class CosineAnnealingLR(Schedule):
    r"""lr(t) = η + (lr(0) - η) (1 + cos(π t/T)) / 2, T = T_max, η = eta_min.

    It falls slowly at first and at the end. After T it rises again, as in PyTorch.
    Source: Loshchilov, Hutter 2017, eq. 5, without restarts; PyTorch's CosineAnnealingLR.
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0, per: str = "epoch"):
        """
        optimizer  its lr is set
        T_max      T, an integer >= 1: after so many epochs (or steps) lr is η
        eta_min    η >= 0
        per        "epoch" or "step": t counts these
        """
        super().__init__(optimizer, per)
        self.T_max = positive_int("T_max", T_max)
        self.eta_min = not_negative("eta_min", eta_min)
        if self.start == 0 and self.eta_min > 0:
            raise ValueError("eta_min > 0 needs an optimiser with lr > 0, and its lr is 0")

    def factor(self, t: int) -> float:
        low = self.eta_min / self.start if self.eta_min else 0.0
        return low + (1 - low) * (1 + cos(pi * t / self.T_max)) / 2


class LinearLR(Schedule):
    r"""lr(t) = lr(0) (a + (b - a) min(t, T)/T), a = start_factor, b = end_factor, T = total_iters.

    A linear warm-up with its defaults: from lr(0)/3 to lr(0).
    Source: PyTorch's LinearLR; warm-up: Goyal et al. 2017, §2.2.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        per: str = "epoch",
    ):
        """
        optimizer     its lr is set
        start_factor  a >= 0. (PyTorch refuses 0)
        end_factor    b >= 0
        total_iters   T, an integer >= 1: after so many epochs (or steps) the factor is b
        per           "epoch" or "step": t counts these
        """
        super().__init__(optimizer, per)
        self.start_factor = not_negative("start_factor", start_factor)
        self.end_factor = not_negative("end_factor", end_factor)
        self.total_iters = positive_int("total_iters", total_iters)

    def factor(self, t: int) -> float:
        done = min(t, self.total_iters) / self.total_iters
        return self.start_factor * (1 - done) + self.end_factor * done


class PolynomialLR(Schedule):
    r"""lr(t) = lr(0) (1 - min(t, T)/T)^p, T = total_iters, p = power.

    With p = 1 a straight line to 0.
    Source: PyTorch's PolynomialLR.
    """

    def __init__(
        self, optimizer: Optimizer, total_iters: int = 5, power: float = 1.0, per: str = "epoch"
    ):
        """
        optimizer    its lr is set
        total_iters  T, an integer >= 1: after so many epochs (or steps) lr is 0
        power        p >= 0
        per          "epoch" or "step": t counts these
        """
        super().__init__(optimizer, per)
        self.total_iters = positive_int("total_iters", total_iters)
        self.power = not_negative("power", power)

    def factor(self, t: int) -> float:
        return (1 - min(t, self.total_iters) / self.total_iters) ** self.power


class LambdaLR(Schedule):
    r"""lr(t) = lr(0) · f(t) with any function f.

    A checkpoint knows f by its name only: give it the same f when a run goes on.
    Source: PyTorch's LambdaLR.
    """

    def __init__(self, optimizer: Optimizer, lr_lambda: Callable[[int], float], per: str = "epoch"):
        """
        optimizer  its lr is set
        lr_lambda  f(t), a number >= 0 for t = 0, 1, 2, ...: lambda t: 0.95**t
        per        "epoch" or "step": t counts these
        """
        super().__init__(optimizer, per)
        if not callable(lr_lambda):
            raise TypeError(
                f"lr_lambda must be a function of t, as lambda t: 0.95**t; got {lr_lambda!r:.60}"
            )
        self.lr_lambda = lr_lambda

    def factor(self, t: int) -> float:
        return not_negative(f"lr_lambda({t})", self.lr_lambda(t))
