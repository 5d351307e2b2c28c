"""The loss, the accuracy and other metrics of a model on a data set."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, cast, overload

import numpy as np

from minigrad.arguments import a_parameter, check, check_ignored, in_words
from minigrad.backend import Array, array_module, to_host
from minigrad.checks import number
from minigrad.data import Dataset
from minigrad.history import KINDS, SETS
from minigrad.layers import Layer
from minigrad.losses import BCELoss, BCEWithLogitsLoss, ElementLoss, Loss
from minigrad.metrics.classes import accuracy, answers_right, is_binary, yes_or_no
from minigrad.metrics.named import Metric, chosen, takes
from minigrad.rules import Rule

FEW = 1000  # examples for a trial before a training
THRESHOLDS: dict[type, float] = {BCELoss: 0.5, BCEWithLogitsLoss: 0.0}  # above: the answer is yes


@overload
def evaluate(
    model: Layer,
    loss: Loss,
    dataset: Dataset,
    batch_size: int = 1000,
    metrics: None = None,
    rule: Rule | None = None,
) -> tuple[float, float]: ...


@overload
def evaluate(
    model: Layer,
    loss: Loss,
    dataset: Dataset,
    batch_size: int = 1000,
    *,
    metrics: Any,
    rule: Rule | None = None,
) -> dict[str, float]: ...


def evaluate(
    model: Layer,
    loss: Loss,
    dataset: Dataset,
    batch_size: int = 1000,
    metrics: Any = None,
    rule: Rule | None = None,
) -> tuple[float, float] | dict[str, float]:
    """(loss, accuracy), means over all examples of the set, in evaluation mode.

    A loss with reduction="sum" is a sum over all examples. The accuracy is NaN where it has no
    meaning, see `right_answers`: for MSELoss, for example.

    model       a layer or a network
    loss        a Loss, such as CrossEntropyLoss()
    dataset     a Dataset. It is copied to the model's device if necessary
    batch_size  the number of examples in one forward, an integer >= 1. Each example counts the
                same, also in a smaller last batch
    metrics     a list of names ("accuracy", "r2", "mae", "mse", "rmse", "top_5") and functions
                f(output, y) -> number, or a dict {name: function}. The result is then a dict,
                {"loss": ..., name: number}. Each is computed once, over the whole set: all outputs
                are kept until then. Labels that do not count are left out of the accuracy and of
                top_k; a function with an argument `ignore_index` gets that label
    rule        the rule that trained the model. Its `outputs` are measured; they are the model's
                own, but for ForwardForward. None: the model's own
    """
    check(Layer, "model", model, "mg.Sequential(*layers)")
    check(Loss, "loss", loss, "mg.CrossEntropyLoss()", ("forward", "backward"))
    check(Dataset, "dataset", dataset, "mg.data.Dataset(x, y)")
    check_ignored(loss, dataset=dataset)
    functions = chosen(metrics)
    if rule is not None:
        check(Rule, "rule", rule, "mg.rules.ForwardForward()", ("outputs",))
    found = _evaluate(model, loss, dataset, batch_size, functions, rule=rule)
    if metrics is None:
        return found["loss"], found["accuracy"]
    return {name: found[name] for name in ("loss", *functions)}


def _evaluate(
    model: Layer,
    loss: Loss,
    dataset: Dataset,
    batch_size: int = 1000,
    functions: Mapping[str, Metric] | None = None,
    few: bool = False,
    rule: Rule | None = None,
) -> dict[str, float]:
    """{"loss", "accuracy", "clean_accuracy" and the name of each function: its value}.

    few: of the first examples alone, read as those of the whole set.
    """
    if len(dataset) == 0:
        raise ValueError("cannot evaluate on an empty data set")
    dataset = dataset.placed(a_parameter(model))
    whole_y = dataset.y
    ignored = getattr(loss, "ignore_index", dataset.ignore_index)
    if few:
        dataset = _first(dataset, ignored)
    total = 0.0
    sizes: float = 0
    size = getattr(loss, "size", len)  # a loss of another kind may have none
    reads = None
    correct_ones = np.zeros(3, int)  # answers that are right, also before noise; all that count
    asked = dict(functions or {})
    outputs: Any = None  # all of them, if anything is asked
    targets = []  # as they came: a set may have a method `batches` of its own
    at = 0
    answers = getattr(rule, "outputs", None)  # an object that only looks like a rule has none
    for x, y in dataset.batches(batch_size):
        output = answers(model, x) if answers else model.forward(x, train=False)
        weight = size(y)
        if weight:  # else all labels of this batch are ignored
            total += loss.forward(output, y) * weight
        sizes += weight
        here = slice(at, at + len(y))
        if at == 0:
            reads = right_answers(loss, output, whole_y)
        if reads is not None:
            asked.pop("accuracy", None)  # it is counted here, without labels that do not count
            clean_y = dataset.clean_y[here] if dataset.noisy else y
            correct_ones += _counted(reads, ignored, output, y, clean_y)
        if asked:
            if outputs is None:
                xp = array_module(output)
                outputs = xp.empty((len(dataset), *output.shape[1:]), output.dtype)
            outputs[here] = output
            targets.append(y)
        at += len(y)
    if not sizes and not few:
        loss.forward(output, y)  # its error says that no label counts
    model.drop_cache()
    loss.cache = None
    value = total if getattr(loss, "reduction", "mean") == "sum" else total / (sizes or math.nan)
    right, clean, of = (int(count) for count in correct_ones)
    shares = (right / of, clean / of) if of else (math.nan, math.nan)
    found = {}
    if asked:
        found = _values(asked, loss, outputs[:at], xp.concatenate(targets), ignored)
    if "accuracy" in found:  # who asks for it says that it has a meaning
        shares = (found["accuracy"],) * 2
    return dict(zip(KINDS, (value, *shares), strict=True)) | found


def _first(dataset: Dataset, ignored: int | None) -> Dataset:
    """The first examples whose labels count."""
    if ignored is None or dataset.kind != "labels":
        return dataset.take(slice(FEW))
    counts = to_host((dataset.y != ignored).reshape(len(dataset), -1).any(axis=1))
    return dataset.take(np.flatnonzero(counts)[:FEW] if counts.any() else slice(FEW))


def right_answers(loss: Loss, output: Array, y: Array) -> Callable[[Array, Array], Array] | None:
    """What a right answer is: a function (output, y) -> True or False for each. None: nothing is.

        loss                           y, of the whole set            right is
        BCELoss                        like output, only 0 and 1      (output > 1/2) = y
        BCEWithLogitsLoss              like output, only 0 and 1      (output > 0) = y
        other losses of elements       any                            nothing
        CrossEntropyLoss and others    integers (N, ...)              argmax_c output = y
        CrossEntropyLoss               probabilities (N, C, ...)      argmax_c output = argmax_c y
        a loss of your own             integers (N, ...)              argmax_c output = y

    Losses of elements are MSELoss, L1Loss, HuberLoss, KLDivLoss and what is derived from
    `losses.ElementLoss`. Output is (N, C, ...). With anything else nothing is right or wrong.
    """
    threshold = _threshold(loss)
    if threshold is not None:
        return partial(yes_or_no, threshold=threshold) if is_binary(y) else None
    if y.dtype.kind in "iu":
        if y.shape[1:] == output.shape[2:] and output.ndim == y.ndim + 1:
            return answers_right
        return None
    one_of_several = getattr(loss, "takes_probabilities", False) and y.shape[1:] == output.shape[1:]
    if isinstance(loss, ElementLoss) or not one_of_several:
        return None
    return lambda output, y: answers_right(output, y.argmax(axis=1))


def _threshold(loss: Loss) -> float | None:
    """Above which output the answer is yes. None: the loss is not for yes or no."""
    return next((t for kind, t in THRESHOLDS.items() if isinstance(loss, kind)), None)


def _counted(
    reads: Callable[[Array, Array], Array],
    ignored: int | None,
    output: Array,
    y: Array,
    clean_y: Array,
) -> np.ndarray:
    """How many answers are right, how many by the labels before noise, how many there are.

    ignored: the label that does not count.
    """
    right = reads(output, y)
    clean = reads(output, clean_y) if clean_y is not y else None
    of = right.size
    if ignored is not None and y.dtype.kind in "iu":
        counts = y != ignored
        of = int(counts.sum())
        right = right & counts
        clean = clean & counts if clean is not None else None
    number = int(right.sum())
    return np.array([number, number if clean is None else int(clean.sum()), of])


def _values(
    functions: Mapping[str, Metric], loss: Loss, outputs: Array, y: Array, ignored: int | None
) -> dict[str, float]:
    """{name: value} of each metric on a whole set. ValueError, with its name, if one fails."""
    found = {}
    for name, function in functions.items():
        try:
            if function is accuracy and _threshold(loss) is not None:
                function = partial(accuracy, threshold=_threshold(loss))
            elif ignored is not None and y.dtype.kind in "iu" and takes(function, "ignore_index"):
                function = partial(cast(Any, function), ignore_index=ignored)
            value: Any = function(outputs, y)
            found[name] = float(number("its value", value))
        except Exception as error:
            raise ValueError(
                f"the metric {name!r} failed: {in_words(error)} (it was called with output "
                f"{tuple(outputs.shape)} and y {tuple(y.shape)}, and must return one number)"
            ) from error
    return found


def measure(
    model: Layer,
    loss: Loss,
    train: Dataset,
    test: Dataset | None,
    validation: Dataset | None = None,
    functions: Mapping[str, Metric] | None = None,
    few: bool = False,
    rule: Rule | None = None,
) -> dict[str, float]:
    """Evaluate all sets that are given: {"train_loss": ..., "train_accuracy": ..., ...}.

    Accuracies that have no meaning are left out. The metrics are "train_mae" and so on. few: only
    the first examples of each set. rule: it says how the model is used.
    """
    row: dict[str, float] = {}
    for name, dataset in zip(SETS, (train, test, validation), strict=True):
        if dataset is None:
            continue
        values = _evaluate(model, loss, dataset, functions=functions, few=few, rule=rule)
        for kind, value in values.items():
            if kind not in KINDS[1:] or not math.isnan(value):
                row[f"{name}_{kind}"] = value
    return row


def trial(
    model: Layer,
    loss: Loss,
    train: Dataset,
    test: Dataset | None,
    validation: Dataset | None,
    functions: Mapping[str, Metric],
    rule: Rule | None = None,
) -> list[str]:
    """The names of what will be measured, found by measuring the first 1000 examples of each set.

    A metric that cannot be computed is an error here, before the first step.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        sets = train, test, validation
        return list(measure(model, loss, *sets, functions, few=True, rule=rule))
