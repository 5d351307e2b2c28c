"""Learning-rate schedules: the learning rate as a function of time."""

from __future__ import annotations

import re
import weakref
from collections.abc import Mapping, Sequence
from functools import wraps
from typing import Any

from minigrad.checks import count, not_negative, positive_int
from minigrad.optim.base import Optimizer
from minigrad.settings import Configured
from minigrad.streams import StreamsOfParts


class Schedule(Configured, StreamsOfParts):
    """lr(t) = lr(0) · factor(t). t counts epochs or steps. `step()` adds 1 to t.

    To write a schedule, write `factor(t)`. If it has settings, also write an
    `__init__(self, optimizer, ..., per)` that calls `super().__init__(optimizer, per)`:

        class WarmUp(Schedule):
            def factor(self, t):
                return min(1, (t + 1) / 10)

    lr(0) is the optimiser's lr when the schedule is made. The lr is then set to lr(0) · factor(0).
    """

    _not_searched = ("_given", "optimizer")  # the optimiser's streams are saved with it

    def __init__(self, optimizer: Optimizer, per: str = "epoch"):
        """
        optimizer  its lr is set
        per        "epoch" or "step": t counts these. `fit` calls `step()` after each
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
        """After the `__init__` of `cls`, the optimiser's lr is set to lr(0) · factor(0)."""
        super().__init_subclass__(**options)
        init = cls.__init__

        @wraps(init)
        def __init__(self: Schedule, *args: Any, **kwargs: Any) -> None:
            init(self, *args, **kwargs)
            if type(self) is cls:
                self._begin()

        cls.__init__ = __init__  # type: ignore[method-assign]

    def factor(self, t: int) -> float:
        """lr(t) / lr(0)."""
        raise NotImplementedError(f"{type(self).__name__} has no factor(t) yet: lr(t) / lr(0)")

    def _begin(self) -> None:
        """Set lr(0), or go on from a saved position if the optimiser has one of this schedule."""
        saved = self.optimizer.pending_schedule
        if saved is not None and saved["said"] == self.said():
            self.load_state_dict({name: value for name, value in saved.items() if name != "said"})
        else:
            self._set()
        self.optimizer.pending_schedule = None
        self.optimizer._schedule = weakref.ref(self)

    def step(self) -> None:
        """Go on by one epoch, or by one step."""
        self.t += 1
        self._set()

    def _set(self) -> None:
        self.optimizer.lr = self.start * self.factor(self.t)

    def said(self) -> str:
        """Its repr without a position or an address: the same in another process."""
        return re.sub(r" at 0x[0-9a-fA-F]+", "", Configured.__repr__(self))

    def state_dict(self) -> dict[str, Any]:
        """t and lr(0): {"t": 3, "start": 0.1}. A schedule that keeps more adds it."""
        return {"t": self.t, "start": self.start}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Load a state from `state_dict`, and set the optimiser's lr to lr(t).

        After an error the schedule and the lr are as they were.
        """
        if not isinstance(state, Mapping) or state.keys() != {"t", "start"}:
            got = sorted(map(str, state)) if isinstance(state, Mapping) else f"{state!r:.60}"
            raise KeyError(f"a schedule's state is t and start, this one has {got}")
        t = count("t", state["t"])
        start = not_negative("start", state["start"])
        self.optimizer.lr = start * self.factor(t)  # may raise: before anything else is set
        self.start = start
        self.t = t

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_current": self.optimizer.current_schedule is self}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """A copy, with its optimiser's copy, is the schedule of that one."""
        current = state.pop("_current", False)
        vars(self).update(state)
        if current and self.optimizer.current_schedule is None:
            self.optimizer._schedule = weakref.ref(self)


class StepLR(Schedule):
    r"""lr(t) = lr(0) · γ^⌊t/T⌋, T = step_size.
    Source: PyTorch's StepLR.
    """

    def __init__(
        self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, per: str = "epoch"
    ):
        """
        optimizer  its lr is set
        step_size  T, an integer >= 1: lr falls after every T epochs (or steps)
        gamma      γ >= 0: lr is then multiplied by it
        per        "epoch" or "step": t counts these
        """
        super().__init__(optimizer, per)
        self.step_size = positive_int("step_size", step_size)
        self.gamma = not_negative("gamma", gamma)

    def factor(self, t: int) -> float:
        return self.gamma ** (t // self.step_size)


class MultiStepLR(Schedule):
    r"""lr(t) = lr(0) · γ^(number of milestones <= t). Milestones [60, 80] lower lr twice.

    A milestone of 0 lowers lr from the start.
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
        optimizer   its lr is set
        milestones  integers >= 0: lr falls after so many epochs (or steps). A number may repeat
        gamma       γ >= 0: at each milestone lr is multiplied by it
        per         "epoch" or "step": t counts these
        """
        super().__init__(optimizer, per)
        if not hasattr(milestones, "__iter__") or isinstance(milestones, str):
            raise ValueError(f"milestones must be integers, as [60, 80], got {milestones!r}")
        self.milestones = [positive_int("milestones", m, least=0) for m in milestones]
        self.gamma = not_negative("gamma", gamma)

    def factor(self, t: int) -> float:
        return self.gamma ** sum(milestone <= t for milestone in self.milestones)


class ExponentialLR(Schedule):
    r"""lr(t) = lr(0) · γ^t. For a decay lr(0) e^(-kt) over steps: γ = exp(-k), per="step".
    Source: PyTorch's ExponentialLR.
    """

    def __init__(self, optimizer: Optimizer, gamma: float, per: str = "epoch"):
        """
        optimizer  its lr is set
        gamma      γ >= 0: lr is multiplied by it after each epoch (or step)
        per        "epoch" or "step": t counts these
        """
        super().__init__(optimizer, per)
        self.gamma = not_negative("gamma", gamma)

    def factor(self, t: int) -> float:
        return self.gamma**t
