"""Forward gradients along a guess: another rule proposes the direction, one jvp its slope."""

from __future__ import annotations

from collections.abc import Mapping
from math import sqrt
from typing import Any

from minigrad.backend import Array, array_module
from minigrad.checks import check_state, count
from minigrad.layers import Layer, holding
from minigrad.losses import Loss
from minigrad.rules.base import Rule
from minigrad.rules.forward.base import ForwardRule
from minigrad.rules.forward.directions import squared_norm_of_all
from minigrad.rules.loading import check_names
from minigrad.rules.needs import learning, missing
from minigrad.rules.sharing import shared, summed
from minigrad.rules.wrapper import Wrapper, a_rule


class GuidedForwardGradient(ForwardRule, Wrapper):
    r"""dW_hat = <∇L, u> u / |u|²: the gradient's projection on another rule's estimate u.

    It is the same for u, -u and 100 u, and never points uphill: <∇L, dW_hat> = <∇L, u>²/|u|² ≥ 0.
    It is not ∇L on average. Its cosine with ∇L is |cosine of u and ∇L|: a good guess is needed.
    A layer that the guide leaves out stays out. u = 0 gives dW_hat = 0. Layers that share an
    array: u is the sum of what the guide proposes for them, and each gets an equal part of dW_hat.
    Cost: the guide's, and three more forward passes.
    Source: Fournier et al. 2023.  Taught in: 11_forward_gradients.
    """

    prefix = "guide/"

    def __init__(self, guide: Rule, clip: float | None = None):
        """
        guide  the rule that proposes u
        clip   the slope along the unit vector u/|u| is cut off at ±clip
        """
        ForwardRule.__init__(self, clip)
        Wrapper.__init__(self, a_rule("guide", guide, "GuidedForwardGradient"))
        self.cost = guide.cost + 3

    @property
    def guide(self) -> Rule:
        """The rule that proposes u."""
        return self.rule

    def why_not(self, model: Layer, loss: Loss | None = None) -> str | None:
        return (
            super().why_not(model, loss)  # what the guide says, too
            or missing(self, learning(model), "jvp", "forward_jvp")
            or missing(self, [loss], "jvp")
        )

    def _estimate(self, model: Layer, loss: Loss, x: Array, target: Array) -> float:
        groups = shared(model)
        with holding(model):
            self.rule.estimate(model, loss, x, target)
            u = summed(model.grads, groups)
            tangent = _tangent(model, u, groups)
            output, output_dot = model.forward_jvp(x, None, tangent)
            value = loss.forward(output, target)
        length = sqrt(squared_norm_of_all(list(u.values())))
        if length > 0:  # else nothing is proposed, and the guide's zeros stay
            slope = self.clipped(loss.jvp(output_dot) / length)  # along a unit vector
            self._write(model, slope / length, tangent, groups)
        return value

    def _write(
        self,
        model: Layer,
        scale: float,
        tangent: Mapping[str, Array],
        groups: Mapping[str, list[str]],
    ) -> None:
        """grads = scale · u; an equal part of it for each layer that shares the array."""
        parts = dict.fromkeys(tangent, 1)
        for names in groups.values():
            sharing = [name for name in names if name in model.grads]
            parts |= dict.fromkeys(sharing, len(sharing))
        for prefix, leaf in model.leaves():
            leaf.grads = {
                name: (scale / parts[prefix + name]) * tangent[prefix + name] for name in leaf.grads
            }

    def state_dict(self) -> dict[str, Any]:
        """The number of estimates, and the guide's state."""
        # The seed is always 0. Programs that read the states of all forward gradients expect one.
        return {"seed": 0, "steps": self.steps} | super().state_dict()

    def load_state_dict(self, model: Layer, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave. KeyError for another rule's state."""
        check_state(type(self).__name__, state)
        own = {k: v for k, v in state.items() if not str(k).startswith(self.prefix)}
        check_names(type(self).__name__, own, ("steps",), ("seed",))
        count("seed", own.get("seed", 0))  # it draws nothing; the first version wrote other numbers
        steps = count("steps", own["steps"])
        super().load_state_dict(model, {k: v for k, v in state.items() if k not in own})
        self.steps = steps


def _tangent(
    model: Layer, u: Mapping[str, Array], groups: Mapping[str, list[str]]
) -> dict[str, Array]:
    """u by parameter, for a jvp: a shared array moves in all its layers."""
    if not groups:
        return dict(u)
    tangent = dict(u)
    for first, names in groups.items():
        if first in u:
            tangent |= dict.fromkeys(names, u[first])
    for prefix, leaf in model.leaves():
        if any(prefix + name in tangent for name in leaf.params):
            for name, p in leaf.params.items():
                tangent.setdefault(prefix + name, array_module(p).zeros_like(p))
    return tangent
