"""The quality of a learning rule's gradient, against the true one, layer by layer."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any

import numpy as np

from minigrad.backend import Array
from minigrad.diagnostics.measures import SHOWN, Comparison, Measures
from minigrad.diagnostics.replicates import replicated
from minigrad.layers import Layer
from minigrad.losses import Loss
from minigrad.rules import Rule


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
    Taught in: 14_side_by_side.
    """
    with replicated(rule, model, loss, x, target, replicates, seed) as found:
        comparisons = {
            prefix: Comparison({name: g.astype("float64") for name, g in grads.items()})
            for prefix, grads in found.true.items()
        }
        for estimate in found.estimates:
            for prefix, comparison in comparisons.items():
                comparison.add(estimate[prefix])
    sums = {prefix: comparison.sums() for prefix, comparison in comparisons.items()}
    return Quality(
        {prefix.removesuffix("."): one.measures() for prefix, one in sums.items()},
        reduce(add, sums.values()).measures(),
        repr(rule),
        found.loss,
        replicates,
        seed,
    )
