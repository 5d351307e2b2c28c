"""The step of an optimiser as a part of the graph.

What changes from step to step lies in device memory: the learning rate, and what depends on the
number of the step. The host writes it there before each repetition. So a schedule acts as usual,
and the optimiser's own count and state are always those of the last step.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from minigrad.capture.watch import same
from minigrad.kernels.device.table import NUMBERS
from minigrad.optim import Optimizer
from minigrad.optim.together import Plan, plans_of

PASSING = {"lr", "state", "average", "_schedule", "pending_schedule"}


class MovesChangedError(RuntimeError):
    """The optimiser moves other parameters while it is recorded than in the step before."""


class Moves:
    """One optimiser whose whole step is one launch, or a few (see `optim.together`)."""

    def __init__(self, optimizer: Optimizer, cuda: Any):
        self.optimizer = optimizer
        self.cuda = cuda
        self.plans: list[Plan] = plans_of(optimizer)
        self.kept = [cuda.numbers(NUMBERS) for _ in self.plans]
        self.written: list[Any] = [None] * len(self.plans)  # what lies there
        self.seen = self._see()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Within this block `optimizer.step()` is recorded. It counts itself."""
        for plan, kept in zip(self.plans, self.kept, strict=True):
            plan.kept = kept
        try:
            yield
        finally:
            for plan in self.plans:
                plan.kept = None
        now = plans_of(self.optimizer)
        pairs = zip(now, self.plans, strict=False)
        if len(now) != len(self.plans) or any(a is not b for a, b in pairs):
            raise MovesChangedError("the optimiser moves other parameters than in the step before")
        self.seen = self._see()

    def write(self, count: bool) -> None:
        """Before the graph runs: write the numbers of this step. count: count it, too."""
        for i, plan in enumerate(self.plans):
            t = plan.count() if count else plan.seats[0].state.get("t", 0)
            _, numbers = plan._numbers(self.optimizer, t)
            if numbers != self.written[i]:
                self.cuda.write(self.kept[i], numbers)
                self.written[i] = numbers

    def same(self) -> bool:
        """Whether the optimiser has the same settings, apart from lr, and the same arrays."""
        now = self._see()
        return (
            self.optimizer.average is None
            and now.keys() == self.seen.keys()
            and all(same(value, now[key]) for key, value in self.seen.items())
        )

    def _see(self) -> dict[Any, Any]:
        optimizer = self.optimizer
        found: dict[Any, Any] = {k: v for k, v in vars(optimizer).items() if k not in PASSING}
        for name, state in optimizer.state.items():
            found[name, ""] = state
            found |= {(name, key): value for key, value in state.items() if key != "t"}
        return found


def moves_of(optimizer: Optimizer | None, cuda: Any) -> Moves | None:
    """The optimiser's step for the graph. None: it has to be made beside it.

    It must have made an ordinary step before. It is made beside the graph if a part of it is
    computed by Python: an `_update` of one's own, an average of the weights.
    """
    if optimizer is None or optimizer.average is not None or "_update" in vars(optimizer):
        return None
    if type(optimizer).step is not Optimizer.step or not optimizer.formula:
        return None
    moving = {
        id(param)
        for _, layer in optimizer.model.leaves()
        if layer.grads and not layer.frozen
        for param in layer.params.values()
    }
    together = [seat for plan in plans_of(optimizer) for seat in plan.seats]
    if not together or {id(seat.param) for seat in together} != moving:
        return None
    return Moves(optimizer, cuda)
