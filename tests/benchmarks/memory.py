"""By how much a step raises the memory of its process, above libraries, data and weights."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from .timing import library

STEPS = 3
ROOT = Path(__file__).resolve().parent.parent.parent


def peak_of(make) -> float:
    """MiB: the highest resident memory during three steps, less that before the first.

    Linux can forget the highest value so far. Where it cannot, `ru_maxrss` must do: it is too low
    if something before the steps has needed more.
    """
    step = make()
    before = _resident(reset=True)
    for _ in range(STEPS):
        step()
    return (_resident() - before) / 1024


def _resident(reset: bool = False) -> int:
    """The highest resident memory in KiB; with reset, the one now, and the highest begins anew."""
    try:
        if reset:
            Path("/proc/self/clear_refs").write_text("5")
        status = Path("/proc/self/status").read_text()
        lines = dict(line.split(":", 1) for line in status.splitlines())
        return int(lines["VmHWM"].split()[0])
    except (OSError, KeyError):
        import resource

        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most // 1024 if sys.platform == "darwin" else most


def in_child(work, who: str, options) -> float | None:
    """`peak_of` in a process of its own, where nothing else has needed memory."""
    command = [sys.executable, "-m", "tests.benchmarks", "--threads", str(options.threads)]
    command += ["--only", work.name, "--peak-of", who]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"no memory of {who}: {done.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
        return None
    return json.loads(done.stdout)


def child(work, who: str) -> None:
    """Print the peak of one contestant."""
    if library(who) == "minigrad":
        from . import ours

        found = peak_of(lambda: ours.step(work))
    else:
        from . import torch_peer

        wanted = torch_peer.steps(work)
        name = who.removesuffix(", 1 thread")
        found = peak_of(lambda: wanted[name])
    print(json.dumps(found))
