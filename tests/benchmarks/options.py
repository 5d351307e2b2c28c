"""The options of the command. Nothing here imports NumPy, which reads its threads when loaded."""

from __future__ import annotations

import argparse
import os

VARIABLES = ("MINIGRAD_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="python -m tests.benchmarks",
        description="Time and memory of training steps, beside PyTorch and JAX in the same run.",
    )
    top.add_argument("--only", default="", help="workloads whose name has this in it")
    top.add_argument("--backend", choices=("numpy", "cupy"), default="numpy")
    top.add_argument("--threads", type=int, help="for all contestants; default: one for each core")
    top.add_argument(
        "--repeats", "--rounds", type=int, default=7, help="blocks of steps of each contestant"
    )
    top.add_argument("--seconds", type=float, default=0.25, help="about the time of a block")
    top.add_argument("--json", metavar="FILE", help="write what was found there, row by row")
    top.add_argument("--add", action="store_true", help="to that file: its other rows stay")
    top.add_argument("--markdown", metavar="FILE", help="print such a file's tables; no run")
    top.add_argument("--readme", metavar="FILE", help="print its short table; no run")
    top.add_argument("--pages", metavar="FILE", help="put its tables into the pages; no run")
    top.add_argument("--growth", action="store_true", help="the growth table instead")
    top.add_argument("--load", action="store_true", help="steps beside a busy core instead")
    top.add_argument("--checkpoints", action="store_true", help="what checkpoints cost instead")
    top.add_argument("--sketch", action="store_true", help="the step in bare NumPy lines, too")
    top.add_argument("--no-peers", action="store_true", help="minigrad alone")
    top.add_argument("--no-memory", action="store_true", help="no peak memory")
    top.add_argument("--no-profile", action="store_true", help="no launches (on a GPU)")
    top.add_argument("--no-capture", action="store_true", help="no CUDA graphs (on a GPU)")
    top.add_argument("--quick", action="store_true", help="two short blocks: does it run at all?")
    top.add_argument("--peak-of", help=argparse.SUPPRESS)  # a child process measures its memory
    return top


def parsed(argv: list[str] | None = None) -> argparse.Namespace:
    """The options. The number of threads is in the environment after it, for every library."""
    options = parser().parse_args(argv)
    if options.threads is None:
        given = os.environ.get("MINIGRAD_THREADS", "")
        options.threads = int(given) if given.isdecimal() else _cores()
    if options.threads < 1 or options.repeats < 1:
        raise SystemExit("--threads and --repeats must be 1 or more")
    for variable in VARIABLES:
        os.environ[variable] = str(options.threads)
    if options.quick:
        options.repeats = min(options.repeats, 2)
        options.seconds = min(options.seconds, 0.02)
        options.no_memory = True
    return options


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not every system has it
        return os.cpu_count() or 1
