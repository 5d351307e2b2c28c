"""What a learning rule is: anything that fills in a network's gradients."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from minigrad.backend import Array
from minigrad.checks import check_state
from minigrad.layers import Layer
from minigrad.losses import Loss
from minigrad.rules.reseeding import reseed_parts
from minigrad.streams import StreamsOfParts


class Rule(StreamsOfParts):
    """A way to get gradients: a rule estimates, an optimiser steps.

    To write a rule, derive from `Rule` and write `estimate`. It fills every layer's `grads` with an
    estimate of the loss's gradient, and it never changes a parameter. A layer whose `grads` is {}
    is left out of this step: the optimiser skips it.
    A rule that changes what another rule estimates is derived from `Wrapper`.
    """

    cost: float = math.nan  # the work of one step; 1 is that of one forward pass
    _old_arguments: tuple[str, ...] = ()  # old names of arguments, which the repr leaves out

    def estimate(self, model: Layer, loss: Loss, x: Array, target: Array) -> float:
        """Fill the layers' `grads` for this batch. Returns the batch's mean loss."""
        raise NotImplementedError(f"{type(self).__name__} has no estimate(...) yet")

    def why_not(self, model: Layer, loss: Loss | None = None) -> str | None:
        """Why this rule cannot train this model with this loss: one sentence, with what to do.

        None: it can. `fit` asks before the first step, and makes an error of the sentence. It
        changes nothing, and looks at no data. loss=None: only the model is looked at.
        """
        return None

    def end_epoch(self) -> None:
        """`fit` calls this after each epoch. Rules that keep statistics use it."""

    def rescale(self, factor: float) -> None:
        """`fit` calls this with lr(t)/lr(0) when its schedule has changed the optimiser's lr.

        A rule with learning rates of its own multiplies their first values by the factor.
        """

    def reseed(self, seed: int) -> None:
        """Restart the rule's random numbers from `seed`. What it has drawn before stays.

        Generators in attributes are found, also in dicts and lists there, and things with a
        `reseed` of their own: a wrapped rule, a DirectionSampler. A rule that draws in another way
        overrides this, so that other seeds give other numbers. Diagnostics call it, on copies.
        """
        reseed_parts(self, seed)

    def state_dict(self) -> dict[str, Any]:
        """What the rule has learned or measured: a flat dict, on the host. {} for most rules."""
        return {}

    def load_state_dict(self, model: Layer, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave. The next estimate is then the same.

        After an error the rule must be as it was: check all of the state first.
        """
        check_state(type(self).__name__, state)
        if state:
            got = sorted(map(str, state))[:5]
            raise KeyError(f"{type(self).__name__} keeps nothing, this state has {got}")

    def __repr__(self) -> str:
        """The call that makes such a rule, with every argument.

        It takes the arguments of `__init__` from attributes of the same names.
        """
        said = []
        for name, parameter in inspect.signature(type(self).__init__).parameters.items():
            several = parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
            if name == "self" or several or name in self._old_arguments:
                continue
            if hasattr(self, name):
                said.append(f"{name}={_said(getattr(self, name))}")
        return f"{type(self).__name__}({', '.join(said)})"


def _said(value: Any) -> str:
    """An argument as it is typed; "..." for an array, a network or a function without a name."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, tuple):
        inside = [_said(item) for item in value]
        return f"({inside[0]},)" if len(inside) == 1 else f"({', '.join(inside)})"
    if isinstance(value, list):
        return f"[{', '.join(_said(item) for item in value)}]"
    if value is None or isinstance(value, bool | int | float | str | Rule):
        return repr(value)
    if callable(value):
        return getattr(value, "__name__", "...")
    if isinstance(value, Mapping | Layer) or hasattr(value, "shape"):
        return "..."
    text = repr(value)
    return "..." if "\n" in text or " at 0x" in text else text
