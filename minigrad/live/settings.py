"""The whole set-up of a race, as plain data: what the page changes, and what a link restores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from minigrad.live import address
from minigrad.live.rules import NAMES
from minigrad.live.sets import SETS
from minigrad.models import ACTIVATIONS

OPTIMIZERS = ("sgd", "momentum", "adam")

# The least and the most of each number, for the page, too.
LIMITS: dict[str, Any] = {
    "lanes": 6,
    "layers": 4,
    "units": [1, 512],
    "lr": [1e-6, 100.0],
    "directions": [1, 32],
    "update_probability": [0.01, 1.0],
    "data_noise": [0.0, 1.0],
    "label_noise": [0.0, 1.0],
    "batch_size": [1, 1024],
    "seed": [0, 2**31 - 1],
    "speed": [0.1, 1000.0],
}


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

    def __post_init__(self) -> None:
        one_of("rule", self.rule, NAMES)
        _set(self, lr=within("lr", self.lr))
        whole("directions", self.directions)
        _set(self, update_probability=within("update_probability", self.update_probability))
        flag("softmax_twice", self.softmax_twice)

    @classmethod
    def from_dict(cls, given: Any) -> LaneSettings:
        """ValueError for what makes no sense, in a sentence for the page."""
        return cls(**known("a lane", cls, given))


@dataclass(frozen=True)
class Settings:
    """What all lanes share, and the lanes.

    data         "digits", "mnist", or a set in the plane: see `minigrad.live.sets`
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

    def __post_init__(self) -> None:
        one_of("data", self.data, tuple(SETS))
        _set(self, data_noise=within("data_noise", self.data_noise))
        _set(self, label_noise=within("label_noise", self.label_noise))
        _set(self, hidden=sizes(self.hidden))
        one_of("activation", self.activation, tuple(ACTIVATIONS))
        whole("batch_size", self.batch_size)
        one_of("optimizer", self.optimizer, OPTIMIZERS)
        whole("seed", self.seed)
        lanes = self.lanes
        if not isinstance(lanes, tuple | list) or not all(
            isinstance(lane, LaneSettings) for lane in lanes
        ):
            raise ValueError(f"lanes must be a list of lanes, got {lanes!r:.60}")
        if not 1 <= len(lanes) <= LIMITS["lanes"]:
            raise ValueError(f"a race has 1 to {LIMITS['lanes']} lanes, got {len(lanes)}")
        _set(self, lanes=tuple(lanes))

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        found = asdict(self)
        return found | {"hidden": list(self.hidden), "lanes": list(found["lanes"])}

    @classmethod
    def from_dict(cls, given: Any) -> Settings:
        """What `as_dict` gave; what is left out is as usual.

        ValueError for what makes no sense, in a sentence for the page.
        """
        values = known("settings", cls, given)
        if "lanes" in values:
            lanes = values["lanes"]
            if not isinstance(lanes, list | tuple):
                raise ValueError(f"lanes must be a list of lanes, got {lanes!r:.60}")
            values["lanes"] = tuple(LaneSettings.from_dict(lane) for lane in lanes[:100])
        return cls(**values)

    def to_text(self) -> str:
        """What differs from the usual, to be read in an address: "data=moons&hidden=8,8"."""
        return address.written(self.as_dict(), Settings().as_dict(), asdict(LaneSettings()))

    @classmethod
    def from_text(cls, text: str) -> Settings:
        """What `to_text` gave, also with a "#" in front. ValueError for what makes no sense."""
        return cls.from_dict(address.read(text))


def _set(settings: Any, **values: Any) -> None:
    for name, value in values.items():
        object.__setattr__(settings, name, value)


def known(what: str, kind: type, given: Any) -> dict[str, Any]:
    """A dict that has names of this dataclass only. ValueError for anything else."""
    if not isinstance(given, Mapping):
        raise ValueError(f"{what} must be names with values, got {given!r:.60}")
    names = [part.name for part in fields(kind)]
    if unknown := [name for name in given if name not in names]:
        raise ValueError(f"{what}: {unknown[0]!r:.40} is unknown, there are {', '.join(names)}")
    return dict(given)


def one_of(name: str, value: Any, allowed: tuple[str, ...]) -> str:
    """`value` if it is allowed. ValueError for anything else."""
    if not isinstance(value, str) or value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(allowed)}, got {value!r:.40}")
    return value


def within(name: str, value: Any) -> float:
    """A number within its limits as a float. ValueError for anything else."""
    least, most = LIMITS[name]
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not least <= value <= most:  # not so for NaN
        raise ValueError(f"{name} must be a number from {least:g} to {most:g}, got {value!r:.40}")
    return float(value)


def whole(name: str, value: Any) -> int:
    """A whole number within its limits. ValueError for anything else."""
    least, most = LIMITS[name]
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ValueError(f"{name} must be a whole number from {least} to {most}, got {value!r:.40}")
    return value


def flag(name: str, value: Any) -> bool:
    """True or False. ValueError for anything else."""
    if not isinstance(value, bool):
        raise ValueError(f"{name} must be true or false, got {value!r:.40}")
    return value


def sizes(hidden: Any) -> tuple[int, ...]:
    """Sizes of hidden layers. ValueError for anything else."""
    if not isinstance(hidden, list | tuple) or len(hidden) > LIMITS["layers"]:
        most = LIMITS["layers"]
        raise ValueError(f"hidden must be at most {most} sizes, such as 32,16, got {hidden!r:.60}")
    return tuple(whole("units", size) for size in hidden)
