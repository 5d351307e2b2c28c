"""The quality of a learning rule's gradient, against the true one, layer by layer."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any

import numpy as np

from minigrad.backend import Array
from minigrad.checks import positive_int
from minigrad.diagnostics.copies import as_before, check_parts, copied, moving
from minigrad.diagnostics.measures import SHOWN, Comparison, Measures
from minigrad.layers import Layer, holding
from minigrad.losses import Loss
from minigrad.rules import Backprop, Rule
from minigrad.rules.needs import check_trainable
from minigrad.rules.sharing import shared, summed


@dataclass(frozen=True)
class Quality:
    """What `quality` has measured. print(...) shows a table.

    layers      {"0": Measures, "2": ...}: each layer that moves, by its flat name
    total       Measures of all parameters together
    rule        the rule, as text
    loss        the loss of the batch
    replicates  R
    seed        from which the replicates' random streams come
    """

    layers: dict[str, Measures]
    total: Measures
    rule: str
    loss: float
    replicates: int
    seed: int

    def as_dict(self) -> dict[str, Any]:
        """All of it as plain numbers, text and dicts, for JSON. None for NaN and ∞."""
        return {
            "rule": self.rule,
            "loss": self.loss if np.isfinite(self.loss) else None,
            "replicates": self.replicates,
            "seed": self.seed,
            "layers": {name: found.as_dict() for name, found in self.layers.items()},
            "total": self.total.as_dict(),
        }

    def __str__(self) -> str:
        heads = {"norm_ratio": "norm", "sign_agreement": "sign", "bias2": "bias²"}
        rows = {**self.layers, "all": self.total}
        width = max(len("layer"), *map(len, rows))
        lines = [
            f"{self.rule}: {self.replicates} estimates",
            f"{'layer':{width}}" + "".join(f"{heads.get(name, name):>11}" for name in SHOWN),
        ]
        for layer, found in rows.items():
            cells = "".join(f"{getattr(found, name):11.3g}" for name in SHOWN)
            lines.append(f"{layer:{width}}{cells}")
        return "\n".join(lines)


def quality(
    rule: Rule,
    model: Layer,
    loss: Loss,
    x: Array,
    target: Array,
    replicates: int = 8,
    seed: int = 0,
) -> Quality:
    r"""Compare a rule's estimates ĝ with the gradient g = ∇L by backprop, on one batch.

    The rule estimates `replicates` times. Each time it and the model are as they are now. Only the
    rule's random streams differ: they are seeded anew, from `seed` (see `Rule.reseed`). Dropout's
    masks are the same for g and for all ĝ. Nothing changes: the work is done on copies.
    A layer that the rule leaves out counts as ĝ = 0. Frozen layers are left out of everything.
    Where layers share an array, their gradients are added under its first name. A rule that follows
    another loss is compared with ∇L all the same.
    Returns a `Quality`. ValueError: the rule cannot train this model, or backprop cannot.
    Source: bias² and variance of an estimate, Geman, Bienenstock, Doursat 1992.
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
        _, true_model, true_loss = copied(*start)
        with holding(true_model, like=model):
            value = backprop.estimate(true_model, true_loss, x, target)
            comparisons = {
                prefix: Comparison({name: g.astype("float64") for name, g in grads.items()})
                for prefix, grads in _by_layer(true_model, names).items()
                if grads
            }
            if not comparisons:
                raise ValueError(
                    "backprop leaves no gradient in any layer: nothing to compare with"
                )
            for state in np.random.SeedSequence(seed).generate_state(replicates):
                _estimate(start, int(state), true_model, x, target, names, comparisons)
    sums = {prefix: comparison.sums() for prefix, comparison in comparisons.items()}
    return Quality(
        {prefix.removesuffix("."): found.measures() for prefix, found in sums.items()},
        reduce(add, sums.values()).measures(),
        repr(rule),
        value,
        replicates,
        seed,
    )


def _estimate(
    start: Any,
    seed: int,
    held: Layer,
    x: Array,
    target: Array,
    names: dict[str, list[str]],
    comparisons: dict[str, Comparison],
) -> None:
    """One more estimate, by new copies with the masks of `held`."""
    rule, model, loss = copied(*start)
    rule.reseed(seed)
    with holding(model, like=held):
        rule.estimate(model, loss, x, target)
    found = _by_layer(model, names)
    for prefix, comparison in comparisons.items():
        comparison.add(found[prefix])


def _by_layer(model: Layer, names: dict[str, list[str]]) -> dict[str, dict[str, Array]]:
    """{prefix: {name: gradient}}; a shared array's is the sum, under its first name."""
    grads = {
        prefix + name: grad for prefix, leaf in model.leaves() for name, grad in leaf.grads.items()
    }
    total = summed(grads, shared(model))
    return {
        prefix: {name: total[prefix + name] for name in own if prefix + name in total}
        for prefix, own in names.items()
    }
