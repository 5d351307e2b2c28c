"""One schedule after another."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from minigrad.checks import positive_int
from minigrad.optim.base import Optimizer
from minigrad.optim.schedules import Schedule


class SequentialLR(Schedule):
    r"""lr(t) = lr(0) · factor_i(t - m_i): schedule i from milestone m_i on, m_0 = 0.

    Each begins with its own t = 0 and with the lr that the first had at its start. Warm-up, then a
    cosine, 100 steps in all:

        warm_up = mg.LinearLR(optimizer, 0.1, total_iters=10, per="step")
        fall = mg.CosineAnnealingLR(optimizer, 90, per="step")
        schedule = mg.SequentialLR(optimizer, [warm_up, fall], [10])

    Source: PyTorch's SequentialLR.
    """

    def __init__(
        self, optimizer: Optimizer, schedulers: Sequence[Schedule], milestones: Sequence[int]
    ):
        """
        optimizer   its lr is set
        schedulers  schedules of this optimiser, made just before, all per epoch or all per step
        milestones  integers >= 1 that grow, one fewer than schedules: t when the next one begins
        """
        what = "schedulers must be schedules of this optimiser, all per epoch or all per step"
        if not isinstance(schedulers, list | tuple) or not schedulers:
            raise TypeError(f"{what}; got {schedulers!r:.60}")
        for one in schedulers:
            if not isinstance(one, Schedule) or one.optimizer is not optimizer:
                raise TypeError(f"{what}; got {one!r:.60}")
            if one.per not in ("epoch", "step") or one.per != schedulers[0].per:
                raise ValueError(f"{what}; got {[each.per for each in schedulers]}")
            if one.t:
                raise ValueError(f"{one!r} is in use, t = {one.t}: make it anew")
        super().__init__(optimizer, schedulers[0].per)
        self.schedulers = list(schedulers)
        if not isinstance(milestones, list | tuple):
            raise TypeError(f"milestones must be a list of integers, as [10], got {milestones!r}")
        self.milestones = [positive_int("milestones", m) for m in milestones]
        if len(self.milestones) != len(self.schedulers) - 1:
            raise ValueError(
                f"{len(self.schedulers)} schedules need {len(self.schedulers) - 1} milestones, got "
                f"{self.milestones}"
            )
        if sorted(set(self.milestones)) != self.milestones:
            raise ValueError(f"milestones must grow, as [10, 20], got {self.milestones}")
        # To make the first has changed lr, and has used up a saved position that waited for this.
        optimizer.pending_schedule = self.schedulers[0].passed_over
        self.start = self.schedulers[0].start

    def factor(self, t: int) -> float:
        i = bisect_right(self.milestones, t)
        one = self.schedulers[i]
        one.start = self.start
        return one.factor(t - (self.milestones[i - 1] if i else 0))
