"""A tour: a gradient without going back."""

from __future__ import annotations

from dataclasses import replace

from minigrad.live.settings import LaneSettings
from minigrad.live.tours.parts import Seen, Step, Tour, race

MOONS = race(
    LaneSettings("backprop", 0.5),
    LaneSettings("forward", 0.1, directions=1),
    LaneSettings("forward", 0.2, directions=4),
    LaneSettings("forward", 0.3, directions=16),
    data="moons",
    hidden=(8,),
    activation="tanh",
)
LARGER = race(
    LaneSettings("backprop", 0.1),
    LaneSettings("forward", 0.003, directions=1),
    LaneSettings("forward", 0.01, directions=16),
)

FORWARD = Tour(
    "without-going-back",
    "A gradient without going back",
    "Guess a direction, measure the slope along it, and walk. How far does that lead?",
    6,
    (
        Step(
            "Guess a direction",
            (
                "A forward gradient needs no backward pass. It draws a random direction v for "
                "all weights at once.",
                "One pass forward gives the slope d of the loss along v. The estimate is d v.",
            ),
            at="lane 2",
            settings=MOONS,
            show=("regions",),
        ),
        Step(
            "It goes down",
            (
                "If v points uphill, d is negative, and the step goes the other way. So it never "
                "points uphill.",
                "On average over all v the estimate is exactly the gradient.",
            ),
            at="chart-loss",
            show=("regions",),
            until=300,
            seen=(
                Seen(
                    "With one direction, more than {} of the points are right.",
                    "accuracy",
                    1,
                    least=0.8,
                ),
            ),
        ),
        Step(
            "But it is noisy",
            (
                "A single guess has little to do with the gradient. The network has 42 weights, "
                "so almost all directions are nearly at right angles to it.",
                "The cosine of the two says so: 1 is the same direction, 0 is a right angle.",
            ),
            at="lane 2",
            show=("cosine",),
            until=330,
            seen=(
                Seen(
                    "With one direction the cosine is below {} on average.", "cosine", 1, most=0.2
                ),
            ),
        ),
        Step(
            "More guesses",
            (
                "K directions, and the mean of their estimates: the noise gets smaller.",
                "Compare the cosines of K = 1, 4 and 16.",
            ),
            at="lanes",
            show=("cosine",),
            until=360,
            seen=(
                Seen("With 16 directions the cosine is above {}.", "cosine", 3, least=0.45),
                Seen(
                    "That is more than {} above that of 4 directions.",
                    "cosine",
                    3,
                    least=0.1,
                    minus=2,
                ),
            ),
        ),
        Step(
            "And the bill",
            (
                "Each direction costs two more forward passes. Choose “forward passes” above the "
                "curve and look again.",
            ),
            at="units",
            show=("regions",),
            until=1000,
            seen=(
                Seen("A step with 16 directions costs {} forward passes.", "cost", 3, least=33),
                Seen("A step of backprop costs {}.", "cost", 0, most=3),
            ),
        ),
        Step(
            "A larger network",
            (
                "Now 25,450 weights that read digits. A random direction has even less to do "
                "with the gradient.",
                "The learning rate of one direction had to be 33 times smaller than backprop's.",
            ),
            at="lanes",
            settings=LARGER,
            show=("cosine",),
            until=100,
            seen=(
                Seen("With one direction the cosine is below {}.", "cosine", 1, most=0.02),
                Seen("With 16 directions it is below {}, too.", "cosine", 2, most=0.06),
                Seen("Backprop is more than {} ahead of K = 1.", "accuracy", 0, 0.4, None, 1),
            ),
        ),
        Step(
            "Now you",
            (
                "Choose the two moons again, and make the hidden layer larger: 8, 32, 128 units. "
                "Watch the cosine for K = 1.",
            ),
            at="set-up",
            question="With n weights, how does the cosine of one direction fall? Double n: does it "
            "halve?",
            answer="It falls as 1/√n. Four times as many weights halve it.",
            tried=replace(MOONS, hidden=(128,)),
            tried_until=100,
            answered=(
                Seen("With 128 units (642 weights) it is below {}.", "cosine", 1, most=0.05),
            ),
        ),
    ),
)
