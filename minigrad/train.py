"""Training: `fit`. One loop serves every rule, optimiser and model."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from minigrad.arguments import (
    check_alike,
    check_belongs,
    check_callable,
    check_flag,
    check_ignored,
    check_parts,
    checked,
    checked_set,
    diverged,
)
from minigrad.capture import CapturedLoop, check_suitable
from minigrad.checkpoint.parts import Parts, warn_of_drawn
from minigrad.checkpoint.run import RunFile, run_file
from minigrad.checks import positive_int
from minigrad.data import Dataset
from minigrad.data.augment import Function
from minigrad.early_stopping import EarlyStopping, check_early_stopping
from minigrad.evaluation import evaluate, trial
from minigrad.feeding import Feeding
from minigrad.history import History
from minigrad.layers import Layer
from minigrad.loop import Loop, Position
from minigrad.losses import Loss
from minigrad.metrics.named import chosen
from minigrad.optim import Optimizer, Schedule
from minigrad.progress import Bar
from minigrad.rules import Rule
from minigrad.rules.needs import check_trainable
from minigrad.rules.rates import move, rescale

__all__ = [
    "Bar",
    "check_belongs",
    "check_parts",
    "checked",
    "diverged",
    "evaluate",
    "fit",
    "move",
    "settings",
]


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
    augment: Function | Sequence[Function] | None = None,
    drop_last: bool = False,
    sampling: str | None = None,
    schedule: Schedule | None = None,
    validation: Dataset | None = None,
    evaluate_every: int = 1,
    metrics: Any = None,
    early_stopping: EarlyStopping | None = None,
    callback: Callable[[History], bool | None] | None = None,
    step_callback: Callable[[int, float], None] | None = None,
    history: History | None = None,
    checkpoint: str | Path | None = None,
    every: int | str | None = None,
    keep: int = 1,
    resume: bool = False,
    capture: bool = False,
    progress: bool | None = None,
) -> History:
    """Train for `epochs` epochs. Returns the History of the run.

    model           a network, or any layer
    loss            a Loss, such as CrossEntropyLoss(). Training makes it small
    rule            it estimates the gradients, for example rules.Backprop()
    optimizer       it moves the parameters, for example SGD(model, lr=0.1)
    train           the Dataset to learn from
    test            a Dataset, or None. It is evaluated only. Choose no settings by it
    validation      a Dataset, or None. It is evaluated only. Choose settings by it
    epochs          the number of passes through the training set, an integer >= 0
    batch_size      examples in a step, an integer >= 1. The last batch may be smaller
    shuffle         whether each epoch has a new random order
    seed            an integer >= 0. (seed, e) fixes the order of epoch e. The same seed gives the
                    same results, bit for bit. So does a run that is continued
    augment         a function (x, rng) -> x that changes each batch of the training, such as
                    data.augment.shift(2), or a list of them. It gets a copy of the batch and a
                    numpy.random.Generator, which (seed, epoch, batch) fixes. Evaluations are made
                    without it
    drop_last       whether the last batch of an epoch is left out if it is smaller
    sampling        "balanced": each class equally often in an epoch, its examples drawn with
                    replacement. "stratified": every example once, each class spread evenly over
                    the epoch. None: every example once
    schedule        it changes lr after each epoch, or with per="step" after each step, and
                    ReduceLROnPlateau after each evaluation. It also changes the rule's own
                    learning rates
    evaluate_every  epochs between two evaluations. The last epoch is always evaluated
    metrics         what else to measure: a list of names ("accuracy", "r2", "mae", "mse", "rmse",
                    "top_5") and functions f(output, y) -> number, or a dict {name: function}. Each
                    is computed over whole sets and kept in history.metrics. Before the first step
                    all are tried on the first 1000 examples of each set
    early_stopping  EarlyStopping(patience=5): it ends the run when the loss on the validation set,
                    or what else it monitors, does not improve; the best weights are restored
    callback        called with the history after each evaluation. If it returns True, the run ends
    step_callback   called with (step, loss) after each step
    history         the History of an earlier run, to continue it. That run must not have been
                    stopped within an epoch
    checkpoint      a file, "run.npz". The whole training is saved there now and then, and at the
                    end. See `minigrad.save`
    every           how often: 5 (epochs), "100 steps", "2 epochs", "30 seconds" or "5 minutes".
                    None: after each epoch, and each minute
    keep            how many checkpoints are kept. The earlier ones have "earlier" in their names
    resume          True: go on with the checkpoint if there is one, else begin. `epochs` counts
                    from the beginning of the run. The result is that of an unbroken run, bit for
                    bit, if versions, device and number of threads are the same. Callbacks are not
                    compared, nor the seeds of the first weights: the file has the weights
    capture         True: on a GPU the work of a step is recorded once, as a CUDA graph, and then
                    repeated, in place of hundreds of launches. Results are the same, bit for bit,
                    but a loss that is not finite ends the run some steps later. For
                    rules.Backprop() and SyntheticGradients, and layers that draw no random numbers
    progress        whether to show a bar. None: only if standard error is a terminal

    Ctrl-C, or a loss that is not finite, ends the run. `history.stopped` then says why. Any other
    error is raised. It has the history in its attribute `history`. Ctrl-C waits until a step is
    whole.
    """
    check_parts(model, loss, rule, optimizer, schedule, history)
    check_trainable(rule, model, loss)
    positive_int("epochs", epochs, least=0)
    positive_int("seed", seed, least=0)
    positive_int("evaluate_every", evaluate_every)
    check_flag("drop_last", drop_last)
    check_flag("resume", resume)
    check_flag("capture", capture)
    check_callable("callback", callback, "(history)")
    check_callable("step_callback", step_callback, "(step, loss)")
    train, test = checked(model, optimizer, schedule, train, test, batch_size, drop_last)
    feeding = Feeding(train, batch_size, shuffle, seed, drop_last, sampling, augment)
    validation = checked_set("validation", validation, model)
    if capture:
        check_suitable(model, rule)
    check_alike("validation", validation, train)
    check_ignored(loss, train=train, test=test, validation=validation)
    history = history if history is not None else History()
    functions = chosen(metrics)
    check_early_stopping(early_stopping)
    if functions or early_stopping is not None:
        names = trial(model, loss, train, test, validation, functions, rule)
        if early_stopping is not None:
            early_stopping.begin(names)
    said = settings(loss, rule, optimizer, schedule, train, **feeding.settings())
    if functions:
        said["metrics"] = list(functions)
    if early_stopping is not None:
        said["early_stopping"] = repr(early_stopping)
    file = run_file(
        checkpoint,
        Parts(model, optimizer, schedule, rule, loss, early_stopping),
        comparable(said, evaluate_every, moved_layers(model, optimizer)),
        every=every,
        keep=keep,
        resume=resume,
        sets={"train": train, "test": test, "validation": validation},
        functions=feeding.functions(),
    )
    found = file.begin(history, epochs) if file is not None else None
    if file is not None:
        warn_of_drawn(feeding.functions())
    if file is not None and resume and progress is not False:
        say_where(file, found)
    if found is not None:
        at = Position(**found)
    else:
        if history.stopped is not None:
            raise ValueError(
                f"this history cannot be continued: the run was {history.stopped}. Its weights may "
                "be from the middle of an epoch. If that run had a checkpoint, give the same file "
                "and resume=True. Else begin anew, with a new model and no history"
            )
        history.settings = said
        history.best_epoch = history.ended = None
        first = history.epoch[-1] if history.epoch else 0
        at = Position(first, first + 1)
        if schedule is not None:
            rescale(schedule, rule)
    steps = feeding.steps
    done = (at.epoch - 1 - at.first) * steps + at.batch
    loop = (CapturedLoop if capture else Loop)(
        model=model,
        loss=loss,
        rule=rule,
        optimizer=optimizer,
        schedule=schedule,
        feeding=feeding,
        test=test,
        validation=validation,
        evaluate_every=evaluate_every,
        metrics=functions,
        early_stopping=early_stopping,
        callback=callback,
        step_callback=step_callback,
        history=history,
        position=at,
        last=at.first + epochs,
        bar=Bar(epochs * steps, progress, done),
        file=file,
    )
    if found is None:
        loop.save_first()
    return loop.run()


def say_where(file: RunFile, position: dict[str, Any] | None) -> None:
    """Say on standard error whether the run goes on, and from where."""
    if position is None:
        text = f"{file.path} is not there yet: the run begins"
    else:
        text = f"{file.path}: the run goes on in epoch {position['epoch']}"
        if position["batch"]:
            text += f", after {position['batch']} of its steps"
    print(text, file=sys.stderr)


def comparable(
    said: dict[str, Any], evaluate_every: int, layers: list[str] | str
) -> dict[str, Any]:
    """The settings that must be the same when a run goes on. The parts are compared by themselves.

    `said` are the settings of the history, `layers` those that the optimiser moves.
    """
    parts = ("rule", "loss", "optimizer", "schedule", "examples")
    same = {name: value for name, value in said.items() if name not in parts}
    return same | {"evaluate_every": evaluate_every, "layers of the optimizer": layers}


def moved_layers(model: Layer, optimizer: Optimizer) -> list[str] | str:
    """The names in the model of the layers that the optimiser moves: ["2.", "4."], or "all"."""
    stepped = {id(leaf) for _, leaf in optimizer.model.leaves()}
    own = {prefix: leaf for prefix, leaf in model.leaves() if leaf.params}
    moved = [prefix for prefix, leaf in own.items() if id(leaf) in stepped]
    return moved if len(moved) < len(own) else "all"


def settings(
    loss: Loss,
    rule: Rule,
    optimizer: Optimizer,
    schedule: Schedule | None,
    train: Dataset,
    **numbers: Any,
) -> dict[str, Any]:
    """The settings of a run, for its history."""
    return numbers | {
        "rule": repr(rule),
        "loss": repr(loss),
        "optimizer": repr(optimizer),
        "schedule": repr(schedule) if schedule is not None else None,
        "examples": len(train),
    }
