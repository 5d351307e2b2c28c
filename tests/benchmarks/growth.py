"""The growth table: time and memory per example as batch, width and directions grow.

What should be seen: time per example falls with the batch until a core is busy, then stays; it
grows with the square of the width; K directions cost less than K steps. Memory per example is that
of the activities and of the gradients, and does not grow with K.

In pieces: --growth --only "LeNet: 6000" --json FILE --add
"""

from __future__ import annotations

import tracemalloc

from . import nets, ours, timing
from .workloads import FORWARD, IMAGE, Workload

BATCHES = (1, 4, 16, 64, 256, 1024, 6000)
WIDTHS = (64, 256, 1024, 4096)
DIRECTIONS = (1, 4, 16, 64)


def series() -> dict[str, list[tuple[int, Workload]]]:
    """{what grows: [(its value, the workload)]}"""
    wide = [(w, Workload(f"width {w}", nets._perceptron(784, w, w, 10), 64)) for w in WIDTHS]
    forward = Workload("forward gradient", nets.WIDE, 64, **FORWARD)
    return {
        "batch, 784-100-10": [(n, Workload(f"batch {n}", nets.SMALL, n)) for n in BATCHES],
        "batch, LeNet": [(n, Workload(f"{n}", nets.LENET, n, shape=IMAGE)) for n in BATCHES],
        "width, 784-w-w-10, batch 64": wide,
        "K, forward gradient MLP, batch 64": [(k, forward.of(directions=k)) for k in DIRECTIONS],
    }


def run(options, keep=lambda rows: None) -> list[dict]:
    """Measure and print every point whose "series: value" has `--only` in it."""
    rows = []
    print(
        f"{'':36}{'':>7}{'µs/example':>12}{'PyTorch':>10}{'ratio':>7}{'KiB/example':>13}{'GFLOP/s':>9}"
    )
    for name, points in series().items():
        for value, work in points[:2] if options.quick else points:
            if options.only.lower() not in f"{name}: {value}".lower():
                continue
            rows.append({"series": name, "value": value} | _point(work, options))
            keep(rows)
            row = rows[-1]
            torch = f"{row['torch_us']:.2f}" if "ratio" in row else "-"
            ratio = f"{row['ratio']['median']:.2f}" if "ratio" in row else "-"
            kib = "-" if row["kib"] is None else f"{row['kib']:.1f}"
            print(
                f"{name:36}{value:7}{row['us']:12.2f}{torch:>10}{ratio:>7}{kib:>13}"
                f"{row['gflops']:9.1f}",
                flush=True,
            )
    return rows


def _point(work, options) -> dict:
    from .command import contestants

    device = options.backend == "cupy"
    steps = contestants(work, options, jax=False)
    sync = None
    if device:
        from . import device as gpu

        sync = gpu.sync
    found = timing.measure(steps, options.repeats, options.seconds, sync)
    best = timing.best_of(found, "PyTorch")
    ms = timing.statistics.median(found["minigrad"]) * 1e3
    row = {"batch": work.batch, "us": 1e3 * ms / work.batch, "gflops": work.flops / ms / 1e6}
    if best:
        row["torch_us"] = 1e6 * timing.statistics.median(found[best]) / work.batch
        row["ratio"] = timing.ratio(found["minigrad"], found[best])
    row["kib"] = None if device or options.no_memory else _traced(work) / work.batch / 1024
    return row


def _traced(work) -> int:
    """Bytes that a step needs at most, beyond weights and batch: NumPy tells tracemalloc.

    The second step's, so that what one step keeps for the next counts: gradients, caches.
    """
    step = ours.step(work)
    tracemalloc.start()
    try:
        step()
        tracemalloc.reset_peak()
        step()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
