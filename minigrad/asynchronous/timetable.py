"""Which block would work when, if each had a worker that waits for nobody else's core."""

from __future__ import annotations

import numpy as np

from minigrad.asynchronous.timeline import KINDS, Timeline
from minigrad.checks import positive_int


def timetable(
    blocks: int, batches: int, locked: bool, forward: float, backward: float, module: float = 0.0
) -> Timeline:
    """The timeline of `blocks` workers, each with one block, calculated.

    A piece of work begins as soon as its worker is free and what it needs is there. A forward pass
    needs the forward pass of the block below.
    locked  True: a backward pass needs the backward pass of the block above, and block 1 takes the
            next batch after its own. False: a module at each block but the last works after the
            forward pass, and the backward pass needs nothing else
    forward, backward, module  seconds of one piece of work
    """
    positive_int("blocks", blocks)
    positive_int("batches", batches)
    seconds = {"forward": forward, "backward": backward, "module": module}
    if min(seconds.values()) < 0:
        raise ValueError(f"a piece of work takes 0 seconds or more, got {seconds}")
    rows: list[list[tuple[float, ...]]] = [[] for _ in range(blocks)]
    free = [0.0] * blocks  # from when on a worker has nothing to do

    def work(block: int, kind: str, batch: int, ready: float) -> float:
        begin = max(free[block], ready)
        end = free[block] = begin + seconds[kind]
        rows[block].append((KINDS.index(kind), batch, begin, end, seconds[kind]))
        return end

    for batch in range(1, batches + 1):
        ready = 0.0
        for block in range(blocks):
            ready = work(block, "forward", batch, ready)
            if not locked:
                if block < blocks - 1:
                    work(block, "module", batch, ready)
                work(block, "backward", batch, ready)
        for block in reversed(range(blocks)) if locked else ():
            ready = work(block, "backward", batch, ready)
    return Timeline([np.array(row) for row in rows])
