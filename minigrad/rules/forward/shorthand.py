"""`ForwardGradient(...)`: one name for the three forward gradients."""

from __future__ import annotations

import inspect
from typing import Any

from minigrad.rules.base import Rule
from minigrad.rules.forward.activities import ActivityPerturbation
from minigrad.rules.forward.base import ForwardRule, one_of
from minigrad.rules.forward.guided import GuidedForwardGradient
from minigrad.rules.forward.weights import WeightPerturbation
from minigrad.rules.renamed import renamed
from minigrad.rules.wrapper import a_rule

FOR = {  # which of the three an argument is for
    "antithetic": "random directions, without guide",
    "scheme": "random directions, without guide",
    "epsilon": "random directions, without guide",
    "regenerate": 'perturb="weights", without guide',
    "layerwise": 'perturb="activities"',
    "active": 'perturb="activities"',
}
USUAL = {  # the default of each
    "scheme": "central",
    "epsilon": None,
    "antithetic": False,
    "regenerate": False,
    "layerwise": False,
    "active": True,
}


class _Family(type):
    """isinstance(rule, ForwardGradient) holds for each of the three rules."""

    def __instancecheck__(cls, instance: Any) -> bool:
        return cls.__subclasscheck__(type(instance))

    def __subclasscheck__(cls, subclass: type) -> bool:
        family = ForwardRule if cls is ForwardGradient else cls
        return family in subclass.__mro__


class ForwardGradient(WeightPerturbation, metaclass=_Family):
    """A shorthand: makes the rule that its arguments ask for.

    `ForwardGradient(...)`                       WeightPerturbation(...)
    `ForwardGradient(perturb="activities", ...)` ActivityPerturbation(...)
    `ForwardGradient(guide=rule, ...)`           GuidedForwardGradient(rule, ...)

    Each says in its docstring what it computes. `isinstance(rule, ForwardGradient)` is true for all
    three. Derive a rule of your own from one of the three, not from this shorthand.
    """

    def __new__(
        cls,
        directions: int = 1,
        distribution: str = "normal",
        method: str | None = None,
        clip: float | None = None,
        *,
        perturb: str = "weights",
        scheme: str = "central",
        epsilon: float | None = None,
        antithetic: bool = False,
        regenerate: bool = False,
        layerwise: bool = False,
        active: bool = True,
        guide: Rule | None = None,
        seed: int = 0,
        mode: str | None = None,
        step: float | None = None,
    ) -> Any:
        """
        directions    K, the number of random directions a step
        distribution  "normal", "rademacher"; for weights also "sphere" and "orthonormal"
        method        "jvp" or "finite-difference"; `mode` is another name of it
        clip          every slope is cut off at ±clip
        perturb       "weights": one direction for the batch; "activities": noise for each example
        scheme        finite differences: "central" or "one-sided"
        epsilon       finite differences: ε; its old name is `step`
        antithetic    one-sided finite differences in pairs along v and -v
        regenerate    weights: draw the directions twice, and keep none in memory
        layerwise     activities: one layer's noise at a time
        active        activities: no noise on units that no output depends on
        guide         a rule whose estimate is the direction; then directions, distribution and
                      seed have no effect
        seed          of all random directions
        """
        if cls is not ForwardGradient:
            return super().__new__(cls)  # a class derived from it: its own __init__ does the rest
        epsilon = renamed("ForwardGradient", "step", "epsilon", step, epsilon)
        if mode is not None and method not in (None, mode):
            raise ValueError(f"mode and method are one argument, got {mode!r} and {method!r}")
        name = "method" if mode is None else "mode"
        given = method if mode is None else mode
        method = one_of(name, "jvp" if given is None else given, ("jvp", "finite-difference"))
        one_of("perturb", perturb, ("weights", "activities"))
        kind: Any = ActivityPerturbation if perturb == "activities" else WeightPerturbation
        if guide is not None:
            kind = GuidedForwardGradient
            a_rule("guide", guide, "GuidedForwardGradient")
            if perturb == "activities" or method != "jvp":
                raise ValueError(
                    "a guide's direction moves weights, and its slope is a jvp: leave out perturb "
                    "and method"
                )
        options = {
            "scheme": scheme,
            "epsilon": epsilon,
            "antithetic": antithetic,
            "regenerate": regenerate,
            "layerwise": layerwise,
            "active": active,
        }
        takes = inspect.signature(kind.__init__).parameters
        for option in [option for option in options if option not in takes]:
            value = options.pop(option)
            if value != USUAL[option]:
                raise ValueError(
                    f"{option}={value!r} is for {FOR[option]}; {kind.__name__} has no such argument"
                )
        if guide is not None:
            return kind(guide, clip)
        return kind(directions, distribution, method, clip, seed=seed, **options)
