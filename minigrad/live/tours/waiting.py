"""A tour: a layer that does not wait."""

from __future__ import annotations

from dataclasses import replace

from minigrad.live.settings import LaneSettings
from minigrad.live.tours.parts import Seen, Step, Tour, race

UNLOCKED = race(
    LaneSettings("backprop", 0.03),
    LaneSettings("cdni", 0.03),
    LaneSettings("cdni", 0.03, update_probability=0.5),
    LaneSettings("top-layer", 0.03),
)
UNTOLD = replace(UNLOCKED, lanes=(*UNLOCKED.lanes, LaneSettings("dni", 0.03)))

WAITING = Tour(
    "not-waiting",
    "A layer that does not wait",
    "A small module predicts the gradient, so that a layer can learn at once.",
    6,
    (
        Step(
            "The lock",
            (
                "In backprop the first layer waits: for all layers above it, and for the error "
                "on its way back.",
                "Synthetic gradients (DNI) put a small module at the hidden layer. It sees the "
                "layer's output and the label, and predicts the gradient.",
            ),
            at="lane 2",
            settings=UNLOCKED,
            show=(),
        ),
        Step(
            "A late start",
            (
                "The modules start at 0: they predict no gradient at all. So the first layer "
                "hardly moves until its module has learned something.",
            ),
            at="chart-accuracy",
            until=50,
            seen=(Seen("Backprop is more than {} ahead.", "accuracy", 0, 0.15, None, 1),),
        ),
        Step(
            "The prediction gets good",
            (
                "The module learns from the layer above, which knows the true error. The first "
                "layer never waits for it.",
            ),
            at="chart-accuracy",
            until=300,
            seen=(
                Seen("With its module it reads more than {}.", "accuracy", 1, least=0.75),
                Seen("The top layer alone reads less than {}.", "accuracy", 3, most=0.6),
            ),
        ),
        Step(
            "How good is a prediction?",
            (
                "The cosine by layer: the last layer has the true gradient, the first one has "
                "the module's prediction.",
                "That is never the gradient of just this batch, and it jumps from step to step. "
                "The layer learns all the same.",
            ),
            at="lane 2",
            show=("cosine",),
            until=330,
            seen=(
                Seen("The last layer's cosine is above {}.", "last layer", 1, least=0.999),
                Seen("The first layer's is below {}.", "first layer", 1, most=0.9),
            ),
        ),
        Step(
            "Everyone in their own time",
            (
                "In the third lane a layer learns only in half of the steps, by the toss of a "
                "coin. No layer knows what the others do.",
                "It learns nevertheless, and each of its steps is less work.",
            ),
            at="lane 3",
            until=2000,
            seen=(
                Seen("It reads more than {} now.", "accuracy", 2, least=0.85),
                Seen("Its step is cheaper by {} forward pass.", "cost", 1, 1.0, None, 2),
            ),
        ),
        Step(
            "Now you",
            (
                "Add a lane, “DNI without labels”. Set its learning rate to 0.03 and play 300 "
                "steps.",
            ),
            at="add",
            question="Its module does not see the label. What must it know to predict the "
            "gradient, and why does it fall behind?",
            answer="It must guess from the layer's output what the label is. That is the task "
            "itself.",
            tried=UNTOLD,
            tried_until=300,
            answered=(
                Seen("The module with labels is more than {} ahead.", "accuracy", 1, 0.3, None, 4),
            ),
        ),
    ),
)
