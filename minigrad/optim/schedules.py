"""Learning-rate schedules: the learning rate as a function of time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import wraps
from typing import Any

from minigrad.checks import not_negative, positive_int
from minigrad.optim.base import Optimizer
from minigrad.settings import Configured


class Schedule(Configured):
    """lr(t) = lr(0) · factor(t): `step()` moves to the next t, an epoch or a step.

    To write one: `factor(t)`, and if it has settings an `__init__(self, optimizer, ..., per)` that
    calls `super().__init__(optimizer, per)`:

        class WarmUp(Schedule):
            def factor(self, t):
                return min(1, (t + 1) / 10)

    lr(0) is the optimiser's lr when the schedule is made. It becomes lr(0) · factor(0) at once.
    """

    def __init__(self, optimizer: Optimizer, per: str = "epoch"):
        """
        optimizer  whose lr it sets
        per        what t counts, "epoch" or "step": when `fit` calls `step()`
        """
        if not isinstance(optimizer, Optimizer):
            got = optimizer.__name__ if isinstance(optimizer, type) else type(optimizer).__name__
            raise TypeError(
                f"{type(self).__name__}(optimizer, ...) sets the lr of an optimiser, got {got}: "
                "make one first, SGD(model, lr=0.1)"
            )
        if per not in ("epoch", "step"):
            raise ValueError(f'per must be "epoch" or "step", got {per!r}')
        self.optimizer = optimizer
        self.per = per
        self.start = optimizer.lr
        self.t = 0

    def __init_subclass__(cls, **options: Any) -> None:
        """Once a schedule has all its settings, the optimiser has lr(0) · factor(0)."""
        super().__init_subclass__(**options)
        init = cls.__init__

        @wraps(init)
        def __init__(self: Schedule, *args: Any, **kwargs: Any) -> None:
            init(self, *args, **kwargs)
            if type(self) is cls:
                self._set()

        cls.__init__ = __init__  # type: ignore[method-assign]

    def factor(self, t: int) -> float:
        """lr(t) / lr(0)."""
        raise NotImplementedError(f"{type(self).__name__} has no factor(t) yet: lr(t) / lr(0)")

    def step(self) -> None:
        """One epoch, or step, on."""
        self.t += 1
        self._set()

    def _set(self) -> None:
        self.optimizer.lr = self.start * self.factor(self.t)

    def state_dict(self) -> dict[str, Any]:
        """Where it is: {"t": 3, "start": 0.1}; start is lr(0)."""
        return {"t": self.t, "start": self.start}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave; the optimiser's lr is then that of the moment."""
        if state.keys() != {"t", "start"}:
            raise KeyError(f"a schedule's state is t and start, this one has {sorted(state)}")
        t = positive_int("t", int(state["t"]), least=0)
        self.start = not_negative("start", state["start"])
        self.t = t
        self._set()


class StepLR(Schedule):
    r"""lr(t) = lr(0) · γ^⌊t/T⌋, T = step_size.
    Source: PyTorch's StepLR.
    """

    def __init__(
        self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, per: str = "epoch"
    ):
        """
        optimizer  whose lr it sets
        step_size  T, an integer >= 1: after how many epochs (or steps) lr falls, again and again
        gamma      γ >= 0, what lr is then multiplied by
        per        what t counts, "epoch" or "step"
        """
        super().__init__(optimizer, per)
        self.step_size = positive_int("step_size", step_size)
        self.gamma = not_negative("gamma", gamma)

    def factor(self, t: int) -> float:
        return self.gamma ** (t // self.step_size)


class MultiStepLR(Schedule):
    r"""lr(t) = lr(0) · γ^(how many milestones t has reached): [60, 80] lowers it twice.

    A milestone 0 is reached from the start.
    Source: PyTorch's MultiStepLR.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        milestones: Sequence[int],
        gamma: float = 0.1,
        per: str = "epoch",
    ):
        """
        optimizer   whose lr it sets
        milestones  integers >= 0: after how many epochs (or steps) lr falls; twice the same: twice
        gamma       γ >= 0, what lr is then multiplied by
        per         what t counts, "epoch" or "step"
        """
        super().__init__(optimizer, per)
        if not hasattr(milestones, "__iter__") or isinstance(milestones, str):
            raise ValueError(f"milestones must be integers, as [60, 80], got {milestones!r}")
        self.milestones = [positive_int("milestones", m, least=0) for m in milestones]
        self.gamma = not_negative("gamma", gamma)

    def factor(self, t: int) -> float:
        return self.gamma ** sum(milestone <= t for milestone in self.milestones)


class ExponentialLR(Schedule):
    r"""lr(t) = lr(0) · γ^t; for a decay written lr(0) e^(-kt), γ = exp(-k) and per="step".
    Source: PyTorch's ExponentialLR.
    """

    def __init__(self, optimizer: Optimizer, gamma: float, per: str = "epoch"):
        """
        optimizer  whose lr it sets
        gamma      γ >= 0, what lr is multiplied by after each epoch (or step)
        per        what t counts, "epoch" or "step"
        """
        super().__init__(optimizer, per)
        self.gamma = not_negative("gamma", gamma)

    def factor(self, t: int) -> float:
        return self.gamma**t
