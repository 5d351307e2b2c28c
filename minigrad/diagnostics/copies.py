"""Copies on which a diagnostic works, so that nothing of the network or the rule changes."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from minigrad.generators import COMMON, described, is_known, restored, set_to
from minigrad.layers import Layer
from minigrad.losses import Loss
from minigrad.rules import Rule
from minigrad.streams import RandomStreams, parts_of


@contextmanager
def as_before(*parts: Any) -> Iterator[None]:
    """At the end, generators that a copy shares with its original draw what they would have drawn.

    They are those behind np.random.rand() and random.random(), and those that are attributes of
    a class.
    """
    shared = [*COMMON.values(), *_of_classes(parts)]
    states = [described(generator) for generator in shared]
    try:
        with np.errstate(over="ignore", invalid="ignore"):  # of a network that has diverged
            yield
    finally:
        for generator, state in zip(shared, states, strict=True):
            set_to(generator, restored(state, "a random stream"))


def copied(*parts: Any) -> Any:
    """Deep copies of the parts, made together: what they share, their copies share.

    What layers and losses keep of their last forward is left out.
    """
    try:
        found = copy.deepcopy(parts)
    except (TypeError, NotImplementedError, AttributeError) as error:
        names = ", ".join(type(part).__name__ for part in parts)
        raise TypeError(
            f"a diagnostic works on copies, and {names} cannot be copied ({error}). "
            "copy.deepcopy(...) of each must work: write a __deepcopy__ for what cannot be copied"
        ) from error
    for part in found:
        if isinstance(part, Layer):
            part.drop_cache()
        elif isinstance(part, Loss):
            part.cache = None
    return found


def check_parts(model: Any, loss: Any, rule: Any = None) -> None:
    """TypeError unless these are a model, a loss and a rule."""
    for name, part, kind in (("model", model, Layer), ("loss", loss, Loss)):
        if not isinstance(part, kind):
            raise TypeError(
                f"{name} must be a minigrad.{kind.__name__}, got a {type(part).__name__}"
            )
    if rule is not None and not isinstance(rule, Rule):
        raise TypeError(f"rule must be a rule, as mg.rules.Backprop(), got a {type(rule).__name__}")


def moving(model: Layer) -> list[tuple[str, Layer]]:
    """(prefix, layer) of the layers with parameters that are not frozen. ValueError: none."""
    found = [(prefix, leaf) for prefix, leaf in model.leaves() if leaf.params and not leaf.frozen]
    if not found:
        raise ValueError("the model has no parameter that moves: there is no gradient to measure")
    return found


def _of_classes(parts: tuple[Any, ...]) -> list[Any]:
    """The generators that are attributes of the classes of these parts, and of what is in them."""
    inside: list[Any] = []
    for part in parts:
        inside += part.modules() if isinstance(part, Layer) else [part]
        if isinstance(part, RandomStreams):
            inside += [other for _, other in parts_of(part)]
    classes = {cls for part in inside for cls in type(part).__mro__}
    found = {id(v): v for cls in classes for v in vars(cls).values() if is_known(v)}
    return list(found.values())
