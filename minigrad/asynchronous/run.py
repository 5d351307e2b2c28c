"""Training with one process for each block of the network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from minigrad import threads
from minigrad.asynchronous.team import Team, WorkerError
from minigrad.asynchronous.timeline import Timeline
from minigrad.asynchronous.worker import Plan
from minigrad.backend import array_module
from minigrad.checks import positive_int, renamed
from minigrad.data import Dataset
from minigrad.history import History
from minigrad.layers import Layer
from minigrad.losses import Loss
from minigrad.optim import Optimizer, Schedule
from minigrad.rules import Backprop, Rule, SyntheticGradients
from minigrad.rules.synthetic.blocks import Block, split
from minigrad.train import Bar, check_parts, checked, settings

__all__ = ["Run", "WorkerError", "fit"]


class Run(NamedTuple):
    """The result of `fit`: a history as `mg.fit` returns it, and what each block did when."""

    history: History
    timeline: Timeline


@renamed(threads_each="threads_per_process")
def fit(
    model: Layer,
    loss: Loss,
    rule: Rule,
    optimizer: Optimizer,
    train: Dataset,
    test: Dataset | None = None,
    *,
    epochs: int,
    batch_size: int,
    shuffle: bool = True,
    seed: int = 0,
    schedule: Schedule | None = None,
    evaluate_every: int = 1,
    lag: int | None = None,
    interfaces: Sequence[int] | None = None,
    threads_per_process: int | None = None,
    progress: bool | None = None,
) -> Run:
    """Train with one process for each block. Activations and gradients go through shared memory.

    rule            SyntheticGradients(model), mode "sequential": a block updates by the gradient
                    that its module predicts, and goes on with the next batch. The module learns
                    from the true gradient, the answer of the block above, when it arrives.
                    Backprop(): the same processes, but each waits for the true gradient
    lag             how many batches a block may be ahead of the answers to its predictions. 0: the
                    result of `mg.fit`, bit for bit if both use as many threads. None: any number;
                    a block then waits only while there is no room for its activations. Not for
                    Backprop
    interfaces      for Backprop: after which layers the network is cut, as in SyntheticGradients
    threads_per_process  None: the number of threads divided by the number of blocks, at least 1
    evaluate_every  epochs between two evaluations. They are made after the run, from copies of the
                    weights
    The other arguments are those of `mg.fit`, and model, optimiser, rule and schedule are changed
    as it changes them. If the run was stopped early (see `history.stopped`), only the model is
    changed: it is set to its state after the last whole epoch that was to be evaluated.

    An optimiser sees one block only: one that uses the norm of all gradients uses the block's.
    Raises WorkerError if a process fails or is killed. All others have then been ended, and the
    model is as after a run that was stopped.
    """
    check_parts(model, loss, rule, optimizer, schedule)
    positive_int("epochs", epochs)
    positive_int("seed", seed, least=0)
    positive_int("evaluate_every", evaluate_every)
    _check_rule(model, rule, optimizer)
    if isinstance(rule, Backprop) and lag is not None:
        raise ValueError("with Backprop() each block waits for its gradient: leave out lag=")
    if interfaces is not None and not isinstance(rule, Backprop):
        raise ValueError(
            "interfaces= is for Backprop(); here the rule has them: "
            "SyntheticGradients(model, interfaces=...)"
        )
    train, test = checked(model, optimizer, schedule, train, test, batch_size)
    if type(train).batches is not Dataset.batches:
        raise TypeError(
            f"{type(train).__name__} makes its batches in a way of its own, and the processes "
            "would not use it: give a plain minigrad.data.Dataset(x, y)"
        )
    blocks = _blocks(model, rule, interfaces)
    _check_apart(blocks)
    if threads_per_process is None:
        threads_per_process = max(1, threads.threads() // len(blocks))
    steps = -(-len(train) // batch_size)
    lrs: list[tuple[float, float]] = []
    if schedule is not None:
        if schedule.per not in ("epoch", "step"):
            raise TypeError(
                f"{type(schedule).__name__} looks at evaluations, and here they are made after the "
                "run: give a schedule per epoch or per step"
            )
        count = epochs if schedule.per == "epoch" else epochs * steps
        factors = [schedule.factor(schedule.t + k) for k in range(count + 1)]
        lrs = [(schedule.start * factor, factor) for factor in factors]
    every = range(1, epochs + 1)
    plan = Plan(
        epochs=every,
        batch_size=batch_size,
        shuffle=shuffle,
        seed=seed,
        locked=isinstance(rule, Backprop),
        lag=None if lag is None else positive_int("lag", lag, least=0),
        lrs=lrs,
        per=schedule.per if schedule is not None else None,
        snapshots=frozenset(e for e in every if e % evaluate_every == 0 or e == epochs),
        threads=positive_int("threads_per_process", threads_per_process),
    )
    numbers = {"batch_size": batch_size, "shuffle": shuffle, "seed": seed, "lag": lag}
    numbers |= {"processes": len(blocks), "threads_per_process": threads_per_process}
    history = History(settings=settings(loss, rule, optimizer, schedule, train, **numbers))
    team = Team(model, blocks, loss, rule, optimizer, train, plan)
    bar = Bar(epochs * steps, progress)
    try:
        results = team.work(bar, history)
    finally:
        try:
            team.end()
        finally:
            bar.close(history.stopped)
            team.restore()
    line = Timeline([np.empty((0, 5)) for _ in blocks])
    if results is not None:
        # Before the evaluation: if that is interrupted, the results are in their places already.
        line = Timeline.of([result["events"] for result in results])
        team.take_back(results)
        if schedule is not None:
            schedule.t += len(lrs) - 1
            optimizer.lr = lrs[-1][0]
            rule.rescale(lrs[-1][1])
    team.evaluate(history, train, test)
    return Run(history, line)


def _check_rule(model: Layer, rule: Rule, optimizer: Optimizer) -> None:
    """An error unless the blocks, each in a process, do together what `mg.fit` would do."""
    if any(array_module(array) is not np for array in model.params.values()):
        raise TypeError(
            "the processes share memory of the host: make the model, the rule and the optimiser "
            "with the backend 'numpy'"
        )
    if _names(optimizer.model) != _names(model):
        raise ValueError(
            "the optimiser must be one of the whole model, so that it can be divided among the "
            f"blocks: {type(optimizer).__name__}(model, lr=...)"
        )
    if optimizer.average is not None:
        raise TypeError("the processes keep no EMA of the weights: leave EMA(optimizer) out")
    base: type[Rule] = SyntheticGradients if isinstance(rule, SyntheticGradients) else Backprop
    for method in ("estimate", "end_epoch", "rescale"):
        if getattr(type(rule), method) is not getattr(base, method):
            raise TypeError(
                f"the processes do not call {type(rule).__name__}.{method}: blocks in processes "
                "learn by SyntheticGradients(model) or by Backprop() themselves"
            )
    if not isinstance(rule, SyntheticGradients):
        return
    if rule.mode != "sequential" or rule.warm_up:
        raise TypeError(
            "blocks in processes learn by SyntheticGradients(model) in the mode 'sequential' and "
            f"without warm_up, or by Backprop(); got {rule!r}"
        )
    if rule.model is not model:
        raise ValueError("the rule was made for another model; make it anew for this one")


def _blocks(model: Layer, rule: Rule, interfaces: Sequence[int] | None) -> list[Block]:
    """The blocks, one for each process."""
    if not isinstance(rule, SyntheticGradients):
        return split(model, interfaces)
    inside = [id(layer) for block in rule.blocks for layer in block.layers]
    if inside != [id(layer) for layer in getattr(model, "layers", ())]:
        raise ValueError(
            "the model has got other layers since the rule was made; make the rule anew: "
            "SyntheticGradients(model)"
        )
    return rule.blocks


def _check_apart(blocks: list[Block]) -> None:
    """ValueError if two blocks share an array: each process would change a copy of its own."""
    owners: dict[int, tuple[int, str]] = {}
    for number, block in enumerate(blocks):
        names = block.keys()
        for inner, array in block.params.items():
            other, name = owners.setdefault(id(array), (number, names[inner]))
            if other != number:
                raise ValueError(
                    f"{name} and {names[inner]} are one array in two blocks, and each process has "
                    "parameters of its own: give both layers arrays of their own, or choose "
                    "interfaces so that both are in one block"
                )


def _names(model: Layer) -> dict[str, int]:
    """{a parameter's name: the id of its layer}, for all parameters."""
    return {prefix + name: id(leaf) for prefix, leaf in model.leaves() for name in leaf.params}
