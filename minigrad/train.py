"""Training and evaluation. One loop serves every rule, optimiser and model."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad.arguments import (
    a_parameter,
    check,
    check_belongs,
    check_callable,
    check_flag,
    check_parts,
    checked,
    checked_set,
    why_not_finite,
)
from minigrad.checks import positive_int
from minigrad.data import Dataset
from minigrad.history import History
from minigrad.layers import Layer
from minigrad.losses import Loss
from minigrad.optim import Optimizer, Schedule
from minigrad.progress import Bar
from minigrad.rules import Rule

__all__ = [
    "Bar",
    "check_belongs",
    "check_parts",
    "checked",
    "diverged",
    "evaluate",
    "fit",
    "move",
    "record",
    "settings",
]


def evaluate(
    model: Layer, loss: Loss, dataset: Dataset, batch_size: int = 1000
) -> tuple[float, float]:
    """(loss, accuracy), means over all examples of the set, in evaluation mode.

    model       a layer or a network
    loss        a Loss, such as CrossEntropyLoss()
    dataset     a Dataset. It is copied to the model's device if necessary
    batch_size  the number of examples in one forward, an integer >= 1. Each example counts the
                same, also in a smaller last batch
    """
    check(Layer, "model", model, "mg.Sequential(*layers)")
    check(Loss, "loss", loss, "mg.CrossEntropyLoss()", ("forward", "backward"))
    check(Dataset, "dataset", dataset, "mg.data.Dataset(x, y)")
    return _evaluate(model, loss, dataset, batch_size)[:2]


def _evaluate(
    model: Layer, loss: Loss, dataset: Dataset, batch_size: int = 1000
) -> tuple[float, float, float]:
    """(loss, accuracy, accuracy with the labels before noise)."""
    if len(dataset) == 0:
        raise ValueError("cannot evaluate on an empty data set")
    dataset = dataset.placed(a_parameter(model))
    total = 0.0
    correct = 0
    clean = 0
    at = 0
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
    validation: Dataset | None = None,
    evaluate_every: int = 1,
    callback: Callable[[History], bool | None] | None = None,
    step_callback: Callable[[int, float], None] | None = None,
    history: History | None = None,
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
    schedule        it changes lr after each epoch, or with per="step" after each step. It also
                    changes the rule's own learning rates
    evaluate_every  epochs between two evaluations. The last epoch is always evaluated
    callback        called with the history after each evaluation. If it returns True, the run ends
    step_callback   called with (step, loss) after each step
    history         the History of an earlier run, to continue it. That run must not have been
                    stopped within an epoch
    progress        whether to show a bar. None: only if standard error is a terminal

    Ctrl-C, or a loss that is not finite, ends the run. `history.stopped` then says why.
    """
    check_parts(model, loss, rule, optimizer, schedule, history)
    positive_int("epochs", epochs, least=0)
    positive_int("seed", seed, least=0)
    positive_int("evaluate_every", evaluate_every)
    check_flag("shuffle", shuffle)
    check_callable("callback", callback, "(history)")
    check_callable("step_callback", step_callback, "(step, loss)")
    train, test = checked(model, optimizer, schedule, train, test, batch_size)
    validation = checked_set("validation", validation, model)
    history = history if history is not None else History()
    if history.stopped is not None:
        raise ValueError(
            f"this history cannot be continued: the run was {history.stopped}. Its weights are "
            "from the middle of an epoch"
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
    epoch = first
    before = step = len(history.step_loss)
    try:
        # A diverging run overflows. The loss shows this below, so NumPy need not warn.
        with np.errstate(over="ignore", invalid="ignore"):
            for epoch in range(first + 1, first + epochs + 1):
                started = time.perf_counter()
                rng = np.random.default_rng((seed, epoch)) if shuffle else None
                for x, y in train.batches(batch_size, rng):
                    value = rule.estimate(model, loss, x, y)
                    history.step_loss.append(value)
                    if not math.isfinite(value):
                        why = why_not_finite(model, x, first=step == before)
                        history.stopped = diverged(value, step + 1, epoch, why)
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
                    record(history, model, loss, epoch, train, test, trained, validation)
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


def move(schedule: Schedule | None, rule: Rule) -> None:
    """Move the schedule on by one, if there is one. The rule's own learning rates follow."""
    if schedule is not None:
        schedule.step()
        _rescale(schedule, rule)


def _rescale(schedule: Schedule, rule: Rule) -> None:
    """Multiply the rule's own learning rates, if it has any, by the schedule's factor."""
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
    """The settings of a run, for its history."""
    return numbers | {
        "rule": repr(rule),
        "loss": repr(loss),
        "optimizer": repr(optimizer),
        "schedule": repr(schedule) if schedule is not None else None,
        "examples": len(train),
    }


def diverged(value: float, step: int, epoch: int, why: str = "a smaller lr may help") -> str:
    """The text of `history.stopped` for a loss that is not finite."""
    return f"diverged: the loss was {value} at step {step}, epoch {epoch}; {why}"


def record(
    history: History,
    model: Layer,
    loss: Loss,
    epoch: int,
    train: Dataset,
    test: Dataset | None,
    seconds: float,
    validation: Dataset | None = None,
) -> None:
    """Evaluate all sets, then extend all lists. After an interrupt they are still equally long."""
    on_train = _evaluate(model, loss, train)
    on_test = _evaluate(model, loss, test) if test is not None else None
    on_validation = _evaluate(model, loss, validation) if validation is not None else None
    history.epoch.append(epoch)
    history.seconds.append(seconds)
    history.train_loss.append(on_train[0])
    history.train_accuracy.append(on_train[1])
    history.train_clean_accuracy.append(on_train[2])
    if on_test is not None:
        history.test_loss.append(on_test[0])
        history.test_accuracy.append(on_test[1])
        history.test_clean_accuracy.append(on_test[2])
    if on_validation is not None:
        history.validation_loss.append(on_validation[0])
        history.validation_accuracy.append(on_validation[1])
        history.validation_clean_accuracy.append(on_validation[2])
