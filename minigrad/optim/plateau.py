"""A schedule that looks at what is measured: lr falls when the loss no longer does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from minigrad.checks import count, not_negative, number, positive_int
from minigrad.optim.base import Optimizer
from minigrad.optim.schedules import Schedule


class ReduceLROnPlateau(Schedule):
    r"""lr ← max(γ lr, min_lr) after more than P measurements that are not better than the best.

    Better, mode "min":  value < best (1 - ε), threshold_mode "rel", or value < best - ε, "abs"
            mode "max":  value > best (1 + ε),                       or value > best + ε
    `fit` measures: after each evaluation the schedule gets a value from its row of the history, so
    t counts evaluations. In a loop of your own call `schedule.step(value)`.
    Source: PyTorch's ReduceLROnPlateau.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float = 0,
        eps: float = 1e-8,
        metric: str | None = None,
    ):
        """
        optimizer       its lr is set
        mode            "min": a smaller value is better, as of a loss; "max": a larger one
        factor          γ in [0, 1)
        patience        P, an integer >= 0
        threshold       ε >= 0
        threshold_mode  "rel" or "abs"
        cooldown        so many measurements after each fall do not count as bad
        min_lr          lr does not fall below it
        eps             a fall of lr by eps or less is not made
        metric          the list of the history to look at, "train_accuracy" for example. None:
                        validation_loss, or train_loss if there is no validation set
        """
        super().__init__(optimizer)
        self.per = "evaluation"
        for name, value, names in (
            ("mode", mode, ("min", "max")),
            ("threshold_mode", threshold_mode, ("rel", "abs")),
        ):
            if value not in names:
                raise ValueError(f'{name} must be "{names[0]}" or "{names[1]}", got {value!r}')
        self.mode = mode
        self.threshold_mode = threshold_mode
        self.gamma = not_negative("factor", factor)
        if self.gamma >= 1:
            raise ValueError(f"factor must be a number in [0, 1), got {factor!r}")
        self.patience = positive_int("patience", patience, least=0)
        self.threshold = not_negative("threshold", threshold)
        self.cooldown = positive_int("cooldown", cooldown, least=0)
        self.min_lr = not_negative("min_lr", min_lr)
        self.eps = not_negative("eps", eps)
        if metric is not None and not isinstance(metric, str):
            raise TypeError(f'metric must be a name, "train_loss" for example, got {metric!r:.60}')
        self.metric = metric
        self.reached = self.start  # lr now
        self.best: float | None = None  # None: no value so far
        self.bad = 0  # measurements since the best, or since lr fell
        self.wait = 0  # measurements that still do not count

    def factor(self, t: int) -> float:
        """lr / lr(0) as it is now: later values are not known before they are measured."""
        return self.reached / self.start if self.start else 1.0

    def measured(self, row: Mapping[str, float]) -> None:
        """A step with the value in an evaluation's row. `fit` calls this."""
        name = self.metric
        if name is None:
            name = "validation_loss" if "validation_loss" in row else "train_loss"
        if name not in row:
            raise ValueError(f"metric={name!r} is not measured in this run, which has {list(row)}")
        self.step(row[name])

    def step(self, metrics: float | None = None) -> None:
        """Look at a value that was just measured."""
        if metrics is None:
            raise TypeError("ReduceLROnPlateau looks at a value: call schedule.step(value)")
        value = float(number("metrics", metrics))
        if self._better(value):
            self.best = value
            self.bad = 0
        else:
            self.bad += 1
        if self.wait:
            self.wait -= 1
            self.bad = 0
        if self.bad > self.patience:
            lr = max(self.gamma * self.reached, self.min_lr)
            if self.reached - lr > self.eps:
                self.reached = lr
            self.wait = self.cooldown
            self.bad = 0
        super().step()

    def _better(self, value: float) -> bool:
        if self.best is None:
            return value == value  # NaN is never better
        sign = 1 if self.mode == "min" else -1
        if self.threshold_mode == "rel":
            return sign * value < sign * self.best * (1 - sign * self.threshold)
        return sign * value < sign * self.best - self.threshold

    def state_dict(self) -> dict[str, Any]:
        """t, lr(0), lr as it is now, two counts, and the best value if there is one."""
        kept = {"reached": self.reached, "bad": self.bad, "wait": self.wait}
        if self.best is not None:
            kept["best"] = self.best
        return super().state_dict() | kept

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        own = dict(state) if isinstance(state, Mapping) else {}
        if missing := [name for name in ("reached", "bad", "wait") if name not in own]:
            raise KeyError(f"a ReduceLROnPlateau's state has also {missing}, not only t and start")
        reached = not_negative("reached", number("reached", own.pop("reached")))
        bad = count("bad", own.pop("bad"))
        wait = count("wait", own.pop("wait"))
        best = float(number("best", own.pop("best"))) if "best" in own else None
        if best != best:
            raise ValueError("best must be a number, got NaN")
        before = self.reached
        self.reached = reached
        try:
            super().load_state_dict(own)
        except BaseException:
            self.reached = before
            raise
        self.best = best
        self.bad = bad
        self.wait = wait
