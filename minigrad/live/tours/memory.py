"""A tour: memorising noise."""

from __future__ import annotations

from dataclasses import replace

from minigrad.live.settings import LaneSettings
from minigrad.live.tours.parts import Seen, Step, Tour, race

NOISE = race(
    LaneSettings("backprop", 0.1),
    LaneSettings("well-tempered", 0.1),
    LaneSettings("backprop", 0.03),
    hidden=(128,),
    label_noise=0.4,
)

MEMORY = Tour(
    "memorising-noise",
    "Memorising noise",
    "Four labels in ten are drawn by chance. A network learns them by heart, if one lets it.",
    6,
    (
        Step(
            "Wrong labels",
            (
                "Four tenths of the training labels have been drawn anew, by chance. The test "
                "labels are right.",
                "There is nothing to understand in a wrong label. It can only be memorised.",
            ),
            at="lanes",
            settings=NOISE,
            show=(),
        ),
        Step(
            "First what is common",
            (
                "What many examples agree on is learned first. The networks read test digits well, "
                "although their own labels are so bad.",
            ),
            at="chart-accuracy",
            until=500,
            seen=(
                Seen("Backprop reads more than {} of the test digits.", "accuracy", 0, least=0.85),
                Seen("Its training loss is still above {}.", "loss", 0, least=1.2),
            ),
        ),
        Step(
            "Then what is not",
            (
                "The training loss goes on falling. Now it falls because single wrong labels are "
                "learned by heart.",
                "Each of them bends the network a little, also where the test digits are.",
            ),
            at="chart-loss",
            until=6000,
            seconds=12,
            seen=(
                Seen("Backprop's training loss is below {}.", "loss", 0, most=0.6),
                Seen("And it reads less than {} of the test digits.", "accuracy", 0, most=0.8),
            ),
        ),
        Step(
            "Listening to what is sure",
            (
                "Well-tempered backprop turns a gradient down where batches disagree about it. "
                "A wrong label is such a case.",
            ),
            at="lane 2",
            seen=(Seen("It is more than {} ahead of backprop.", "accuracy", 1, 0.05, None, 0),),
        ),
        Step(
            "Or is it only slower?",
            (
                "The third lane is plain backprop with a smaller learning rate. It has not "
                "memorised as much, either.",
                "So this picture does not say that one rule is better. One must compare where the "
                "training losses are equal.",
            ),
            at="lane 3",
            seen=(
                Seen(
                    "The slow lane is more than {} ahead of the fast one.",
                    "accuracy",
                    2,
                    0.05,
                    None,
                    0,
                ),
                Seen(
                    "Well-tempered backprop is less than {} ahead of it.",
                    "accuracy",
                    1,
                    None,
                    0.06,
                    2,
                ),
            ),
        ),
        Step(
            "Now you",
            ("Set “label noise” to 0 in the set-up and play again, to step 2000.",),
            at="set-up",
            question="When would you have stopped the race with the noise? And without it?",
            answer="With the noise: where the test accuracy is best, some hundred steps. Without "
            "it there is no reason to stop early.",
            tried=replace(NOISE, label_noise=0.0),
            tried_until=2000,
            answered=(Seen("Without noise it reads more than {}.", "accuracy", 0, least=0.95),),
        ),
    ),
)
