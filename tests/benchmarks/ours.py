"""A workload's step in minigrad."""

from __future__ import annotations

from functools import partial

import minigrad as mg

LAYERS = {
    "linear": lambda a, b, bias=True, **kw: mg.Linear(a, b, bias=bias, **kw),
    "conv": lambda a, b, k, **kw: mg.Conv2d(a, b, k, **kw),
    "norm": lambda n, **kw: mg.BatchNorm1d(n),
    "pool": lambda k, **kw: mg.MaxPool2d(k),
    "flatten": lambda **kw: mg.Flatten(),
    "relu": lambda **kw: mg.ReLU(),
    "sigmoid": lambda **kw: mg.Sigmoid(),
}


def network(net):
    """The layers, with weights from the seeds 0, 1, 2 ..."""
    return mg.Sequential(*[LAYERS[part[0]](*part[1:], seed=i) for i, part in enumerate(net)])


def losses(work):
    return mg.BCELoss() if work.shape == (3,) else mg.CrossEntropyLoss()


def rules(work, model):
    if work.rule == "forward":
        return mg.rules.ForwardGradient(work.directions)
    if work.rule == "cdni":
        return mg.rules.SyntheticGradients(model, lr=1e-3, conditioned=True)
    if work.rule == "tempered":
        return mg.rules.WellTempered()
    backprop = mg.rules.Backprop()
    return mg.rules.MicroBatches(backprop) if work.rule == "parts" else backprop


def step(work, model=None):
    """A function that makes one step and returns the loss."""
    model = network(work.net) if model is None else model
    x, y = (mg.backend.to_device(a) for a in work.data())
    rule = rules(work, model)
    optimizer = getattr(mg, work.optimizer)(model, lr=work.lr)

    def make(loss):
        value = rule.estimate(model, loss, x, y)
        optimizer.step()
        return value

    return partial(make, losses(work))
