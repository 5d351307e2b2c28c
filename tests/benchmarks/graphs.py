"""A step as one CUDA graph: ours by `minigrad.capture`, PyTorch's by `torch.cuda.graph`."""

from __future__ import annotations

import sys

import minigrad as mg

from . import ours

LOOK = 100  # steps after which our losses are brought to the host: a training does so, too


class Ours:
    """The step that `fit(..., capture=True)` repeats."""

    def __init__(self, work):
        from minigrad.capture import Captured

        model = ours.network(work.net)
        rule = ours.rules(work, model)
        self.x, self.y = (mg.backend.to_device(a) for a in work.data())
        self.optimizer = getattr(mg, work.optimizer)(model, lr=work.lr)
        self.captured = Captured(model, ours.losses(work), rule, work.batch, self.optimizer)

    def within(self):
        return self.captured.running()

    def __call__(self):
        """Returns the loss of the first step. Later ones stay on the device for a while."""
        value = self.captured.estimate(self.x, self.y)
        if not self.captured.moved:
            self.optimizer.step()
        if self.captured.pending >= LOOK:
            self.captured.fetch()
        return value


def ours_captured(work) -> dict:
    """{"captured minigrad": step}, where a graph of it is to be had."""
    if work.rule == "forward":  # it is refused: fit says why
        return {}
    try:
        return {"captured minigrad": Ours(work)}
    except Exception as error:
        print(f"not captured: {type(error).__name__}: {error}"[:200], file=sys.stderr)
        return {}


def theirs(work, state) -> dict:
    """{"graph PyTorch": step}. Its first call records it."""
    if work.rule not in ("backprop", "parts"):
        return {}
    from . import torch_peer

    return {"graph PyTorch": torch_peer.graph(work, state)}
