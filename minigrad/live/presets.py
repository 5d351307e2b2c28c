"""Races with a name. Each says what one should see: `python tests/test_live_presets.py` looks."""

from __future__ import annotations

from typing import Any, NamedTuple

from minigrad.live.settings import LaneSettings as Lane
from minigrad.live.settings import Settings


class Preset(NamedTuple):
    """A race with a name: what one should see in it, and its settings."""

    title: str
    about: str
    settings: Settings


PRESETS: dict[str, Preset] = {
    "five-ways": Preset(
        "Five ways to learn",
        "All five start from the same weights and get the same digits. After 300 steps they stand "
        "in this order: backprop, DNI (synthetic gradients), noise on activities, the top layer "
        "alone, forward gradient. Each has a learning rate that suits it.",
        Settings(
            lanes=(
                Lane("backprop", 0.1),
                Lane("cdni", 0.03),
                Lane("activities", 0.02),
                Lane("top-layer", 0.1),
                Lane("forward", 0.003),
            )
        ),
    ),
    "scale-trap": Preset(
        "The scale trap",
        "A learning rate of 0.1 is right for backprop. The forward gradient estimates the same "
        "gradient, but the estimate is √n times as long, 160 times for these n = 25,450 weights: "
        "with 0.1 it is lost at once. With 0.003 it learns. A comparison with one learning rate "
        "for all compares nothing.",
        Settings(
            lanes=(
                Lane("backprop", 0.1),
                Lane("backprop", 0.003),
                Lane("activities", 0.1),
                Lane("activities", 0.02),
                Lane("forward", 0.1),
                Lane("forward", 0.003),
            )
        ),
    ),
    "directions": Preset(
        "K = 1, 4, 16",
        "A forward gradient with more directions has less noise, and so a larger step is stable. "
        "With one direction the rate 0.01 is too large, with 16 it is right. By steps K = 16 "
        "wins; look at forward passes, too: each of its steps costs 33.",
        Settings(
            lanes=(
                Lane("forward", 0.01, directions=1),
                Lane("forward", 0.01, directions=4),
                Lane("forward", 0.01, directions=16),
            )
        ),
    ),
    "double-softmax": Preset(
        "Double softmax",
        "The loss has a softmax of its own. A network that ends in another one can give the right "
        "class at most e/(e + 9) = 23 % instead of 100 %: its loss stays above 1.46, and its "
        "gradients are small. It learns more slowly, though nothing looks wrong. Ten times the "
        "learning rate mends the speed, not the loss.",
        Settings(
            lanes=(
                Lane("backprop", 0.1),
                Lane("backprop", 0.1, softmax_twice=True),
                Lane("backprop", 1.0, softmax_twice=True),
            )
        ),
    ),
    "large-step": Preset(
        "Too large a step",
        "One network, four learning rates. 0.003 is slow, 0.1 is good, 1 jumps about, and with 10 "
        "the loss is not a number any more.",
        Settings(
            activation="leakyrelu",
            lanes=(
                Lane("backprop", 0.003),
                Lane("backprop", 0.1),
                Lane("backprop", 1.0),
                Lane("backprop", 10.0),
            ),
        ),
    ),
    "moons": Preset(
        "Two moons",
        "The regions begin as a straight line, which already finds most points, and bend into an "
        "S. Backprop bends it first. All get there: they differ in time.",
        Settings(
            data="moons",
            hidden=(8,),
            activation="tanh",
            optimizer="adam",
            lanes=(
                Lane("backprop", 0.03),
                Lane("cdni", 0.03),
                Lane("activities", 0.03),
                Lane("forward", 0.03),
            ),
        ),
    ),
    "spirals": Preset(
        "Three spirals",
        "Hard for a small network, and so the ways to learn are far apart: backprop winds its "
        "regions up within some hundred steps, the estimates need thousands.",
        Settings(
            data="spirals3",
            hidden=(16, 16),
            activation="tanh",
            optimizer="adam",
            lanes=(
                Lane("backprop", 0.03),
                Lane("cdni", 0.03),
                Lane("activities", 0.03),
                Lane("forward", 0.03),
            ),
        ),
    ),
    "circles": Preset(
        "A circle in a circle",
        "No line parts these classes. Look at the hidden units one by one: each draws a line, and "
        "together they close a ring. Training the top layer alone works where random lines happen "
        "to lie well.",
        Settings(
            data="circles",
            hidden=(6,),
            activation="tanh",
            optimizer="adam",
            lanes=(Lane("backprop", 0.03), Lane("dfa", 0.03), Lane("top-layer", 0.03)),
        ),
    ),
    "xor": Preset(
        "Xor",
        "The set that a network without hidden layer cannot learn. Four hidden units can do it: "
        "with backprop in some hundred steps, with the forward gradient in some thousand. Feedback "
        "alignment does not get there from every start: try other seeds.",
        Settings(
            data="xor",
            data_noise=0.05,
            hidden=(4,),
            activation="tanh",
            optimizer="adam",
            lanes=(Lane("backprop", 0.03), Lane("fa", 0.03), Lane("forward", 0.03)),
        ),
    ),
    "label-noise": Preset(
        "Memorising noise",
        "40 % of the training labels are drawn anew. At first the network learns the digits; "
        "after some hundred steps it learns the wrong labels by heart: its training loss goes on "
        "falling, while it answers fewer test digits right. The top layer alone is too small to "
        "learn so much by heart: it learns slowly, and is the best in the end.",
        Settings(
            label_noise=0.4,
            hidden=(128,),
            optimizer="adam",
            lanes=(Lane("backprop", 0.003), Lane("well-tempered", 0.003), Lane("top-layer", 0.003)),
        ),
    ),
}


def described() -> list[dict[str, Any]]:
    """For a page: {"name", "title", "about", "settings"} of each."""
    return [
        {"name": name, **found._asdict(), "settings": found.settings.as_dict()}
        for name, found in PRESETS.items()
    ]


def preset(name: str) -> Settings:
    """The settings of a preset. ValueError for a name that is unknown."""
    if name not in PRESETS:
        raise ValueError(f"no preset {name!r:.40}; there are {', '.join(PRESETS)}")
    return PRESETS[name].settings
