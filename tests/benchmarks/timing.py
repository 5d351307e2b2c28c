"""Alternating blocks of steps, and what is learned from them."""

from __future__ import annotations

import statistics
import time
from contextlib import nullcontext

MOST = 2000  # steps in a block
LONG = 0.3  # seconds: a longer step is not warmed up before each block
SLOWER = 1.25  # a way of a library that is this much slower than its best is dropped
TRIED = 2  # rounds before one is dropped: in a single one it may have had bad luck


def library(name: str) -> str:
    """ "PyTorch" for "PyTorch fused, channels last"."""
    return name.split()[0]


def block(step, n: int, sync=None) -> float:
    """Seconds a step. On the host the median of n steps; on a device n steps between two waits."""
    if sync is not None:
        sync()
        start = time.perf_counter()
        for _ in range(n):
            step()
        sync()
        return (time.perf_counter() - start) / n
    times = []
    for _ in range(n):
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def measure(steps: dict, repeats: int, seconds: float, sync=None) -> dict[str, list[float]]:
    """{contestant: [seconds a step in each block]}. Blocks of all contestants alternate.

    A way of a library whose first two blocks are both clearly slower than the best block of that
    library is left out of the later rounds, and can be no library's best.
    """
    counts = {}
    for name, step in steps.items():
        with within(step):
            step()  # compiles, allocates
            usual = block(step, 1, sync)
            if usual < LONG:
                usual = min(usual, block(step, 3, sync))
        counts[name] = max(1, min(MOST, int(seconds / max(usual, 1e-7))))
    found: dict[str, list[float]] = {name: [] for name in steps}
    racing = list(steps)
    for done in range(repeats):
        if done == TRIED:
            fastest = {name: min(times) for name, times in found.items()}
            best = {
                kind: min(fastest[n] for n in steps if library(n) == kind)
                for kind in map(library, steps)
            }
            racing = [n for n in racing if fastest[n] <= SLOWER * best[library(n)]]
        for name in racing:
            with within(steps[name]):
                if not found[name] or found[name][-1] < LONG:
                    steps[name]()  # threads of the one before may still spin
                found[name].append(block(steps[name], counts[name], sync))
    return found


def within(step):
    """The context of a block. A contestant may have one: its number of threads, its stream."""
    return getattr(step, "within", nullcontext)()


def best_of(found: dict[str, list[float]], kind: str) -> str | None:
    """The fastest contestant of a library. Those that were dropped are none."""
    most = max(map(len, found.values()))
    names = [n for n, times in found.items() if library(n) == kind and len(times) == most]
    return min(names, key=lambda n: statistics.median(found[n]), default=None)


def ratio(ours: list[float], theirs: list[float]) -> dict[str, float]:
    """The median of the rounds' ratios, the lowest and the highest."""
    ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
    return {"median": statistics.median(ratios), "low": min(ratios), "high": max(ratios)}
