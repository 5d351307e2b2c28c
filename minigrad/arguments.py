"""Checks of the arguments of `fit` and `evaluate`, before the first step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad.checks import positive_int
from minigrad.data import Dataset
from minigrad.history import History
from minigrad.layers import Layer
from minigrad.losses import Loss
from minigrad.optim import Optimizer, Schedule
from minigrad.rules import Rule


def check(kind: type, name: str, value: Any, example: str, methods: tuple[str, ...] = ()) -> None:
    """TypeError unless `value` is of this kind.

    methods: an object of another class is accepted if it has all of these methods.
    """
    if isinstance(value, type):
        raise TypeError(
            f"{name} must be {_a(kind)}, got the class {value.__name__}; make one, as {example}"
        )
    duck = methods and all(callable(getattr(value, method, None)) for method in methods)
    if not isinstance(value, kind) and not duck:
        raise TypeError(f"{name} must be {_a(kind)}, got {_said(value)}; as {example}")


def check_parts(
    model: Layer,
    loss: Loss,
    rule: Rule,
    optimizer: Optimizer,
    schedule: Schedule | None = None,
    history: History | None = None,
) -> None:
    """TypeError unless each argument is of the kind that its name says."""
    check(Layer, "model", model, "mg.Sequential(*layers)")
    check(Loss, "loss", loss, "mg.CrossEntropyLoss()", ("forward", "backward"))
    check(Rule, "rule", rule, "mg.rules.Backprop()", ("estimate", "end_epoch"))
    check(Optimizer, "optimizer", optimizer, "mg.SGD(model, lr=0.1)")
    if schedule is not None:
        check(Schedule, "schedule", schedule, "mg.StepLR(optimizer, 10)")
    if history is not None:
        check(History, "history", history, "an earlier fit has returned it")


def _a(kind: type) -> str:
    """ "a Layer", "an Optimizer"."""
    return ("an " if kind.__name__[0] in "AEIOU" else "a ") + kind.__name__


def check_callable(name: str, value: Any, arguments: str) -> None:
    """TypeError unless `value` is None or a function."""
    if value is not None and not callable(value):
        raise TypeError(f"{name} must be a function of {arguments}, got {_said(value)}")


def check_flag(name: str, value: Any) -> None:
    """TypeError unless `value` is True or False. (Python takes the text "no" as true.)"""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be True or False, got {_said(value)}")


def checked(
    model: Layer,
    optimizer: Optimizer,
    schedule: Schedule | None,
    train: Dataset,
    test: Dataset | None,
    batch_size: int,
    drop_last: bool | None = None,
) -> tuple[Dataset, Dataset | None]:
    """(train, test) on the model's device and in its dtype. Raises unless all fits together.

    drop_last: None if the caller has no such argument.
    """
    positive_int("batch_size", batch_size)
    check_dataset("train", train)
    on_test = checked_set("test", test, model)
    check_alike("test", test, train)
    check_belongs(model, optimizer, schedule)
    _check_last_batch(model, len(train), batch_size, drop_last)
    return train.placed(a_parameter(model)), on_test


def check_alike(name: str, dataset: Dataset | None, train: Dataset) -> None:
    """ValueError if the examples of a further set are of another shape than those to train on.

    Their targets, too. But one set may have labels and the other one probabilities.
    """
    if dataset is None:
        return
    if dataset.x.shape[1:] != train.x.shape[1:]:
        raise ValueError(
            f"each example of the {name} set must have the shape {tuple(train.x.shape[1:])}, as in "
            f"the train set; got {tuple(dataset.x.shape[1:])}"
        )
    if dataset.kind == train.kind and dataset.y.shape[1:] != train.y.shape[1:]:
        raise ValueError(
            f"each target of the {name} set must have the shape {tuple(train.y.shape[1:])}, as in "
            f"the train set; got {tuple(dataset.y.shape[1:])}"
        )
    if dataset.names and train.names and dataset.names != train.names:
        raise ValueError(
            f"the {name} set names its classes {_few(dataset.names)}, the train set "
            f"{_few(train.names)}: one label would mean two things. Read the {name} set with "
            "names=train.names"
        )


def check_ignored(loss: Any, **sets: Dataset | None) -> None:
    """ValueError if a set has labels that do not count, and the loss would count them."""
    own = getattr(loss, "ignore_index", None)
    for name, dataset in sets.items():
        ignored = getattr(dataset, "ignore_index", None)
        if ignored is not None and own != ignored and hasattr(loss, "ignore_index"):
            raise ValueError(
                f"{name}: in the data set the label ignore_index={ignored} does not count, and the "
                f"loss has ignore_index={own}: give it the same, as "
                f"CrossEntropyLoss(ignore_index={ignored}), or leave out these examples"
            )


def checked_set(name: str, dataset: Dataset | None, model: Layer) -> Dataset | None:
    """The set on the model's device and in its dtype. None stays None."""
    if dataset is None:
        return None
    check_dataset(name, dataset)
    return dataset.placed(a_parameter(model))


def check_dataset(name: str, dataset: Any) -> None:
    """TypeError unless it is a Dataset, ValueError if it is empty."""
    check(Dataset, name, dataset, "mg.data.Dataset(x, y)")
    if len(dataset) == 0:
        raise ValueError(f"the {name} set is empty")


def check_belongs(model: Layer, optimizer: Optimizer, schedule: Schedule | None) -> None:
    """ValueError if the optimiser moves other layers than those of the model."""
    name = type(optimizer).__name__
    optimizer.check_model()
    here = {id(leaf): prefix for prefix, leaf in model.leaves()}
    stepped = {id(leaf) for _, leaf in optimizer.model.leaves()}
    if not stepped <= here.keys():
        raise ValueError(
            "the optimiser steps another model than the one to be trained; make a new one: "
            f"{name}(model, lr=...)"
        )
    part = optimizer.model
    chosen = any(part is module for module in model.modules()) or getattr(part, "is_part", False)
    left = [here[id(leaf)] for _, leaf in model.leaves() if leaf.params and id(leaf) not in stepped]
    if left and not chosen:
        raise ValueError(
            f"the optimiser steps only a part of the model. The layers {left} would never move. "
            f"Make a new one: {name}(model, lr=...). To train a part on purpose, take it from the "
            f"model: {name}(model[2:], lr=...)"
        )
    if schedule is not None and schedule.optimizer is not optimizer:
        raise ValueError("the schedule is another optimiser's; make a new one for this optimiser")


def _check_last_batch(model: Layer, examples: int, batch_size: int, drop_last: bool | None) -> None:
    """ValueError if the smallest batch is too small for a layer. BatchNorm1d needs two examples."""
    smallest = examples % batch_size or min(batch_size, examples)
    if drop_last:
        smallest = batch_size
    for layer in model.modules():
        if layer.min_batch > smallest and not layer.keeps_statistics:
            whole = examples - examples % batch_size
            advice = "choose a larger batch_size"
            if batch_size >= layer.min_batch:
                advice = "choose another batch_size"
                if whole:
                    advice += ", or drop_last=True" * (drop_last is not None)
                    advice += f", or leave the last ones out, train.take({whole})"
            raise ValueError(
                f"{type(layer).__name__} needs at least {layer.min_batch} examples in each batch. "
                f"With {examples} examples and batch_size={batch_size} the last batch has "
                f"{smallest}: {advice}"
            )


def a_parameter(model: Layer) -> Any:
    """Any parameter of the model. The data need its device and its dtype."""
    return next((a for _, layer in model.leaves() for a in layer.params.values()), None)


def why_not_finite(model: Layer, x: Any, first: bool) -> str:
    """Why the loss may not be finite, and what to do.

    first: whether it is the first step.
    """
    if not _finite(x):
        return "x has NaN or infinite values: look at the data"
    for name, array in model.state_dict().items():
        if first and not _finite(array):
            return f"{name} was not finite before the first step: look at the model's start"
    if first:
        return "no step was made before: look at the data's scale, and at the loss"
    return "a smaller lr may help"


def in_words(error: BaseException) -> str:
    """The error in one line. Its own class may be unable to say it."""
    try:
        text = " ".join(str(error).split())
    except BaseException:
        text = ""
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _finite(array: Any) -> bool:
    return array.dtype.kind != "f" or bool(np.isfinite(float(array.sum(dtype=np.float64))))


def _few(names: Sequence[str]) -> str:
    """The names, or the first ones of many."""
    return ", ".join(map(repr, names[:5])) + ", ..." * (len(names) > 5)


def _said(value: Any) -> str:
    """A value for an error: None, texts and numbers themselves, else the name of its class."""
    if value is None or isinstance(value, str | int | float):
        return repr(value)
    return type(value).__name__


def diverged(value: float, step: int, epoch: int, why: str = "a smaller lr may help") -> str:
    """The text of `history.stopped` for a loss that is not finite."""
    return f"diverged: the loss was {value} at step {step}, epoch {epoch}; {why}"
