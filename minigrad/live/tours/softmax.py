"""A tour: why two softmaxes fail."""

from __future__ import annotations

from dataclasses import replace

from minigrad.live.settings import LaneSettings
from minigrad.live.tours.parts import Seen, Step, Tour, race

TWICE = race(
    LaneSettings("backprop", 1.0),
    LaneSettings("backprop", 1.0, softmax_twice=True),
    activation="sigmoid",
)

SOFTMAX = Tour(
    "two-softmaxes",
    "Why two softmaxes fail",
    "One line too many, no error message, and a network that seems to learn.",
    5,
    (
        Step(
            "One line too many",
            (
                "Both networks are the same, and both learn by backprop. The second one ends "
                "with a softmax.",
                "But the loss makes probabilities of its own. No error message says so.",
            ),
            at="lanes",
            settings=TWICE,
            show=(),
        ),
        Step(
            "It does learn",
            (
                "Both losses go down. Alone, the second curve would look like a network that "
                "needs some patience.",
            ),
            at="chart-accuracy",
            until=100,
            seen=(
                Seen("The first network reads more than {}.", "accuracy", 0, least=0.9),
                Seen("The second one reads less than {}.", "accuracy", 1, most=0.6),
            ),
        ),
        Step(
            "Digits that it never says",
            (
                "Recall is the share of each digit that is found.",
                "The second network has not found some of the digits at all.",
            ),
            at="lane 2",
            show=("recall",),
            seen=(
                Seen("The first network has found all {} digits.", "classes", 0, least=10),
                Seen("The second one at most {} of them.", "classes", 1, most=8),
            ),
        ),
        Step(
            "One digit after the other",
            (
                "Where the first softmax is sure, right or wrong, its derivative p(1 - p) is "
                "nearly 0. A wrong answer that is sure gets almost no gradient.",
                "So a digit that was lost takes long to be found.",
            ),
            at="chart-accuracy",
            show=("recall",),
            until=400,
            seen=(
                Seen("The first network reads more than {}.", "accuracy", 0, least=0.95),
                Seen("The second one still less than {}.", "accuracy", 1, most=0.92),
            ),
        ),
        Step(
            "A floor",
            (
                "The loss sees ten numbers between 0 and 1, as if they were scores. The best "
                "that they can be is one 1 and nine 0.",
                "Then the second softmax gives e/(e + 9), and the loss is ln(1 + 9/e) = 1.46. "
                "It can never be lower.",
            ),
            at="chart-loss",
            until=1200,
            seen=(
                Seen("The second loss stays above {}.", "loss", 1, least=1.461),
                Seen("The first one is below {}.", "loss", 0, most=0.05),
            ),
        ),
        Step(
            "Backprop is not to blame",
            (
                "Both networks follow their gradient exactly. It is the right gradient of the "
                "wrong loss.",
                "So a check of gradients finds nothing here. Looking at each digit does.",
            ),
            at="lanes",
            show=("cosine",),
            until=1230,
            seen=(
                Seen("The cosine of the first network is above {}.", "cosine", 0, least=0.999),
                Seen("And that of the second: above {}.", "cosine", 1, least=0.999),
            ),
        ),
        Step(
            "Now you",
            (
                "Start it with a new seed, once or twice, at 30 steps a second, and pause near "
                "step 100.",
            ),
            at="seed",
            show=("recall",),
            question="Does the second network always miss the same digits? Which line would you "
            "delete in its program, and which number would have warned you?",
            answer="Which digits are late differs from seed to seed. Delete the softmax of the "
            "network: the loss wants scores. A loss that stays above 1.46 is the warning.",
            tried=replace(TWICE, seed=7),
            tried_until=100,
            answered=(Seen("It still reads less than {} then.", "accuracy", 1, most=0.65),),
        ),
    ),
)
