"""Whether a network, a rule and an optimiser can be divided among processes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad.backend import array_module
from minigrad.data import Dataset
from minigrad.layers import Layer
from minigrad.optim import Optimizer, ReduceLROnPlateau, Schedule
from minigrad.rules import Backprop, Rule, SyntheticGradients
from minigrad.rules.synthetic.blocks import Block, split


def check_rule(
    model: Layer,
    rule: Rule,
    optimizer: Optimizer,
    lag: int | None,
    interfaces: Sequence[int] | None,
) -> None:
    """An error unless the blocks, each in a process, do together what `mg.fit` would do."""
    if isinstance(rule, Backprop) and lag is not None:
        raise ValueError("with Backprop() each block waits for its gradient: leave out lag=")
    if interfaces is not None and not isinstance(rule, Backprop):
        raise ValueError(
            "interfaces= is for Backprop(); here the rule has them: "
            "SyntheticGradients(model, interfaces=...)"
        )
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


def check_batches(train: Dataset, **options: Any) -> None:
    """TypeError for a data set whose batches the processes would not make.

    ValueError for options of `minigrad.fit` about them that are not the defaults.
    """
    given = [name for name, value in options.items() if value not in (None, False)]
    if given:
        raise ValueError(
            f"the processes make plain batches, without {', '.join(given)}: leave this out, or "
            "train with minigrad.fit"
        )
    if type(train).batches is not Dataset.batches:
        raise TypeError(
            f"{type(train).__name__} makes its batches in a way of its own, and the processes "
            "would not use it: give a plain minigrad.data.Dataset(x, y)"
        )


def check_schedule(schedule: Schedule | None) -> None:
    """TypeError for a schedule whose rates are not known before the run."""
    if isinstance(schedule, ReduceLROnPlateau):
        raise TypeError(
            f"{type(schedule).__name__} looks at evaluations, and here they are made after the "
            "run: give a schedule per epoch or per step"
        )


def check_saving(optimizer: Optimizer) -> None:
    """TypeError for an optimiser whose random numbers the processes would draw apart."""
    if optimizer.rng_state():
        raise TypeError(
            f"{type(optimizer).__name__} draws random numbers, and each process would draw its "
            "own. Such a run cannot be saved: leave out checkpoint=, or train with minigrad.fit"
        )


def blocks_of(model: Layer, rule: Rule, interfaces: Sequence[int] | None) -> list[Block]:
    """The blocks, one for each process."""
    if not isinstance(rule, SyntheticGradients):
        blocks = split(model, interfaces)
        _check_apart(blocks)
        return blocks
    inside = [id(layer) for block in rule.blocks for layer in block.layers]
    if inside != [id(layer) for layer in getattr(model, "layers", ())]:
        raise ValueError(
            "the model has got other layers since the rule was made; make the rule anew: "
            "SyntheticGradients(model)"
        )
    _check_apart(rule.blocks)
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


def check_no_early_stopping(early_stopping: object) -> None:
    """ValueError if there is one: the epochs are evaluated when all of them have been trained."""
    if early_stopping is not None:
        raise ValueError(
            "asynchronous.fit measures its epochs after the run, so nothing can stop it early: "
            "leave early_stopping out, or train with mg.fit"
        )
