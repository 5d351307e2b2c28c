"""The steps of a training one by one: those of `fit`, without its evaluations."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from minigrad.feeding import Feeding
from minigrad.layers import Layer
from minigrad.losses import Loss
from minigrad.optim import Optimizer
from minigrad.rules import Rule


def steps(
    model: Layer, loss: Loss, rule: Rule, optimizer: Optimizer, feeding: Feeding
) -> Iterator[float]:
    """Make a step each time a loss is asked for, epoch after epoch, without end.

    The numbers are those of `fit(model, loss, rule, optimizer, train, ...)`: each loss is of
    the batch before its step. A loss that is not finite is the last one; after it nothing moves.
    """
    epoch = 0
    while True:
        epoch += 1
        for x, y in feeding.epoch(epoch, 0, {}):
            with np.errstate(over="ignore", invalid="ignore"):  # a loss that diverges shows it
                value = rule.estimate(model, loss, x, y)
                if math.isfinite(value):
                    optimizer.step()
            yield value
            if not math.isfinite(value):
                return
        rule.end_epoch()
