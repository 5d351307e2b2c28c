"""What every rule asks of a device in a step: a few numbers come to the host, and no gradients."""

import numpy as np
import pytest
from cases import RULES, rule_cases

import minigrad as mg
from minigrad.backend import to_device

# How often a step of a network with three layers brings something to the host. Each is a wait.
# A rule that is not here looks at its loss, once.
WAITS = {
    "WellTempered decay": 2,  # around a forward gradient: the loss and a slope
    "WellTempered micro-batches": 3,  # the loss of each
    "MicroBatches": 3,
    "WeightPerturbation": 2,
    "WeightPerturbation several": 5,  # the loss, three slopes, and what is orthogonalised
    "WeightPerturbation differences": 3,  # the loss at three points
    "ActivityPerturbation differences": 4,  # the loss, and the activities' sizes, for ε
    "GuidedForwardGradient": 11,  # the guide's losses and slopes, and the sizes of its parts
    "SPSA": 10,  # four losses, and the parameters' sizes, for ε
    "EvolutionStrategies": 6,  # the loss of each of the population
    "EvolutionStrategies plain": 3,
    "PredictiveCoding": 5,  # the loss in each iteration
    "ForwardForward": 4,  # the losses of two layers, and checks of labels
    "ForwardForward hard": 6,
    "LocalLosses": 5,  # the losses of three blocks
    "ClippedGradients": 7,  # the loss, and the norms of six arrays: one in CUDA
    "ClippedGradients value": 2,
}
# What is more than one number: 83 weights in three directions, in float64 because they are few;
# and the score of each label for six examples.
ARRAYS = {"WeightPerturbation several": 3 * 83, "ForwardForward hard": 6 * 3}
# With directions that CUDA draws, what still comes from the host in every step
UPLOADS = {
    "WeightPerturbation several": 1,
    "ForwardForward": 1,  # the wrong labels
    "ForwardForward hard": 1,
    "SignSymmetric": 2,  # new sizes for each batch
}


def batch(rng):
    x = rng.standard_normal((6, 4)).astype("float32")
    return to_device(x), to_device(rng.integers(0, 3, 6))


@pytest.mark.parametrize("case", **rule_cases)
def test_a_step_brings_a_few_numbers_to_the_host(case, device, xp, monkeypatch):
    if not hasattr(xp, "counted"):
        return  # only the stand-in counts
    net = mg.models.mlp((4, 6, 5, 3), "tanh", seed=0)
    rule, loss, optimizer = case.make(net), mg.CrossEntropyLoss(), mg.SGD(net, 0.01)
    rng = np.random.default_rng(0)
    rule.estimate(net, loss, *batch(rng))  # makes what is made once
    optimizer.step()
    sizes, to_host = [], xp._to_host
    monkeypatch.setattr(xp, "_to_host", lambda array: sizes.append(array.size) or to_host(array))
    x, y = batch(rng)
    with xp.counted() as counts:
        rule.estimate(net, loss, x, y)
        with xp.no_sync():
            optimizer.step()
    with_kernels = hasattr(xp, "RawKernel")
    most = WAITS.get(case.name, 1)
    assert len(sizes) == counts.syncs
    assert counts.syncs <= most if with_kernels else counts.syncs == most
    assert max(sizes) == ARRAYS.get(case.name, 1)
    if with_kernels:
        assert counts.uploads == UPLOADS.get(case.name, 0)


@pytest.mark.on_host
def test_the_tables_name_rules():
    assert {*WAITS, *ARRAYS, *UPLOADS} <= {case.name for case in RULES}
