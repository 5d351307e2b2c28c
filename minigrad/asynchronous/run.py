"""Training with a process for each block."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from minigrad import threads
from minigrad.asynchronous.team import Team, WorkerError
from minigrad.asynchronous.timeline import Timeline
from minigrad.asynchronous.worker import Plan
from minigrad.backend import array_module
from minigrad.checks import positive_int
from minigrad.data import Dataset
from minigrad.history import History
from minigrad.layers import Layer
from minigrad.layers.sharing import tied
from minigrad.losses import Loss
from minigrad.optim import Optimizer, Schedule
from minigrad.rules import Backprop, Rule, SyntheticGradients
from minigrad.rules.synthetic.blocks import split
from minigrad.train import Bar, check_parts, checked, settings

__all__ = ["Run", "WorkerError", "fit"]


class Run(NamedTuple):
    """What a run gives back: a history as of `mg.fit`, and who was at work when."""

    history: History
    timeline: Timeline


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
    threads_each: int | None = None,
    progress: bool | None = None,
) -> Run:
    """Train with every block in a process of its own; activations go up through shared memory.

    rule            SyntheticGradients(model), mode "sequential": a block steps by its module's word
                    and goes on; what the block above finds teaches the module when it arrives.
                    Backprop(): the same processes, each waiting for its gradient: the lock
    lag             how many batches a block may be ahead of the answers to its predictions. 0, in
                    lock-step: the result of `mg.fit`, bit for bit with as many threads. None: it
                    never waits for an answer (only for a place where to put its activations).
                    Backprop has no lag
    interfaces      for Backprop: where to cut, as SyntheticGradients does
    threads_each    threads of each process; None: the cores shared out, one at least
    evaluate_every  epochs between two evaluations; they are made after the run, from copies of the
                    weights that are kept until then
    The rest is as in `mg.fit`. Afterwards model, optimiser, rule and schedule are as it leaves
    them; if the run was stopped (`history.stopped`), the model is as after the last epoch to be
    evaluated that all blocks had ended, and the others as before.

    Raises WorkerError when a process fails or is killed: none is left then, and the model is as
    after a run that was stopped.
    """
    check_parts(model, loss, rule, optimizer, schedule)
    positive_int("epochs", epochs)
    positive_int("seed", seed, least=0)
    positive_int("evaluate_every", evaluate_every)
    _check_rule(model, rule, optimizer)
    if isinstance(rule, Backprop) and lag is not None:
        raise ValueError("lag is for blocks that need not wait; by Backprop() each waits")
    if interfaces is not None and not isinstance(rule, Backprop):
        raise ValueError("interfaces are the rule's: SyntheticGradients(model, interfaces=...)")
    train, test = checked(model, optimizer, schedule, train, test, batch_size)
    blocks = split(model, interfaces) if isinstance(rule, Backprop) else rule.blocks
    if threads_each is None:
        threads_each = max(1, threads.threads() // len(blocks))
    steps, lrs = -(-len(train) // batch_size), []
    if schedule is not None:
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
        threads=positive_int("threads_each", threads_each),
    )
    numbers = {"batch_size": batch_size, "shuffle": shuffle, "seed": seed, "lag": lag}
    numbers |= {"processes": len(blocks), "threads_each": threads_each}
    history = History(settings=settings(loss, rule, optimizer, schedule, train, **numbers))
    bar = Bar(epochs * steps, progress)
    team = Team(model, blocks, loss, rule, optimizer, train, plan)
    try:
        results = team.work(bar, history)
    finally:
        team.end()
        bar.close(history.stopped)
        team.restore()
    line = Timeline([np.empty((0, 5)) for _ in blocks])
    if results is not None:  # first what could not be had again
        line = Timeline.of([result["events"] for result in results])
        team.take_back(results)
        if schedule is not None:
            schedule.t += len(lrs) - 1
            optimizer.lr = lrs[-1][0]
            rule.rescale(lrs[-1][1])
    team.evaluate(history, train, test)
    return Run(history, line)


def _check_rule(model: Layer, rule: Rule, optimizer: Optimizer) -> None:
    """An error unless the run can be taken apart into blocks that do what `mg.fit` would do."""
    if any(array_module(array) is not np for array in model.params.values()):
        raise TypeError("processes share the host's memory: use the backend 'numpy' for this")
    if shared := tied(model.params):
        raise ValueError(
            f"with a process for each block no two layers may share an array, as {shared} do: "
            "each process has copies of its own; use minigrad.fit"
        )
    if _names(optimizer.model) != _names(model):
        raise ValueError(
            "with a process for each block the optimiser must be one of the whole model: "
            f"{type(optimizer).__name__}(model, lr=...)"
        )
    estimate = type(rule).estimate
    if estimate is Backprop.estimate:
        return
    own = estimate is SyntheticGradients.estimate
    if not own or rule.mode != "sequential" or rule.warm_up:
        raise TypeError(
            "blocks in processes of their own learn by SyntheticGradients(model) in the mode "
            f"'sequential' without warm_up, or by Backprop(); got {rule!r}"
        )
    if rule.model is not model:
        raise ValueError("the rule's modules are another model's; make it anew for this one")


def _names(model: Layer) -> dict[str, int]:
    """{name: whose it is} of all parameters."""
    return {prefix + name: id(leaf) for prefix, leaf in model.leaves() for name in leaf.params}
