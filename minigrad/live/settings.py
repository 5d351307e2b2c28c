"""The whole set-up of a race, as plain data: what the page changes, and what a link restores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class LaneSettings:
    """A lane: a rule, its learning rate, and what else differs from lane to lane.

    rule                a name of `minigrad.live.rules`
    lr                  the optimiser's learning rate
    directions          K of rules that draw directions
    update_probability  of synthetic gradients
    softmax_twice       whether the network ends with a softmax before the loss's own
    """

    rule: str = "backprop"
    lr: float = 0.1
    directions: int = 1
    update_probability: float = 1.0
    softmax_twice: bool = False


@dataclass(frozen=True)
class Settings:
    """What all lanes share, and the lanes.

    data         "digits", "mnist", or a set in the plane: "moons", "spirals", "circles", "xor"
    data_noise   of a set in the plane: the noise's standard deviation
    label_noise  the share of training labels that are drawn anew
    hidden       sizes of the hidden layers
    activation   "relu", "tanh", ...
    optimizer    "sgd", "momentum" or "adam"
    seed         of the weights, the batches, the data and the rules
    """

    data: str = "digits"
    data_noise: float = 0.1
    label_noise: float = 0.0
    hidden: tuple[int, ...] = (32,)
    activation: str = "relu"
    batch_size: int = 32
    optimizer: str = "sgd"
    seed: int = 0
    lanes: tuple[LaneSettings, ...] = field(default_factory=lambda: (LaneSettings(),))

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> Settings:
        """ValueError for what makes no sense, in a sentence for the page."""
        values = dict(given)
        values["hidden"] = tuple(values.get("hidden", cls.hidden))
        values["lanes"] = tuple(LaneSettings(**lane) for lane in values.get("lanes", ()))
        return cls(**values)
