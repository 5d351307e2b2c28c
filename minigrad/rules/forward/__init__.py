"""Forward gradients: a gradient estimated from slopes along directions, without backward."""

from typing import Any

from minigrad.rules.forward.activities import ActivityPerturbation
from minigrad.rules.forward.black_box import SPSA, EvolutionStrategies
from minigrad.rules.forward.directions import DirectionSampler
from minigrad.rules.forward.guided import GuidedForwardGradient
from minigrad.rules.forward.shorthand import ForwardGradient
from minigrad.rules.forward.weights import WeightPerturbation
from minigrad.rules.renamed import old_name

__all__ = [
    "SPSA",
    "ActivityPerturbation",
    "DirectionSampler",
    "EvolutionStrategies",
    "ForwardGradient",
    "GuidedForwardGradient",
    "WeightPerturbation",
]


def __getattr__(name: str) -> Any:
    return old_name(__name__, name, {"Directions": DirectionSampler})
