"""How many launches a step makes on a GPU. Each costs some 10 µs of Python, however small it is."""

from itertools import pairwise

import numpy as np
import pytest

import minigrad as mg
from minigrad.backend import to_device


def with_batch_norm():
    sizes = [12, 8, 8, 8]
    layers = []
    for n_in, n_out in pairwise(sizes):
        layers += [mg.Linear(n_in, n_out), mg.BatchNorm1d(n_out), mg.ReLU()]
    return mg.Sequential(*layers, mg.Linear(8, 10))


def dense():
    return mg.Sequential(mg.Linear(12, 8), mg.ReLU(), mg.Linear(8, 8), mg.ReLU(), mg.Linear(8, 10))


def clipped(net):
    return mg.rules.ClippedGradients(mg.rules.Backprop(), max_norm=1e-3)


STEPS = {  # network, rule, optimiser, launches at most; PyTorch's in the comment
    "batch norm": (with_batch_norm, lambda net: mg.rules.Backprop(), mg.Adam, 42),  # 59
    "synthetic": (
        with_batch_norm,
        lambda net: mg.rules.SyntheticGradients(net, conditioned=True),
        mg.Adam,
        66,  # 89
    ),
    "forward": (dense, lambda net: mg.rules.ForwardGradient(), mg.SGD, 25),  # 71
    "signs": (dense, lambda net: mg.rules.ForwardGradient(1, "rademacher"), mg.SGD, 25),
    "clipped": (
        dense,
        lambda net: mg.rules.ClippedGradients(mg.rules.Backprop(), 1e-3),
        mg.SGD,
        27,
    ),
}


@pytest.mark.parametrize("name", STEPS)
def test_a_step_makes_few_launches(name, xp):
    if not (hasattr(xp, "counted") and hasattr(xp, "RawKernel")):
        return  # only the emulated GPU runs the kernels and counts
    make, rule, optimizer, most = STEPS[name]
    net = make()
    rule, optimizer, loss = rule(net), optimizer(net, 1e-3), mg.CrossEntropyLoss()
    rng = np.random.default_rng(0)
    x = to_device(rng.standard_normal((6, 12)).astype("float32"))
    target = to_device(rng.integers(0, 10, 6))
    for _ in range(2):
        with xp.counted() as counts:
            rule.estimate(net, loss, x, target)
            optimizer.step()
    assert counts.launches <= most
    assert counts.uploads == 0
