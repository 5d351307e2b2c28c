"""The data sets of a race. Each is read or drawn when it is chosen, and once."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from minigrad import data
from minigrad.data import Dataset, mnist, redraw_labels

IN_THE_PLANE = 400  # examples to train with, and as many to test with
MOST_TEST = 500  # examples on which the accuracy is measured


class Set(NamedTuple):
    """A data set by its name.

    title  what it is, in words
    plane  whether its examples are points in the plane
    """

    title: str
    plane: bool


SETS: dict[str, Set] = {
    "digits": Set("handwritten digits, 8x8, embedded", False),
    "mnist": Set("MNIST, handwritten digits, 28x28", False),
    "moons": Set("two moons", True),
    "spirals": Set("two spirals", True),
    "spirals3": Set("three spirals", True),
    "circles": Set("a circle in a circle", True),
    "xor": Set("xor, opposite quadrants", True),
}


def available(name: str) -> bool:
    """Whether the set is here. MNIST is where somebody has put it; a race never downloads."""
    return name != "mnist" or mnist.find() is not None


def load(name: str, noise: float, label_noise: float, seed: int) -> tuple[Dataset, Dataset]:
    """(train, test). Labels are drawn anew in `train` alone; `clean_y` keeps the old ones.

    ValueError: MNIST is not on disk.
    """
    if not available(name):
        raise ValueError(
            "MNIST is not on this computer: `minigrad data mnist` gets it, or choose digits"
        )
    train, test = _loaded(name, noise if SETS[name].plane else 0.0, seed)
    if label_noise:
        train = redraw_labels(train, label_noise, np.random.default_rng(seed))
    return train, test


@lru_cache(maxsize=2)
def _loaded(name: str, noise: float, seed: int) -> tuple[Dataset, Dataset]:
    if not SETS[name].plane:
        return _read(name)
    arms = {"arms": 3} if name == "spirals3" else {}
    draw = getattr(data, name.removesuffix("3"))
    train, test = draw(IN_THE_PLANE, noise, seed, **arms)
    return train, test


@lru_cache(maxsize=1)
def _read(name: str) -> tuple[Dataset, Dataset]:
    """A set of images: read once, whatever the seed is."""
    train, test = data.load(name)
    return train, replace(test.take(slice(MOST_TEST)), source=test.source)
