"""The rules that `minigrad compare` knows by name, and rules of one's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from minigrad import rules
from minigrad.layers import Layer
from minigrad.rules import Rule, SyntheticGradients, WeightPerturbation

Make = Callable[[Layer, int], Rule]


class Entry(NamedTuple):
    """A rule by its name: what it is in words (in the singular), and make(model, seed)."""

    title: str
    make: Make


def _classes(model: Layer) -> int:
    """The number of outputs: the size of the last layer that says it."""
    sizes = [getattr(leaf, "out_features", None) for _, leaf in model.leaves()]
    return next((size for size in reversed(sizes) if size is not None), 10)


RULES: dict[str, Entry] = {
    "backprop": Entry("backprop", lambda model, seed: rules.Backprop()),
    "well-tempered": Entry(
        "well-tempered backprop", lambda model, seed: rules.WellTempered(decay=0.9)
    ),
    "cdni": Entry("DNI with labels", lambda model, seed: SyntheticGradients(model, seed=seed)),
    "dni": Entry(
        "DNI without labels",
        lambda model, seed: SyntheticGradients(model, conditioned=False, seed=seed),
    ),
    "fa": Entry("feedback alignment", lambda model, seed: rules.FeedbackAlignment(seed=seed)),
    "dfa": Entry(
        "direct feedback alignment",
        lambda model, seed: rules.DirectFeedbackAlignment(seed=seed),
    ),
    "drtp": Entry(
        "direct random target projection",
        lambda model, seed: rules.DirectRandomTargetProjection(seed=seed),
    ),
    "sign": Entry("sign-symmetric feedback", lambda model, seed: rules.SignSymmetric(seed=seed)),
    "local": Entry(
        "learning by local losses", lambda model, seed: rules.LocalLosses(model, seed=seed)
    ),
    "ff": Entry(
        "forward-forward",
        lambda model, seed: rules.ForwardForward(_classes(model), seed=seed),
    ),
    "pc": Entry("predictive coding", lambda model, seed: rules.PredictiveCoding()),
    "forward": Entry("forward gradient", lambda model, seed: WeightPerturbation(seed=seed)),
    "activities": Entry(
        "noise on activities", lambda model, seed: rules.ActivityPerturbation(seed=seed)
    ),
    "guided": Entry(
        "forward gradient along a guess",
        lambda model, seed: rules.GuidedForwardGradient(SyntheticGradients(model, seed=seed)),
    ),
    "differences": Entry(
        "a finite difference",
        lambda model, seed: WeightPerturbation(method="finite-difference", seed=seed),
    ),
    "spsa": Entry("SPSA", lambda model, seed: rules.SPSA(seed=seed)),
    "es": Entry("an evolution strategy", lambda model, seed: rules.EvolutionStrategies(seed=seed)),
    "top-layer": Entry("the top layer alone", lambda model, seed: rules.TopLayerOnly(model)),
}
