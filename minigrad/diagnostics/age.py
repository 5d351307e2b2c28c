"""How old the gradient of each layer is, for rules that use old ones or leave layers out."""

from __future__ import annotations

from minigrad.rules import Rule
from minigrad.rules.synthetic.base import BlockRule


def gradient_age(rule: Rule) -> dict[str, int]:
    """{flat name of a layer: steps since its gradient was last computed}; {} for most rules.

    Rules that cut a network into blocks have one: SyntheticGradients with an update_probability
    below 1, StaleGradients. 0: it was computed in the last step. A rule around such a rule has that
    rule's.
    """
    if not isinstance(rule, Rule):
        raise TypeError(f"rule must be a rule, as mg.rules.Backprop(), got a {type(rule).__name__}")
    while not isinstance(rule, BlockRule):
        inner = getattr(rule, "rule", None)
        if not isinstance(inner, Rule):
            return {}
        rule = inner
    layers = {id(leaf): prefix for prefix, leaf in rule.model.leaves()}
    return {
        layers[id(leaf)].removesuffix("."): rule.steps - last
        for block, last in zip(rule.blocks, rule.last_update, strict=True)
        for _, leaf in block.leaves()
        if leaf.params
    }
