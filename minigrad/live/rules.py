"""The rules that can race: those of `minigrad compare`, with the options that a page can change."""

from __future__ import annotations

import math
from typing import Any

from minigrad import rules
from minigrad.arguments import in_words
from minigrad.compare.rules import RULES
from minigrad.layers import Layer
from minigrad.losses import Loss
from minigrad.rules import Rule

NAMES = tuple(RULES)
POPULATION = 20  # of an evolution strategy with K = 1

# The options of each rule; a rule that is not here has none.
OPTIONS: dict[str, tuple[str, ...]] = {
    "forward": ("directions",),
    "activities": ("directions",),
    "differences": ("directions",),
    "spsa": ("directions",),
    "es": ("directions",),
    "cdni": ("update_probability",),
    "dni": ("update_probability",),
}

# Learning rates to begin with: those that learn the digits best in 300 steps, 784-32-10, among
# 0.0003, 0.001, ... 0.3, or a smaller one where the next larger one is lost.
# {rule: (SGD, Adam)}
RATES: dict[str, tuple[float, float]] = {
    "backprop": (0.1, 0.003),
    "well-tempered": (0.1, 0.003),
    "cdni": (0.03, 0.0003),
    "dni": (0.01, 0.0003),
    "fa": (0.1, 0.003),
    "dfa": (0.1, 0.003),
    "drtp": (0.01, 0.003),
    "sign": (0.1, 0.003),
    "local": (0.3, 0.03),
    "ff": (0.001, 0.001),
    "pc": (0.1, 0.003),
    "forward": (0.003, 0.01),
    "activities": (0.02, 0.01),
    "guided": (0.03, 0.0003),
    "differences": (0.003, 0.01),
    "spsa": (0.003, 0.01),
    "es": (0.003, 0.01),
    "top-layer": (0.3, 0.03),
}


def rates(name: str) -> dict[str, float]:
    """{"sgd", "momentum", "adam": a learning rate to begin with}.

    Momentum of 0.9 adds up ten steps: a tenth of SGD's.
    """
    sgd, adam = RATES[name]
    return {"sgd": sgd, "momentum": round(sgd / 10, 6), "adam": adam}


def fitted(
    name: str, model: Layer, loss: Loss, size: int, seed: int, *options: Any
) -> tuple[Rule | None, str | None]:
    """(the rule, None); or (the rule or None, why it cannot train this network), in a sentence.

    size: how many numbers an example has.
    """
    rule = None
    try:
        rule = make(name, model, seed, *options)
        reason = why_not(name, rule, model, loss, size)
    except (TypeError, ValueError) as error:
        reason = str(error).partition("\n")[0]
    except Exception as error:  # a fault in a rule must not end the race
        return None, in_words(error)
    if reason and not any(leaf.is_activation for _, leaf in model.leaves()):
        reason = f"{title(name)} needs a hidden layer, of 32 units for example"
    return rule, reason


def unfit(model: Layer, loss: Loss, size: int) -> dict[str, str]:
    """{rule: why it cannot train this network}, of those that cannot."""
    found = {name: fitted(name, model, loss, size, 0)[1] for name in NAMES}
    return {name: reason for name, reason in found.items() if reason}


def title(name: str) -> str:
    """What the rule is in words."""
    return RULES[name].title


def options(name: str) -> tuple[str, ...]:
    """The names of the rule's options: "directions", "update_probability"."""
    return OPTIONS.get(name, ())


def make(
    name: str, model: Layer, seed: int, directions: int = 1, update_probability: float = 1.0
) -> Rule:
    """The rule for this network. An evolution strategy has K times 20 directions.

    What the rule has no option for has no effect. ValueError or TypeError, in a sentence, if it
    cannot be made for the network.
    """
    K = directions
    if name == "forward":
        return rules.WeightPerturbation(K, seed=seed)
    if name == "activities":
        return rules.ActivityPerturbation(K, seed=seed)
    if name == "differences":
        return rules.WeightPerturbation(K, method="finite-difference", seed=seed)
    if name == "spsa":
        return rules.SPSA(directions=K, seed=seed)
    if name == "es":
        return rules.EvolutionStrategies(POPULATION * K, seed=seed)
    if name in ("cdni", "dni"):
        return rules.SyntheticGradients(
            model, name == "cdni", update_probability=update_probability, seed=seed
        )
    return RULES[name].make(model, seed)


def why_not(name: str, rule: Rule, model: Layer, loss: Loss, size: int) -> str | None:
    """Why the rule cannot train this network on examples of `size` numbers. None: it can."""
    if isinstance(rule, rules.ForwardForward) and size <= rule.classes:
        return (
            f"forward-forward writes the label into the first {rule.classes} numbers of x, and x "
            f"has {size}: nothing is left to learn from. Choose digits"
        )
    return rule.why_not(model, loss)


def change(
    name: str, rule: Rule, model: Layer, seed: int, directions: int, update_probability: float
) -> None:
    """Give a rule other options in mid-training. It acts from the next estimate on.

    What the rule has learned, and its random streams, go on.
    """
    new = make(name, model, seed, directions, update_probability)
    if isinstance(rule, rules.EvolutionStrategies) and isinstance(new, rules.EvolutionStrategies):
        rule.population = new.population
    if isinstance(rule, rules.WeightPerturbation | rules.ActivityPerturbation) and isinstance(
        new, rules.WeightPerturbation | rules.ActivityPerturbation
    ):
        rule.directions = new.directions
    if isinstance(rule, rules.SyntheticGradients):
        rule.decoupled.probability = update_probability
    rule.cost = new.cost


def cost(rule: Rule) -> float | None:
    """Forward-equivalents of a step. None: the rule does not say."""
    return rule.cost if math.isfinite(rule.cost) else None
