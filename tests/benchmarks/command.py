"""The command: it measures workload by workload, and prints the table."""

from __future__ import annotations

import os
import sys
import time
import traceback

import minigrad as mg

from . import checkpoints, growth, load, machine, memory, ours, pages, sketches, table, timing
from .workloads import WORKLOADS

BUSY = 0.25  # a load for each core above this before the run: other work is going on
RECORDED = 3  # steps after which a graph must be there


def main(options) -> int:
    for print_or_write in ("markdown", "readme", "pages"):
        if path := getattr(options, print_or_write):
            return pages.main(print_or_write, path)
    chosen = [work for work in WORKLOADS if options.only.lower() in work.name.lower()]
    if options.quick and not options.only:
        chosen = chosen[:2]
    if not chosen and not options.growth and not options.load:
        print(f"no workload has {options.only!r} in its name", file=sys.stderr)
        return 2
    if options.peak_of:
        memory.child(next(w for w in chosen if w.name == options.only), options.peak_of)
        return 0
    mg.backend.use(options.backend)
    if options.checkpoints:
        checkpoints.main()
        return 0
    kind = "growth" if options.growth else "load" if options.load else ""
    head = _head(options)
    try:
        record = table.Record(options.json, kind, head, options.add)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    if kind:
        (growth if options.growth else load).run(options, record.keep)
        return 0
    return _workloads(chosen, options, record)


def _workloads(chosen, options, record) -> int:
    device = options.backend == "cupy"
    print(table.head(device), flush=True)
    rows = []
    for i, work in enumerate(chosen):
        _progress(f"{work.name} ({i + 1} of {len(chosen)})")
        try:
            rows.append(measured(work, options))
        except Exception as error:  # the other rows are still worth having
            print(f"{work.name:{table.WIDTHS[0]}} FAILED {type(error).__name__}: {error}"[:300])
            traceback.print_exc(limit=-4)
            continue
        print(table.line(rows[-1], device), flush=True)
        record.keep(rows)
    print(table.summary_text(table.summary(rows)))
    return 0 if len(rows) == len(chosen) else 1


def measured(work, options) -> dict:
    """The row of one workload."""
    device = options.backend == "cupy"
    steps = contestants(work, options)
    sync = None
    if device:
        from . import device as gpu

        sync = gpu.sync
    differ = disagreement(steps, work)
    found = timing.measure(steps, options.repeats, options.seconds, sync)
    best = timing.best_of(found, "PyTorch")
    extra = {"disagreement": differ}
    pair = {"minigrad": "minigrad"} | ({"PyTorch": best} if best else {})
    if device:
        if not options.no_profile:
            profiles = {who: gpu.profiled(steps[name]) for who, name in pair.items()}
            for what in ("launches", "busy_ms"):
                extra[what] = {who: p[what] for who, p in profiles.items() if p}
        if not options.no_memory:
            extra["memory_mib"] = {
                who: gpu.peak_of(steps[name], who == "minigrad") for who, name in pair.items()
            }
        steps.clear()
        gpu.forget()
    elif not options.no_memory:
        extra["memory_mib"] = {
            who: memory.in_child(work, name, options) for who, name in pair.items()
        }
    return table.row(work, found, extra)


def contestants(work, options, jax: bool = True) -> dict:
    """{name: step}, all with the same weights and the same batch."""
    model = ours.network(work.net)
    steps = {"minigrad": ours.step(work, model)}
    host = options.backend == "numpy"
    captures = not host and not options.no_capture
    if captures:
        from . import graphs

        steps |= graphs.ours_captured(work)
    if options.sketch and host:
        steps |= sketches.steps(work, model)
    if options.no_peers:
        return steps
    installed = machine.versions(("torch", "jax"))
    if "torch" in installed and (host or gpu_of_peers()):
        from . import torch_peer

        state = mg.to_torch_state_dict(model)
        steps |= torch_peer.steps(work, state, "cpu" if host else "cuda", options.threads)
        if captures:
            steps |= graphs.theirs(work, state)
    if jax and "jax" in installed and host:
        from . import jax_peer

        steps |= jax_peer.steps(work, model)
    return steps


def gpu_of_peers() -> bool:
    from . import device

    return device.peers()


def disagreement(steps, work) -> float:
    """The largest relative difference between the first losses: is it the same computation?

    ValueError if it is large. A sweep of synthetic gradients has other weights in PyTorch.
    A way of another library that fails is taken out, with a line that says so.
    """
    values = {}
    for name, step in list(steps.items()):
        try:
            with timing.within(step):
                value = step()
                for _ in range(RECORDED if timing.library(name) in ("captured", "graph") else 0):
                    step()  # these fail later, when they are recorded
        except Exception as error:  # a way of another library that does not work here
            if name == "minigrad":
                raise
            print(f"without {name}: {type(error).__name__}: {error}"[:200], file=sys.stderr)
            del steps[name]
            continue
        values[name] = float(value.detach() if hasattr(value, "detach") else value)
    mine = values["minigrad"]
    worst = max(abs(value - mine) / max(abs(mine), 1e-6) for value in values.values())
    if worst > 1e-3 and work.rule != "cdni":
        raise ValueError(f"the contestants do not compute the same: their losses are {values}")
    return worst


def _head(options) -> dict:
    """Print and return what a figure means nothing without."""
    device = options.backend == "cupy"
    before = machine.load()
    size, repeats = (512, 3) if options.quick else (2048, 5)
    if device:
        from . import device as gpu

        peak, where = gpu.peak_gflops(512 if options.quick else 4096), gpu.name()
    else:
        peak, where = machine.peak_gflops(size, repeats), machine.processor()
    versions = machine.versions()
    head = {
        "minigrad": mg.__version__,
        "versions": versions,
        "backend": options.backend,
        "device": where,
        "blas": machine.blas(),
        "threads": options.threads,
        "repeats": options.repeats,
        "load_before": before,
        "peak_gflops": peak,
        "when": time.strftime("%Y-%m-%d %H:%M:%S"),
    }
    named = ", ".join(f"{name} {version}" for name, version in versions.items())
    print(f"minigrad {mg.__version__}, {named}")
    print(
        f"{where}, {options.threads} threads, {head['blas']}; peak of a product of large squares "
        f"{peak:.0f} GFLOP/s; load before {'unknown' if before is None else f'{before:.2f}'}"
    )
    if before is not None and before > BUSY * (os.cpu_count() or 1):
        print("NOTE: other work was going on before this run; its figures are worth less.")
    print(
        f"milliseconds a step: median of {options.repeats} alternating blocks; the ratio is that "
        "to PyTorch's best way. Absolute times hold for this machine only."
    )
    return head


def _progress(text: str) -> None:
    """A line that the next one replaces, for eyes alone."""
    if sys.stderr.isatty():
        print(f"\r{text:70}\r", end="", file=sys.stderr, flush=True)
