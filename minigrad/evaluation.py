"""The loss and the accuracy of a model on a data set, and the history that keeps them."""

from __future__ import annotations

import math

from minigrad.arguments import a_parameter, check
from minigrad.data import Dataset
from minigrad.history import History
from minigrad.layers import Layer
from minigrad.losses import Loss

SETS = ("train", "test", "validation")
KINDS = ("loss", "accuracy", "clean_accuracy")
LISTS = [f"{name}_{kind}" for name in SETS for kind in KINDS]


def evaluate(
    model: Layer, loss: Loss, dataset: Dataset, batch_size: int = 1000
) -> tuple[float, float]:
    """(loss, accuracy), means over all examples of the set, in evaluation mode.

    A loss with reduction="sum" is a sum over all examples.

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
    sizes: float = 0
    size = getattr(loss, "size", len)  # a loss of another kind may have none
    correct = 0
    clean = 0
    at = 0
    for x, y in dataset.batches(batch_size):
        output = model.forward(x, train=False)
        weight = size(y)
        if weight:  # else all labels of this batch are ignored
            total += loss.forward(output, y) * weight
        sizes += weight
        read = output.argmax(axis=1) if dataset.kind == "labels" else None
        if read is not None:
            correct += int((read == y).sum())
        if read is not None and dataset.noisy:
            clean += int((read == dataset.clean_y[at : at + len(y)]).sum())
        at += len(y)
    if not sizes:
        loss.forward(output, y)  # its error says that no label counts
    model.drop_cache()
    loss.cache = None
    clean = clean if dataset.noisy else correct
    value = total if getattr(loss, "reduction", "mean") == "sum" else total / sizes
    if dataset.kind == "values":
        return value, math.nan, math.nan
    return value, correct / dataset.y.size, clean / dataset.y.size


def measure(
    model: Layer,
    loss: Loss,
    train: Dataset,
    test: Dataset | None,
    validation: Dataset | None = None,
) -> dict[str, float]:
    """Evaluate all sets that are given: {"train_loss": ..., "train_accuracy": ..., ...}."""
    row: dict[str, float] = {}
    for name, dataset in zip(SETS, (train, test, validation), strict=True):
        if dataset is not None:
            values = _evaluate(model, loss, dataset)
            row |= {f"{name}_{kind}": v for kind, v in zip(KINDS, values, strict=True)}
    return row


def extend(history: History, epoch: int, seconds: float, row: dict[str, float]) -> None:
    """Add one entry to the lists of a history. `row` is from `measure`.

    A run may go on with other sets than before. NaN stands where a set was not evaluated: all lists
    that are not empty are equally long.
    """
    before = len(history.epoch)
    history.epoch.append(epoch)
    history.seconds += [0.0] * (before - len(history.seconds)) + [seconds]
    for name in LISTS:
        values = getattr(history, name)
        if values or name in row:
            values += [math.nan] * (before - len(values)) + [row.get(name, math.nan)]
