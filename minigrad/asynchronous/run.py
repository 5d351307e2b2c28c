"""Training with one process for each block of the network."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from minigrad import threads
from minigrad.arguments import (
    check_alike,
    check_flag,
    check_ignored,
    check_parts,
    checked,
    checked_set,
)
from minigrad.asynchronous.place import Plan
from minigrad.asynchronous.presses import Presses
from minigrad.asynchronous.saving import Saver
from minigrad.asynchronous.snapshots import Snapshots
from minigrad.asynchronous.suitable import (
    blocks_of,
    check_batches,
    check_no_early_stopping,
    check_rule,
    check_saving,
    check_schedule,
)
from minigrad.asynchronous.team import Team, WorkerError
from minigrad.asynchronous.timeline import Timeline
from minigrad.checkpoint.parts import Parts
from minigrad.checkpoint.run import run_file
from minigrad.checks import positive_int, renamed
from minigrad.data import Dataset
from minigrad.evaluation import trial
from minigrad.history import History
from minigrad.layers import Layer
from minigrad.loop import Position
from minigrad.losses import Loss
from minigrad.metrics.named import chosen
from minigrad.optim import Optimizer, Schedule
from minigrad.progress import Bar
from minigrad.rules import Backprop, Rule
from minigrad.rules.needs import check_trainable
from minigrad.rules.rates import rescale
from minigrad.train import comparable, settings

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
    validation: Dataset | None = None,
    evaluate_every: int = 1,
    metrics: Any = None,
    early_stopping: None = None,
    augment: Any = None,
    drop_last: bool = False,
    sampling: Any = None,
    lag: int | None = None,
    interfaces: Sequence[int] | None = None,
    checkpoint: str | Path | None = None,
    every: int | str | None = None,
    keep: int = 1,
    resume: bool = False,
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
    checkpoint, every, keep, resume
                    as in `mg.fit`. The file has the state of all blocks after one step. There each
                    block first waits for the answers to all its predictions. In lock-step a
                    resumed run is the unbroken one, bit for bit; its timeline has the new steps
    evaluate_every  epochs between two evaluations. They are made after the run, from copies of the
                    weights; with a checkpoint, before it is written
    early_stopping  must be None: nothing is measured while the processes train
    augment, drop_last, sampling
                    not here: ValueError unless they are left out. Each process makes its batches
                    from (seed, epoch) alone
    The other arguments are those of `mg.fit`, and model, optimiser, rule and schedule are changed
    as it changes them.

    Ctrl-C, or a loss that is not finite, ends the run: `history.stopped` says why. Without a
    checkpoint only the model is then changed. It is as after the last whole epoch that was to be
    evaluated. With one, all is as in the last state of all blocks; Ctrl-C first asks for one more.
    Ctrl-C pressed again ends waiting and evaluating. It never loses the run.
    WorkerError: a process failed or was killed. All others have then been ended. This error, and
    any other, has the history in its attribute `history`, and leaves the model like Ctrl-C.
    An optimiser sees one block only: one that uses the norm of all gradients uses the block's.
    """
    check_parts(model, loss, rule, optimizer, schedule)
    positive_int("epochs", epochs)
    positive_int("seed", seed, least=0)
    positive_int("evaluate_every", evaluate_every)
    check_flag("shuffle", shuffle)
    check_flag("resume", resume)
    check_rule(model, rule, optimizer, lag, interfaces)
    check_schedule(schedule)
    check_no_early_stopping(early_stopping)
    train, test = checked(model, optimizer, schedule, train, test, batch_size)
    validation = checked_set("validation", validation, model)
    check_alike("validation", validation, train)
    check_ignored(loss, train=train, test=test, validation=validation)
    check_batches(train, augment=augment, drop_last=drop_last, sampling=sampling)
    functions = chosen(metrics)
    if functions:
        trial(model, loss, train, test, validation, functions)
    blocks = blocks_of(model, rule, interfaces)
    given: dict[str, Any] = {"batch_size": batch_size, "shuffle": shuffle, "seed": seed, "lag": lag}
    same = given | {"lag": "any" if lag is None else positive_int("lag", lag, least=0)}
    same["threads_per_process"] = threads_per_process
    if functions:
        given["metrics"] = same["metrics"] = list(functions)
    if threads_per_process is None:
        threads_per_process = max(1, threads.threads() // len(blocks))
    given |= {"processes": len(blocks), "threads_per_process": threads_per_process}
    history = History(settings=settings(loss, rule, optimizer, schedule, train, **given))
    check_trainable(rule, model, loss)
    steps = -(-len(train) // batch_size)
    if checkpoint is not None:
        check_saving(optimizer)
    file = run_file(
        checkpoint,
        Parts(model, optimizer, schedule, rule, loss),
        comparable(same, evaluate_every, "all"),
        every=every,
        keep=keep,
        resume=resume,
        sets={"train": train, "test": test, "validation": validation},
    )
    found = file.begin(history, epochs) if file is not None else None
    at = Position(**found) if found is not None else Position(0, 1)
    before = (at.epoch - 1) * steps + at.batch
    if before == epochs * steps:
        return Run(history, Timeline([np.empty((0, 5)) for _ in blocks]))
    if found is None and schedule is not None:
        rescale(schedule, rule)
    evaluated = {e for e in range(1, epochs + 1) if e % evaluate_every == 0 or e == epochs}
    saved = {e for e in range(1, epochs + 1) if file is not None and file.every.after_epoch(e)}
    plan = Plan(
        epochs=range(at.epoch, epochs + 1),
        before=before,
        batch_size=batch_size,
        shuffle=shuffle,
        seed=seed,
        locked=isinstance(rule, Backprop),
        lag=lag,
        lrs=_rates(schedule, epochs - at.epoch + 1, epochs * steps - before),
        per=schedule.per if schedule is not None else None,
        evaluated=frozenset(evaluated),
        after=frozenset(evaluated | saved),
        every=file.every.steps or 0 if file is not None else 0,
        whole=file is not None,
        threads=positive_int("threads_per_process", threads_per_process),
    )
    sets = train, test, validation
    trains = model, blocks, loss, rule, optimizer, schedule
    snapshots = Snapshots(*trains, plan, history, sets, at.trained, functions)
    saver = Saver(snapshots, file) if file is not None else None
    with Presses() as presses:
        team = Team(snapshots, plan, saver)
        if file is not None and found is None:
            file.write(history, snapshots.position(0))  # what cannot be saved is an error now
        bar = Bar(epochs * steps, progress, before)
        return _run(team, snapshots, saver, bar, presses)


def _run(team: Team, snapshots: Snapshots, saver: Saver | None, bar: Bar, presses: Presses) -> Run:
    """Let the processes do their work. Whatever stops them, what they have done is kept."""
    history = snapshots.history
    error: BaseException | None = None
    try:
        team.work(bar, presses)
    except BaseException as caught:
        error = caught
    try:
        team.end(presses)
        history.stopped = history.stopped or _what(error, team)
        bar.close(history.stopped)
        _conclude(snapshots, saver, presses)
    except BaseException as caught:
        error = error or caught
        history.stopped = history.stopped or _what(error, team)
    if presses.count and history.stopped is None:
        history.stopped = _what(KeyboardInterrupt(), team)
    if error is not None and not isinstance(error, KeyboardInterrupt):
        with suppress(AttributeError):  # not every class of errors takes attributes
            error.history = history  # type: ignore[attr-defined]
        raise error
    events = [team.events[i] for i in range(len(team.blocks)) if i in team.events]
    if len(events) < len(team.blocks):
        return Run(history, Timeline([np.empty((0, 5)) for _ in team.blocks]))
    return Run(history, Timeline.of(events))


def _rates(schedule: Schedule | None, epochs: int, steps: int) -> list[tuple[float, float]]:
    """(lr, lr/start) for each epoch or step that is left, and for the one after the last."""
    if schedule is None:
        return []
    moves = epochs if schedule.per == "epoch" else steps
    factors = [schedule.factor(schedule.t + k) for k in range(moves + 1)]
    return [(schedule.start * factor, factor) for factor in factors]


def _conclude(snapshots: Snapshots, saver: Saver | None, presses: Presses) -> None:
    """Put the last whole state in its place, extend the history up to it, and save it."""
    last = snapshots.whole()[-1:]
    for step in last:  # before the evaluation: should that fail, the results are in their places
        snapshots.put_back(step)
    try:
        snapshots.record_all(presses)
        if saver is not None:
            saver.write_last()
    finally:
        for step in last:
            snapshots.put_back(step)


def _what(error: BaseException | None, team: Team) -> str | None:
    """What has stopped the run, for `history.stopped`."""
    where = f"after step {team.made()} of the top block"
    if error is None:
        return None
    if isinstance(error, KeyboardInterrupt):
        return f"interrupted {where}"
    first = str(error).partition("\n")[0]
    return f"failed {where}: {type(error).__name__}" + (f": {first}" if first else "")
