"""Estimates of one gradient by one rule, again and again from the same state."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np

from minigrad.backend import Array
from minigrad.checks import positive_int
from minigrad.diagnostics.copies import as_before, check_parts, copied, moving
from minigrad.layers import Layer, holding
from minigrad.losses import Loss
from minigrad.rules import Backprop, Rule
from minigrad.rules.needs import check_trainable
from minigrad.rules.sharing import shared, summed

ByLayer = dict[str, dict[str, Array]]  # {prefix of a layer: {name: gradient}}


class Replicates(NamedTuple):
    """The gradient, and estimates of it.

    loss       of the batch
    true       {prefix: {name: g}} of the layers that move
    estimates  yields the same of ĝ, R times. What a rule leaves out is missing
    held       a copy of the model, which keeps the masks of all of them
    """

    loss: float
    true: ByLayer
    estimates: Iterator[ByLayer]
    held: Layer


@contextmanager
def replicated(
    rule: Rule, model: Layer, loss: Loss, x: Array, target: Array, replicates: int, seed: int
) -> Iterator[Replicates]:
    """The gradient by backprop, and `replicates` estimates by new copies of rule and model.

    Only the rule's random streams differ. Inside the block the estimates are made one by one.
    """
    check_parts(model, loss, rule)
    positive_int("replicates", replicates)
    positive_int("seed", seed, least=0)
    names = {prefix: list(leaf.params) for prefix, leaf in moving(model)}
    backprop = Backprop()
    check_trainable(rule, model, loss)
    check_trainable(backprop, model, loss)
    with as_before(rule, model, loss):
        start = copied(rule, model, loss)
        _, held, its_loss = copied(*start)

        def estimates() -> Iterator[ByLayer]:
            for state in np.random.SeedSequence(seed).generate_state(replicates):
                own_rule, own_model, own_loss = copied(*start)
                own_rule.reseed(int(state))
                with holding(own_model, like=held):
                    own_rule.estimate(own_model, own_loss, x, target)
                yield _by_layer(own_model, names)

        with holding(held, like=model):
            value = backprop.estimate(held, its_loss, x, target)
            true = {prefix: grads for prefix, grads in _by_layer(held, names).items() if grads}
            if not true:
                raise ValueError(
                    "backprop leaves no gradient in any layer: nothing to compare with"
                )
            yield Replicates(value, true, estimates(), held)


def _by_layer(model: Layer, names: dict[str, list[str]]) -> ByLayer:
    """The gradients of the layers named; a shared array's is the sum, under its first name."""
    grads = {
        prefix + name: grad for prefix, leaf in model.leaves() for name, grad in leaf.grads.items()
    }
    total = summed(grads, shared(model))
    return {
        prefix: {name: total[prefix + name] for name in own if prefix + name in total}
        for prefix, own in names.items()
    }
