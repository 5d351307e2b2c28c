"""Where a run of `fit` is: the epoch, the batch, and what is done of the epoch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

# The phases of an epoch
STEPS = 0  # its steps are being made
ENDED = 1  # all steps are made
EVALUATED = 2  # and it is evaluated, if it is one of those that are


@dataclass
class Position:
    """Where a run is. A checkpoint contains it.

    first     how many epochs the model had been trained before the run
    epoch     the epoch in which the run is, counted on from `first`
    batch     how many of its batches are done
    phase     STEPS, ENDED or EVALUATED
    trained   seconds of training since the last evaluation
    finished  the callback has ended the run
    data      the random numbers at the start of the epoch: of the training set, and the common ones
    """

    first: int
    epoch: int
    batch: int = 0
    phase: int = STEPS
    trained: float = 0.0
    finished: bool = False
    data: dict[str, Any] = field(default_factory=dict)
