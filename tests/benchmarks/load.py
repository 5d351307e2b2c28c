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

from minigrad import threads

from . import nets, ours, timing
from .workloads import IMAGE, WORKLOADS, Workload

LESSON = {"shape": IMAGE, "rule": "tempered", "counts": False}
NAMES = ("784-32-10, batch 60,000", "BN net, Adam, batch 256", "cDNI sweep, batch 256")
STEPS = [
    Workload("lesson 08, LeNet, batch 100", nets.LENET, 100, **LESSON),
    Workload("lesson 08, LeNet, batch 1000", nets.LENET, 1000, **LESSON),
    Workload("lesson 08, LeNet, batch 6000", nets.LENET, 6000, **LESSON),
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
    """Measure and print. Rounds alternate: idle, busy, busy with one thread of ours."""
    works = [work for work in STEPS if options.only.lower() in work.name.lower()]
    steps = {work.name: ours.step(work) for work in works}
    found: dict[str, dict[str, list[float]]] = {
        name: {"idle": [], "busy": [], "busy, one thread": []} for name in steps
    }

    def measure(kind):
        for name, step in steps.items():
            found[name][kind].append(mean_of(step, options.seconds))

    for _ in range(options.repeats):
        measure("idle")
        with busy_core():
            measure("busy")
            with one_thread():
                measure("busy, one thread")
    print(
        f"{'milliseconds a step':32}{'idle':>10}{'beside a busy core':>20}{'ratio':>8}  (spread)"
        f"{'on one thread':>18}{'ratio':>8}"
    )
    rows = []
    for name, times in found.items():
        row = {"name": name, "ms": {kind: [1e3 * t for t in ts] for kind, ts in times.items()}}
        row["median_ms"] = {kind: statistics.median(ts) for kind, ts in row["ms"].items()}
        row["ratio"] = timing.ratio(times["busy"], times["idle"])
        row["ratio_one"] = timing.ratio(times["busy, one thread"], times["idle"])
        rows.append(row)
        keep(rows)
        idle, busy, one = row["median_ms"].values()
        ratio = row["ratio"]
        spread = f"({ratio['low']:.2f}, {ratio['high']:.2f})"
        print(
            f"{name:32}{idle:10.2f}{busy:20.2f}{ratio['median']:8.2f}  {spread}"
            f"{one:14.2f}{row['ratio_one']['median']:8.2f}"
        )
    return rows


@contextmanager
def one_thread() -> Iterator[None]:
    """Within it minigrad and BLAS have one thread, as with MINIGRAD_THREADS=1."""
    before = threads.threads()
    threads.set_threads(1)
    try:
        yield
    finally:
        threads.set_threads(before)
