"""Learning-rate schedules: the learning rate as a function of time."""

from __future__ import annotations

from collections.abc import Sequence

from minigrad.checks import not_negative, positive_int
from minigrad.optim.base import Optimizer


class Schedule:
    """A learning rate as a function of time: `step()` moves to the next epoch (or step).

    per: "epoch" or "step", which `fit` goes by when it is given the schedule.
    """

    def __init__(self, optimizer: Optimizer, per: str = "epoch"):
        if per not in ("epoch", "step"):
            raise ValueError(f'per must be "epoch" or "step", got {per!r}')
        self.optimizer, self.per = optimizer, per
        self.start, self.t = optimizer.lr, 0

    def factor(self, t: int) -> float:
        """lr(t) / lr(0)."""
        raise NotImplementedError(f"{type(self).__name__} has no factor(t) yet: lr(t) / lr(0)")

    def step(self) -> None:
        self.t += 1
        self.optimizer.lr = self.start * self.factor(self.t)


class StepLR(Schedule):
    r"""lr(t) = lr(0) · γ^⌊t/T⌋, T = step_size.
    Source: PyTorch's StepLR.
    """

    def __init__(
        self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, per: str = "epoch"
    ):
        super().__init__(optimizer, per)
        self.step_size = positive_int("step_size", step_size)
        self.gamma = not_negative("gamma", gamma)

    def factor(self, t: int) -> float:
        return self.gamma ** (t // self.step_size)


class MultiStepLR(Schedule):
    r"""lr(t) = lr(0) · γ^(how many milestones t has reached): [60, 80] lowers it twice.
    Source: PyTorch's MultiStepLR.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        milestones: Sequence[int],
        gamma: float = 0.1,
        per: str = "epoch",
    ):
        super().__init__(optimizer, per)
        self.milestones = [positive_int("milestones", m, least=0) for m in milestones]
        self.gamma = not_negative("gamma", gamma)

    def factor(self, t: int) -> float:
        return self.gamma ** sum(milestone <= t for milestone in self.milestones)


class ExponentialLR(Schedule):
    r"""lr(t) = lr(0) · γ^t; for a decay written lr(0) e^(-kt), γ = exp(-k) and per="step".
    Source: PyTorch's ExponentialLR.
    """

    def __init__(self, optimizer: Optimizer, gamma: float, per: str = "epoch"):
        super().__init__(optimizer, per)
        self.gamma = not_negative("gamma", gamma)

    def factor(self, t: int) -> float:
        return self.gamma**t
