"""The workloads: what is timed."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from . import nets


@dataclass(frozen=True)
class Workload:
    """One training step: a network, a batch, a rule and an optimiser."""

    name: str
    net: list
    batch: int
    rule: str = "backprop"  # or "forward", "cdni", "tempered"; "parts": MicroBatches
    optimizer: str = "SGD"  # or "Adam"
    lr: float = 0.01
    shape: tuple[int, ...] = (784,)
    directions: int = 1
    counts: bool = True  # in the geometric mean
    sketch: str = ""  # the activation of a network that is written out in bare NumPy, too

    @property
    def flops(self) -> int:
        return nets.flops(self.net, self.shape, self.batch, self.rule, self.directions)

    def data(self) -> tuple[np.ndarray, np.ndarray]:
        """A batch and its targets. Eighty pixels of a hundred are 0, as those of digits are."""
        rng = np.random.default_rng(0)
        if self.shape == (3,):  # the toy example
            return np.array([[1, 2, 0.5]], "float32"), np.zeros((1, 1), "float32")
        x = rng.random((self.batch, *self.shape), dtype="float32")
        x[x < 0.8] = 0
        return x, rng.integers(0, 10, self.batch)

    def of(self, **changes) -> Workload:
        return replace(self, **changes)


IMAGE = (1, 28, 28)
FORWARD = {"rule": "forward", "lr": 1e-6}  # the weights hardly move: all blocks do the same
ADAM = {"optimizer": "Adam", "lr": 1e-3}
PARTS = {"rule": "parts", "counts": False}  # the peers' step is that of the row without it

WORKLOADS = [
    Workload("toy 3-2-1, one sample", nets.TOY, 1, shape=(3,), sketch="toy"),
    Workload("784-100-10, batch 10", nets.SMALL, 10, sketch="relu"),
    Workload("784-32-10, batch 60,000", nets.FULL, 60000, lr=0.1, sketch="sigmoid"),
    Workload("784-32-10, batch 60,000, in parts", nets.FULL, 60000, **PARTS, lr=0.1),
    Workload("BN net, Adam, batch 256", nets.NORMED, 256, **ADAM),
    Workload("BN net, Adam, batch 16", nets.NORMED, 16, **ADAM),
    Workload("cDNI sweep, batch 256", nets.NORMED, 256, rule="cdni", **ADAM),
    Workload("cDNI sweep, batch 16", nets.NORMED, 16, rule="cdni", **ADAM, counts=False),
    Workload("forward gradient MLP, batch 64", nets.WIDE, 64, **FORWARD),
    Workload("LeNet, batch 64", nets.LENET, 64, shape=IMAGE),
    Workload("LeNet, batch 6000", nets.LENET, 6000, shape=IMAGE),
    Workload("LeNet, batch 6000, in parts", nets.LENET, 6000, **PARTS, shape=IMAGE),
    Workload("ConvNet, batch 64", nets.CONVNET, 64, shape=IMAGE),
    Workload("forward gradient ConvNet, batch 64", nets.CONVNET, 64, shape=IMAGE, **FORWARD),
]
