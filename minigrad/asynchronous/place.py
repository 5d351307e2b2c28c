"""What each process is given: its place in the chain of blocks, and the plan of the run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from minigrad.asynchronous.channel import Channel, shared
from minigrad.data import Dataset
from minigrad.rules.synthetic.blocks import Block, shapes

SLOTS = 4  # how many batches may wait between two blocks


@dataclass
class Neighbour:
    """The channels to and from the block above or below."""

    send: Channel
    receive: Channel


@dataclass
class Place:
    """The place of one block in the chain, and what all processes share.

    number, of   this block's number, from 0, and how many blocks there are
    below        the block below: activations come from it, gradients go to it. None for block 0
    above        the block above: activations go to it, gradients come from it. None for the top
    labels, x    the data, in shared memory; x for block 0 only
    stop         shared; not 0: end the run
    asked        shared; not 0: the parent wants the state of all blocks, soon
    cut          shared; after this step of the run each block sends its state. Block 0 sets it
    progress     shared; for each block the number of its steps so far, -1 before it is ready
    last_loss    shared; the loss of the last batch
    started      shared; the time at which block 0 began
    """

    number: int
    of: int
    below: Neighbour | None
    above: Neighbour | None
    labels: Any
    x: Any
    stop: Any
    asked: Any
    cut: Any
    progress: Any
    last_loss: Any
    started: Any


@dataclass
class Plan:
    """The arguments of the run, the same for all blocks.

    epochs     those to be trained. Of the first one a part may have been trained before
    before     the steps that were made before, all in all; 0 for a new run
    locked     True for backprop: each block waits for the gradient from above
    lag        the block may be this many batches ahead of the answers to its predictions; None:
               any number
    lrs        (lr, lr/start) of the optimiser for each epoch or step, as `per` says; empty without
               a schedule
    evaluated  the network is evaluated after these epochs
    after      each block sends its state after these epochs
    every      it also sends its state after every so many steps; 0: it does not
    whole      the state is all that a run can go on from; False: what an evaluation needs
    """

    epochs: range
    before: int
    batch_size: int
    shuffle: bool
    seed: int
    locked: bool
    lag: int | None
    lrs: list[tuple[float, float]]
    per: str | None
    evaluated: frozenset[int]
    after: frozenset[int]
    every: int
    whole: bool
    threads: int


def connected(context: Any, blocks: list[Block], train: Dataset, rows: int) -> list[Place]:
    """The places of all blocks, with shared memory and channels for batches of up to `rows`."""
    L = len(blocks)
    dtype = next(iter(blocks[0].params.values())).dtype  # that of train.x, unless it is integers
    up = []
    down = []
    for shape in shapes(blocks, train.x.shape[1:])[:-1]:
        up.append(Channel(context, rows, shape, dtype, SLOTS))
        # Room for all answers that can be on their way. Otherwise a block could wait to send an
        # answer while its neighbour waits to send an activation.
        down.append(Channel(context, rows, shape, dtype, SLOTS + 3))
    labels = shared(context, train.y)
    x = shared(context, train.x)
    stop = context.RawValue("b", 0)
    asked = context.RawValue("b", 0)
    cut = context.RawValue("q", 0)
    progress = context.RawArray("q", [-1] * L)
    last_loss = context.RawValue("d", 0.0)
    started = context.RawValue("d", 0.0)
    return [
        Place(
            number=i,
            of=L,
            below=Neighbour(send=down[i - 1], receive=up[i - 1]) if i else None,
            above=Neighbour(send=up[i], receive=down[i]) if i < L - 1 else None,
            labels=labels,
            x=x if i == 0 else None,
            stop=stop,
            asked=asked,
            cut=cut,
            progress=progress,
            last_loss=last_loss,
            started=started,
        )
        for i in range(L)
    ]
