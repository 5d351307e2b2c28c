"""Orders of examples that look at their labels: balanced, stratified; and stratified parts.

All is drawn on the host, so that both backends have the same order.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.backend import Array, to_host


def balanced(y: np.ndarray, rng: np.random.Generator, ignored: int | None = None) -> np.ndarray:
    """N places, in random order, in which each of the C classes of y (N,) is equally often.

    Each class has N/C places, rounded down; the classes that have one more are drawn. The examples
    of a class are drawn with replacement: those of a rare class come several times, and some of a
    frequent class not at all. The label `ignored` is no class: its examples are never drawn.
    """
    classes = _places(y, ignored)
    N, C = len(y), len(classes)
    counts = np.full(C, N // C)
    counts[rng.permutation(C)[: N % C]] += 1
    drawn = [
        places[rng.integers(0, len(places), count)]
        for places, count in zip(classes, counts, strict=True)
    ]
    return rng.permutation(np.concatenate(drawn))


def stratified(y: np.ndarray, rng: np.random.Generator, ignored: int | None = None) -> np.ndarray:
    """Every place once, each class of y (N,) spread evenly over the whole order.

    The k-th of the K examples of a class, in random order, is put at the time (k + u)/K, u uniform
    in [0, 1). So each batch has about the share of each class that the whole set has.
    The label `ignored` is spread in the same way: each batch has about as many that count.
    """
    time = np.empty(len(y))
    for places in _places(y):
        K = len(places)
        # t = (k + u) / K
        time[rng.permutation(places)] = (np.arange(K) + rng.random(K)) / K
    return np.argsort(time, kind="stable")


SAMPLINGS = {"balanced": balanced, "stratified": stratified}


def order(
    sampling: str, y: Array, rng: np.random.Generator, ignored: int | None = None
) -> np.ndarray:
    """The order of an epoch, by the name of its sampling. ignored: the label that does not count"""
    return SAMPLINGS[sampling](to_host(y), rng, ignored)


def stratified_part(y: Array, n: int, rng: np.random.Generator) -> np.ndarray:
    """n places of y (N,), with the same share of each class as in all of it.

    A class of K examples gives n K/N, rounded down. What is then missing comes from the classes
    with the largest remainders, one each; of equal ones, from the smaller label.
    """
    classes = _places(to_host(y))
    N = len(y)
    sizes = np.array([len(places) for places in classes])
    counts = n * sizes // N
    remainders = n * sizes % N
    missing = n - int(counts.sum())
    counts[np.argsort(-remainders, kind="stable")[:missing]] += 1
    drawn = [rng.permutation(places)[:count] for places, count in zip(classes, counts, strict=True)]
    return np.concatenate(drawn)


def check_sampling(
    sampling: Any, y: Array, what: str = "sampling", ignored: int | None = None
) -> None:
    """ValueError unless the sampling has this name, and y is labels (N,), one that counts."""
    if what == "sampling" and (not isinstance(sampling, str) or sampling not in SAMPLINGS):
        known = ", ".join(repr(name) for name in SAMPLINGS)
        raise ValueError(f"sampling must be None or one of {known}, got {sampling!r:.60}")
    if y.dtype.kind not in "iu" or y.ndim != 1:
        raise ValueError(
            f"{what}={sampling!r} looks at labels, integers (N,); this set has y of {y.dtype}, "
            f"shape {tuple(y.shape)}"
        )
    if ignored is not None and not bool((y != ignored).any()):
        raise ValueError(f"{what}={sampling!r}: no label counts, all are ignore_index={ignored}")


def _places(y: np.ndarray, ignored: int | None = None) -> list[np.ndarray]:
    """For each class that occurs, in the order of the labels: the places of its examples."""
    labels, counts = np.unique(y, return_counts=True)
    places = np.split(np.argsort(y, kind="stable"), np.cumsum(counts)[:-1])
    return [found for label, found in zip(labels, places, strict=True) if label != ignored]
