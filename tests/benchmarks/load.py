"""The table of steps beside another process that keeps one core busy, against the idle machine.

A step should take at most twice its idle time: it has half of two cores, or more. To see what
OpenBLAS does by itself: OPENBLAS_THREAD_TIMEOUT=26 python -m tests.benchmarks --load
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from . import nets, ours
from .workloads import IMAGE, WORKLOADS, Workload

LESSON = {"shape": IMAGE, "rule": "tempered", "counts": False}
NAMES = ("784-32-10, batch 60,000", "BN net, Adam, batch 256", "cDNI sweep, batch 256")
STEPS = [
    Workload("lesson 05, LeNet, batch 100", nets.LENET, 100, **LESSON),
    Workload("lesson 05, LeNet, batch 1000", nets.LENET, 1000, **LESSON),
    Workload("lesson 05, LeNet, batch 6000", nets.LENET, 6000, **LESSON),
    *(work for work in WORKLOADS if work.name in NAMES),
]
BUSY = "while True: pass"


@contextmanager
def busy_core() -> Iterator[None]:
    """Within it another process keeps a core busy. The system says which, and may change that."""
    other = subprocess.Popen([sys.executable, "-c", BUSY])
    try:
        time.sleep(0.3)
        yield
    finally:
        other.kill()
        other.wait()


def mean_of(step, seconds: float) -> float:
    """Seconds a step, as a mean: under load a few steps take most of the time."""
    step()
    start = time.perf_counter()
    done = 0
    while (taken := time.perf_counter() - start) < seconds or not done:
        step()
        done += 1
    return taken / done


def run(options, keep=lambda rows: None) -> list[dict]:
    """Measure and print. Rounds of both kinds alternate."""
    works = [work for work in STEPS if options.only.lower() in work.name.lower()]
    steps = {work.name: ours.step(work) for work in works}
    found: dict[str, dict[str, list[float]]] = {name: {"idle": [], "busy": []} for name in steps}
    for _ in range(options.repeats):
        for name, step in steps.items():
            found[name]["idle"].append(mean_of(step, options.seconds))
        with busy_core():
            for name, step in steps.items():
                found[name]["busy"].append(mean_of(step, options.seconds))
    print(f"{'milliseconds a step':32}{'idle':>10}{'beside a busy core':>20}{'ratio':>8}  (spread)")
    rows = []
    for name, times in found.items():
        ratios = [b / a for a, b in zip(times["idle"], times["busy"], strict=True)]
        medians = {kind: 1e3 * statistics.median(ts) for kind, ts in times.items()}
        row = {"name": name, "ms": {kind: [1e3 * t for t in ts] for kind, ts in times.items()}}
        row["median_ms"] = medians
        row["ratio"] = {"median": statistics.median(ratios), "low": min(ratios)}
        row["ratio"]["high"] = max(ratios)
        rows.append(row)
        keep(rows)
        spread = f"({min(ratios):.2f}, {max(ratios):.2f})"
        idle, busy = medians["idle"], medians["busy"]
        print(f"{name:32}{idle:10.2f}{busy:20.2f}{row['ratio']['median']:8.2f}  {spread}")
    return rows
