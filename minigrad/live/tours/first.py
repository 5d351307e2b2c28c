"""A tour: what is on the page, and how rules race."""

from __future__ import annotations

from dataclasses import replace

from minigrad.live.settings import LaneSettings
from minigrad.live.tours.parts import Seen, Step, Tour, race

SIX = race(
    LaneSettings("backprop", 0.1),
    LaneSettings("cdni", 0.03),
    LaneSettings("dfa", 0.1),
    LaneSettings("activities", 0.03),
    LaneSettings("forward", 0.003),
    LaneSettings("top-layer", 0.1),
)
FASTER = replace(SIX, lanes=(*SIX.lanes[:4], LaneSettings("forward", 0.01), SIX.lanes[5]))

FIRST = Tour(
    "six-lanes",
    "Six lanes, one start",
    "What is on this page, and how to race learning rules.",
    4,
    (
        Step(
            "One start",
            (
                "Six networks read handwritten digits. They have the same first weights and get "
                "the same examples in the same order.",
                "Only the rule differs: how a network finds out in which direction its weights "
                "should move.",
            ),
            at="lanes",
            settings=SIX,
            show=("weights",),
        ),
        Step(
            "They are off",
            (
                "Each step takes 32 digits, and every network moves once.",
                "The curve shows how many of the test digits each network reads.",
            ),
            at="chart-accuracy",
            until=50,
            seen=(
                Seen("Backprop reads more than {} of the test digits.", "accuracy", 0, least=0.7),
                Seen("The forward gradient reads less than {}.", "accuracy", 4, most=0.3),
            ),
        ),
        Step(
            "Who catches up?",
            (
                "Direct feedback alignment sends the error down through random numbers, and has "
                "nearly caught up with backprop.",
                "DNI (synthetic gradients) had to learn to predict gradients first.",
            ),
            at="chart-accuracy",
            until=300,
            seen=(
                Seen("Direct feedback alignment reads more than {}.", "accuracy", 2, least=0.9),
                Seen(
                    "DNI is more than {} ahead of the top layer alone.",
                    "accuracy",
                    1,
                    least=0.1,
                    minus=5,
                ),
            ),
        ),
        Step(
            "What does a step cost?",
            (
                "A step is not the same work for each rule. One forward pass is the unit.",
                "Choose “forward passes” above the curve: now it shows accuracy for equal work.",
            ),
            at="units",
            seen=(
                Seen("A step of backprop costs {} forward passes.", "cost", 0, least=3),
                Seen("A step of the top layer alone costs less than {}.", "cost", 5, most=1.1),
            ),
        ),
        Step(
            "Which way is down?",
            (
                "The gradient of this batch points down. The cosine says how well a rule's "
                "estimate agrees with it: 1 is the same direction, 0 is a right angle.",
            ),
            at="lanes",
            show=("cosine",),
            until=330,
            seen=(
                Seen("Backprop is the gradient itself: above {}.", "cosine", 0, least=0.999),
                Seen("The forward gradient is below {} on average.", "cosine", 4, most=0.05),
            ),
        ),
        Step(
            "Now you",
            ("Set the learning rate of the forward gradient from 0.003 to 0.01, and restart.",),
            at="lane 5",
            question="Backprop makes good use of a rate of 0.1. What does the forward gradient "
            "do with a tenth of that, and why?",
            answer="Its loss does not go down. Almost all of its step is noise: across all "
            "weights, not along the gradient. So its steps must be small.",
            tried=FASTER,
            tried_until=300,
            answered=(Seen("After 300 steps its loss is above {}.", "loss", 4, least=2.3),),
        ),
    ),
)
