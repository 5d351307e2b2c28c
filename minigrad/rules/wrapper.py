"""A rule around another rule: it changes what the other one estimates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from minigrad.backend import Array
from minigrad.checks import check_state
from minigrad.layers import Layer
from minigrad.losses import Loss
from minigrad.rules.base import Rule


class Wrapper(Rule):
    """The base of a rule that wraps another. It hands everything on to that `rule`.

    A rule of your own overrides `estimate` only, in three lines: let the wrapped rule estimate,
    change `grads`, return the loss.

        class Halved(mg.rules.Wrapper):
            def estimate(self, model, loss, x, target):
                value = super().estimate(model, loss, x, target)
                for _, layer in model.leaves():
                    layer.grads = {name: grad / 2 for name, grad in layer.grads.items()}
                return value

    Epochs, schedules and state reach the wrapped rule by themselves. `cost` is that of the wrapped
    rule. Override another method only to add to it, and call `super()` there too.
    """

    prefix = "rule/"  # in front of the wrapped rule's names in the state

    def __init__(self, rule: Rule):
        self.rule = a_rule("rule", rule, type(self).__name__)
        self.cost = rule.cost

    def estimate(self, model: Layer, loss: Loss, x: Array, target: Array) -> float:
        return self.rule.estimate(model, loss, x, target)

    def why_not(self, model: Layer, loss: Loss | None = None) -> str | None:
        """What the wrapped rule says. A wrapper that needs more asks `super()` first."""
        return self.rule.why_not(model, loss)

    def outputs(self, model: Layer, x: Array) -> Array:
        return self.rule.outputs(model, x)

    def end_epoch(self) -> None:
        self.rule.end_epoch()

    def rescale(self, factor: float) -> None:
        self.rule.rescale(factor)

    def state_dict(self) -> dict[str, Any]:
        """The wrapped rule's state, with `prefix` in front of each name.

        A wrapper with a state of its own adds it: `return super().state_dict() | {"mine": 1}`.
        """
        return {self.prefix + name: value for name, value in self.rule.state_dict().items()}

    def load_state_dict(self, model: Layer, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave.

        A wrapper with a state of its own takes that out first, and gives the rest to `super()`.
        """
        check_state(type(self).__name__, state)
        if unknown := sorted(str(k) for k in state if not str(k).startswith(self.prefix)):
            raise KeyError(f"{type(self).__name__} keeps nothing of its own, got {unknown[:5]}")
        inner = {name.removeprefix(self.prefix): value for name, value in state.items()}
        self.rule.load_state_dict(model, inner)


def a_rule(name: str, rule: Any, owner: str) -> Rule:
    """The rule, or a TypeError that names the argument."""
    if not isinstance(rule, Rule):
        raise TypeError(
            f"{name} must be a Rule, got {rule!r}; write {owner}(mg.rules.Backprop()), for example"
        )
    return rule
