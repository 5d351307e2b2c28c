"""The rules that `minigrad compare` knows by name, and rules of one's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from minigrad import rules
from minigrad.layers import Layer
from minigrad.rules import Rule, SyntheticGradients, WeightPerturbation

Make = Callable[[Layer, int], Rule]


class Entry(NamedTuple):
    """A rule by its name: what it is in words, and make(model, seed)."""

    title: str
    make: Make


def _there(needs: str, title: str, make: Callable[[Any, Layer, int], Rule]) -> Entry | None:
    """The entry, if the library has a class of this name."""
    kind = getattr(rules, needs, None)
    return None if kind is None else Entry(title, lambda model, seed: make(kind, model, seed))


_ALL: dict[str, Entry | None] = {
    "backprop": Entry("backprop", lambda model, seed: rules.Backprop()),
    "well-tempered": Entry(
        "well-tempered backprop", lambda model, seed: rules.WellTempered(decay=0.9)
    ),
    "cdni": Entry(
        "synthetic gradients with labels",
        lambda model, seed: SyntheticGradients(model, seed=seed),
    ),
    "dni": Entry(
        "synthetic gradients without labels",
        lambda model, seed: SyntheticGradients(model, conditioned=False, seed=seed),
    ),
    "fa": _there(
        "FeedbackAlignment", "feedback alignment", lambda kind, model, seed: kind(seed=seed)
    ),
    "dfa": _there(
        "DirectFeedbackAlignment",
        "direct feedback alignment",
        lambda kind, model, seed: kind(seed=seed),
    ),
    "drtp": _there(
        "DirectRandomTargetProjection",
        "direct random target projection",
        lambda kind, model, seed: kind(seed=seed),
    ),
    "sign": _there("SignSymmetric", "sign-symmetric feedback", lambda kind, model, seed: kind()),
    "local": _there("LocalLosses", "local losses", lambda kind, model, seed: kind(model)),
    "ff": _there("ForwardForward", "forward-forward", lambda kind, model, seed: kind(seed=seed)),
    "pc": _there("PredictiveCoding", "predictive coding", lambda kind, model, seed: kind()),
    "forward": Entry("forward gradient", lambda model, seed: WeightPerturbation(seed=seed)),
    "activities": Entry(
        "noise on activities", lambda model, seed: rules.ActivityPerturbation(seed=seed)
    ),
    "guided": Entry(
        "forward gradient along a guess",
        lambda model, seed: rules.GuidedForwardGradient(SyntheticGradients(model, seed=seed)),
    ),
    "differences": Entry(
        "finite differences",
        lambda model, seed: WeightPerturbation(method="finite-difference", seed=seed),
    ),
    "spsa": _there("SPSA", "SPSA", lambda kind, model, seed: kind(seed=seed)),
    "es": _there(
        "EvolutionStrategies", "evolution strategies", lambda kind, model, seed: kind(seed=seed)
    ),
    "top-layer": Entry("the top layer alone", lambda model, seed: rules.TopLayerOnly(model)),
}
RULES: dict[str, Entry] = {name: entry for name, entry in _ALL.items() if entry is not None}
