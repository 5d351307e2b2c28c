"""Training and evaluation: any rule, any optimiser, any model, one loop."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad.checks import positive_int
from minigrad.data import Dataset
from minigrad.history import History
from minigrad.layers import Layer
from minigrad.losses import Loss
from minigrad.optim import Optimizer, Schedule
from minigrad.rules import Rule


def evaluate(
    model: Layer, loss: Loss, dataset: Dataset, batch_size: int = 1000
) -> tuple[float, float]:
    """(loss, accuracy): means over all examples of the set, in evaluation mode.

    Each batch counts by its number of examples, so a smaller last batch is not over-weighted.
    """
    return _evaluate(model, loss, dataset, batch_size)[:2]


def _evaluate(
    model: Layer, loss: Loss, dataset: Dataset, batch_size: int = 1000
) -> tuple[float, float, float]:
    """(loss, accuracy, accuracy by the labels without noise)."""
    if len(dataset) == 0:
        raise ValueError("cannot evaluate on an empty data set")
    dataset = dataset.placed(a_parameter(model))
    total, correct, clean, at = 0.0, 0, 0, 0
    for x, y in dataset.batches(batch_size):
        output = model.forward(x, train=False)
        total += loss.forward(output, y) * len(y)
        read = output.argmax(axis=1)
        correct += int((read == y).sum())
        if dataset.noisy:
            clean += int((read == dataset.clean_y[at : at + len(y)]).sum())
        at += len(y)
    model.drop_cache()
    loss.cache = None
    clean = clean if dataset.noisy else correct
    return total / len(dataset), correct / len(dataset), clean / len(dataset)


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
    callback: Callable[[History], bool | None] | None = None,
    step_callback: Callable[[int, float], None] | None = None,
    history: History | None = None,
    progress: bool | None = None,
) -> History:
    """Train for `epochs` epochs; returns what was measured, and never loses it.

    seed            the order of the data: epoch e's is drawn from (seed, e), so the same seed
                    gives the same curve bit for bit, and a continued run the same as a whole one
    schedule        stepped after each epoch, or each step if it says per="step"; learning rates
                    that the rule has of its own move with it
    evaluate_every  epochs between two evaluations on both whole sets; the last is always evaluated
    callback        called with the history after each evaluation; return True to stop there
    step_callback   called with (step, loss) after each step
    history         a run to continue, if it was not stopped in mid-epoch: its epochs are counted,
                    its lists extended
    progress        the bar; None shows it where standard error is a terminal

    Ctrl-C, or a loss that is no longer finite, ends the run cleanly: `history.stopped` says so.
    """
    positive_int("epochs", epochs, least=0)
    positive_int("evaluate_every", evaluate_every)
    train, test = checked(model, optimizer, schedule, train, test, batch_size)
    history = history if history is not None else History()
    if history.stopped is not None:
        raise ValueError(
            f"this history cannot be continued: the run was {history.stopped}; its weights are "
            "those of the middle of an epoch"
        )
    history.settings = settings(
        loss, rule, optimizer, schedule, train, batch_size=batch_size, shuffle=shuffle, seed=seed
    )
    first = history.epoch[-1] if history.epoch else 0
    steps = -(-len(train) // batch_size)
    bar = Bar(epochs * steps, progress)
    per = schedule.per if schedule is not None else None
    if schedule is not None:
        _rescale(schedule, rule)
    trained = 0.0  # seconds since the last evaluation
    epoch, step = first, len(history.step_loss)
    try:
        # A diverging run overflows; its loss says so below, NumPy need not warn as well.
        with np.errstate(over="ignore", invalid="ignore"):
            for epoch in range(first + 1, first + epochs + 1):
                started = time.perf_counter()
                rng = np.random.default_rng((seed, epoch)) if shuffle else None
                for x, y in train.batches(batch_size, rng):
                    value = rule.estimate(model, loss, x, y)
                    history.step_loss.append(value)
                    if not math.isfinite(value):
                        history.stopped = diverged(value, step + 1, epoch)
                        return history
                    optimizer.step()
                    step += 1
                    if per == "step":
                        move(schedule, rule)
                    if step_callback is not None:
                        step_callback(step, value)
                    bar.update(value)
                rule.end_epoch()
                if per == "epoch":
                    move(schedule, rule)
                trained += time.perf_counter() - started
                if (epoch - first) % evaluate_every == 0 or epoch == first + epochs:
                    record(history, model, loss, epoch, train, test, trained)
                    trained = 0.0
                    bar.evaluated(history)
                    if not math.isfinite(history.train_loss[-1]):
                        history.stopped = diverged(history.train_loss[-1], step, epoch)
                        break
                    if callback is not None and callback(history):
                        break
    except KeyboardInterrupt:
        history.stopped = f"interrupted in epoch {epoch}, after step {step}"
    finally:
        bar.close(history.stopped)
        model.drop_cache()
        loss.cache = None
    return history


def move(schedule: Schedule, rule: Rule) -> None:
    """One step of the schedule, for the rule's own learning rates too."""
    schedule.step()
    _rescale(schedule, rule)


def _rescale(schedule: Schedule, rule: Rule) -> None:
    """The rule's own learning rates, if it has any, where the schedule is."""
    if hasattr(rule, "rescale"):
        rule.rescale(schedule.factor(schedule.t))


def settings(
    loss: Loss,
    rule: Rule,
    optimizer: Optimizer,
    schedule: Schedule | None,
    train: Dataset,
    **numbers: Any,
) -> dict[str, Any]:
    """What a run was made with, for its history."""
    return numbers | {
        "rule": repr(rule),
        "loss": repr(loss),
        "optimizer": repr(optimizer),
        "schedule": type(schedule).__name__ if schedule is not None else None,
        "examples": len(train),
    }


def checked(
    model: Layer,
    optimizer: Optimizer,
    schedule: Schedule | None,
    train: Dataset,
    test: Dataset | None,
    batch_size: int,
) -> tuple[Dataset, Dataset | None]:
    """The data where the model is, in its dtype; an error unless all fits together."""
    positive_int("batch_size", batch_size)
    for name, dataset in (("train", train), ("test", test)):
        if dataset is None and name == "test":
            continue
        if not isinstance(dataset, Dataset):
            raise TypeError(
                f"{name} must be a Dataset, got {type(dataset).__name__}; make one with "
                "minigrad.data.Dataset(x, y)"
            )
        if len(dataset) == 0:
            raise ValueError(f"the {name} set is empty")
    check_belongs(model, optimizer, schedule)
    like = a_parameter(model)
    return train.placed(like), test.placed(like) if test is not None else None


def check_belongs(model: Layer, optimizer: Optimizer, schedule: Schedule | None) -> None:
    """ValueError when the optimiser would step another model: nothing would be learned."""
    inside = {id(leaf) for _, leaf in model.leaves()}
    if not all(id(leaf) in inside for _, leaf in optimizer.model.leaves()):
        raise ValueError(
            "the optimiser steps another model than the one to be trained; make it anew: "
            f"{type(optimizer).__name__}(model, lr=...)"
        )
    if schedule is not None and schedule.optimizer is not optimizer:
        raise ValueError("the schedule is another optimiser's; make it anew for this one")


def diverged(value: float, step: int, epoch: int) -> str:
    """Why a run whose loss is no longer finite was stopped."""
    return f"diverged: the loss was {value} at step {step}, epoch {epoch}; a smaller lr may help"


def record(
    history: History,
    model: Layer,
    loss: Loss,
    epoch: int,
    train: Dataset,
    test: Dataset | None,
    seconds: float,
) -> None:
    """Evaluate on both sets first, then extend all lists: an interrupt leaves none longer."""
    on_train = _evaluate(model, loss, train)
    on_test = _evaluate(model, loss, test) if test is not None else None
    history.epoch.append(epoch)
    history.seconds.append(seconds)
    history.train_loss.append(on_train[0])
    history.train_accuracy.append(on_train[1])
    history.train_clean_accuracy.append(on_train[2])
    if on_test is not None:
        history.test_loss.append(on_test[0])
        history.test_accuracy.append(on_test[1])
        history.test_clean_accuracy.append(on_test[2])


def a_parameter(model: Layer) -> Any:
    """Some parameter of the model: it tells where the data must be, and in which dtype."""
    return next((a for _, layer in model.leaves() for a in layer.params.values()), None)


class Bar:
    """A progress bar: tqdm with the loss and the speed, written to at most ten times a second."""

    def __init__(self, steps: int, show: bool | None):
        from tqdm import tqdm

        hide = not (sys.stderr.isatty() if show is None else show)
        self.bar = tqdm(total=steps, disable=hide, unit="step", dynamic_ncols=True, leave=False)
        self.hidden, self.tail, self.written, self.pending = hide, "", 0.0, 0

    def update(self, value: float, steps: int = 1) -> None:
        if self.hidden:
            return
        self.pending += steps
        now = time.perf_counter()
        if now - self.written > 0.1:
            self.bar.set_postfix_str(f"loss {value:.4f}{self.tail}", refresh=False)
            self.bar.update(self.pending)
            self.written, self.pending = now, 0

    def evaluated(self, history: History) -> None:
        accuracy = history.test_accuracy or history.train_accuracy
        kind = "test" if history.test_accuracy else "train"
        self.tail = f", epoch {history.epoch[-1]}: {kind} accuracy {accuracy[-1]:.4f}"

    def close(self, stopped: str | None) -> None:
        self.bar.update(self.pending)
        self.bar.close()
        if stopped:
            print(stopped, file=sys.stderr)
