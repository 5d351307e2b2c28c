"""The learning rules. Each file or folder is one way to get a gradient. All are called alike."""

from typing import Any

from minigrad.rules.accumulated import AccumulatedGradients
from minigrad.rules.backprop import Backprop
from minigrad.rules.base import Rule
from minigrad.rules.clipped import ClippedGradients
from minigrad.rules.feedback import (
    DirectFeedbackAlignment,
    DirectRandomTargetProjection,
    FeedbackAlignment,
    SignSymmetric,
)
from minigrad.rules.forward import (
    SPSA,
    ActivityPerturbation,
    DirectionSampler,
    EvolutionStrategies,
    ForwardGradient,
    GuidedForwardGradient,
    WeightPerturbation,
)
from minigrad.rules.forward_forward import ForwardForward
from minigrad.rules.local import LocalLosses
from minigrad.rules.micro_batches import MicroBatches
from minigrad.rules.predictive_coding import PredictiveCoding
from minigrad.rules.renamed import old_name
from minigrad.rules.synthetic import (
    GradientModule,
    InputModule,
    Module,
    StaleGradients,
    SyntheticGradients,
    TopLayerOnly,
    split,
)
from minigrad.rules.well_tempered import WellTempered, null_fraction
from minigrad.rules.wrapper import Wrapper

__all__ = [
    "SPSA",
    "AccumulatedGradients",
    "ActivityPerturbation",
    "Backprop",
    "ClippedGradients",
    "DirectFeedbackAlignment",
    "DirectRandomTargetProjection",
    "DirectionSampler",
    "EvolutionStrategies",
    "FeedbackAlignment",
    "ForwardForward",
    "ForwardGradient",
    "GradientModule",
    "GuidedForwardGradient",
    "InputModule",
    "LocalLosses",
    "MicroBatches",
    "Module",
    "PredictiveCoding",
    "Rule",
    "SignSymmetric",
    "StaleGradients",
    "SyntheticGradients",
    "TopLayerOnly",
    "WeightPerturbation",
    "WellTempered",
    "Wrapper",
    "null_fraction",
    "split",
]


def __getattr__(name: str) -> Any:
    return old_name(__name__, name, {"Directions": DirectionSampler})
