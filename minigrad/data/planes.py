"""Small data sets in the plane, drawn from equations: moons, spirals, circles, xor."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from minigrad.checks import not_negative, positive_int
from minigrad.data.dataset import Dataset

# (class of each example, random numbers in [0, 1)) -> points without noise (n, 2)
Shape = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def moons(
    n: int = 500, noise: float = 0.1, seed: int = 0, test: int | None = None
) -> tuple[Dataset, Dataset]:
    r"""(train, test): two half circles that reach into each other; x (n, 2) float32, y 0 or 1.

    class 0   x = (2 cos t - 1, 2 sin t - 1/2)/3
    class 1   x = (1 - 2 cos t, 1/2 - 2 sin t)/3,   t uniform in [0, π]
    Without noise x is within [-1, 1] x [-1/2, 1/2]. To x is added noise · N(0, 1).

    n      examples to train with, both classes equally often
    noise  the standard deviation, >= 0
    seed   of all draws
    test   examples to test with; None: n
    Source: the two moons of scikit-learn's `make_moons`, centred and scaled.
    """

    def shape(y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        t = np.pi * rng.random(len(y))
        x = np.stack([2 * np.cos(t) - 1, 2 * np.sin(t) - 0.5], axis=1) / 3
        return np.where(y[:, None] == 0, x, -x)

    return _pair("moons", shape, 2, n, noise, seed, test)


def spirals(
    n: int = 500,
    noise: float = 0.1,
    seed: int = 0,
    test: int | None = None,
    *,
    arms: int = 2,
    turns: float = 1.0,
) -> tuple[Dataset, Dataset]:
    r"""(train, test): arms that wind around the origin; x (n, 2) float32, y the number of the arm.

    class c   x = r (cos φ, sin φ),   φ = 2π (turns · r + c/arms),   r = √u, u uniform in [0, 1]
    Without noise |x| <= 1. To x is added noise/4 · N(0, 1): the arms are close to each other.

    n, noise, seed, test  as for `moons`
    arms   how many classes, an integer >= 2
    turns  of each arm around the origin, > 0
    Source: Lang, Witbrock 1988, "Learning to tell two spirals apart", with other radii.
    """
    positive_int("arms", arms, least=2)
    if not_negative("turns", turns) == 0:
        raise ValueError(f"turns must be above 0, got {turns!r}")

    def shape(y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        r = np.sqrt(rng.random(len(y)))
        phi = 2 * np.pi * (turns * r + y / arms)
        return np.stack([r * np.cos(phi), r * np.sin(phi)], axis=1)

    return _pair("spirals", shape, arms, n, noise, seed, test, scale=1 / 4)


def circles(
    n: int = 500, noise: float = 0.1, seed: int = 0, test: int | None = None
) -> tuple[Dataset, Dataset]:
    r"""(train, test): a circle in a circle; x (n, 2) float32, y 0 outside, 1 inside.

    class 0   x = (cos t, sin t)
    class 1   x = (cos t, sin t)/2,   t uniform in [0, 2π]
    Without noise |x| is 1 or 1/2. To x is added noise · N(0, 1).

    n, noise, seed, test  as for `moons`
    Source: scikit-learn's `make_circles`, with half the radius inside.
    """

    def shape(y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        t = 2 * np.pi * rng.random(len(y))
        r = np.where(y == 0, 1.0, 0.5)
        return np.stack([r * np.cos(t), r * np.sin(t)], axis=1)

    return _pair("circles", shape, 2, n, noise, seed, test)


def xor(
    n: int = 500, noise: float = 0.1, seed: int = 0, test: int | None = None
) -> tuple[Dataset, Dataset]:
    r"""(train, test): opposite quadrants belong together; x (n, 2) float32, y 0 or 1.

    class 0   x = s (u, v)
    class 1   x = s (u, -v),   u, v uniform in [0, 1], s = ±1
    So y = 1 where x₁ x₂ < 0. Without noise x is within [-1, 1]². To x is added noise · N(0, 1).
    No straight line parts the classes: a network without hidden layer cannot learn this.

    n, noise, seed, test  as for `moons`
    Source: Minsky, Papert 1969, "Perceptrons", with areas in the place of four points.
    """

    def shape(y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        x = rng.random((len(y), 2))
        x[:, 1] *= 1 - 2 * y
        s = rng.choice([-1.0, 1.0], len(y))
        return s[:, None] * x

    return _pair("xor", shape, 2, n, noise, seed, test)


def _pair(
    name: str,
    shape: Shape,
    classes: int,
    n: int,
    noise: float,
    seed: int,
    test: int | None,
    scale: float = 1.0,
) -> tuple[Dataset, Dataset]:
    """(train, test), each drawn by a generator of its own: n of one does not change the other."""
    positive_int("n", n)
    test = n if test is None else positive_int("test", test)
    noise = not_negative("noise", noise)
    positive_int("seed", seed, least=0)
    sets = []
    for part, size, start in zip(
        ("train", "test"), (n, test), np.random.SeedSequence(seed).spawn(2), strict=True
    ):
        rng = np.random.default_rng(start)
        y = rng.permutation(np.arange(size) % classes)
        x = shape(y, rng)
        x = x + scale * noise * rng.standard_normal(x.shape)
        source = f"{name} in the plane, {part}"
        sets.append(Dataset(x.astype("float32"), y, source=source, classes=classes))
    train, tested = sets
    return train, tested
