"""The parts of a training, and the state of each: what a checkpoint contains."""

from __future__ import annotations

import copy
import inspect
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from minigrad.backend import array_module
from minigrad.checkpoint.unsaved import drawing, drawn_by, hidden
from minigrad.early_stopping import EarlyStopping
from minigrad.layers import Layer
from minigrad.losses import Loss
from minigrad.optim import Optimizer, Schedule
from minigrad.rules import Rule

# The names in a file for attributes of layers
STILL = {"frozen": "frozen", "statistics": "keeps_statistics"}
NAMES = ("model", "optimizer", "schedule", "rule", "loss", "early_stopping")


@dataclass
class Parts:
    """A model, and what trains it. None: this part is not saved, and not loaded."""

    model: Layer | None = None
    optimizer: Optimizer | None = None
    schedule: Schedule | None = None
    rule: Rule | None = None
    loss: Loss | None = None
    early_stopping: EarlyStopping | None = None

    def given(self) -> dict[str, Any]:
        """{"model": the model, ...}, without those that are None."""
        return {name: vars(self)[name] for name in NAMES if vars(self)[name] is not None}

    def said(self) -> dict[str, str]:
        """Each part in words. Optimisers without their learning rate: that is state, it changes."""
        said = {name: repr(part) for name, part in self.given().items()}
        said = {name: re.sub(r" at 0x[0-9a-fA-F]+", "", text) for name, text in said.items()}
        for name, before in (("optimizer", r"^(\w+\(.*?)"), ("rule", r"(\boptimizer=\w+\()")):
            if name in said:
                said[name] = re.sub(before + r"\blr=[^,()]*(, )?", r"\1", said[name])
        return said

    def state(self) -> dict[str, Any]:
        """All that changes in a training: plain data, and arrays on the host."""
        parts = self.given()
        state: dict[str, Any] = {
            name: dict(part.state_dict())
            for name, part in parts.items()
            if hasattr(part, "state_dict")
        }
        if self.optimizer is not None and self.schedule is None:
            # Its schedule goes on, too, whether it is made before the state is loaded or after.
            state["schedule"] = self.optimizer.schedule_state()
        if self.model is not None:
            modules = list(self.model.modules())
            for name, attribute in STILL.items():
                state[name] = [i for i, layer in enumerate(modules) if getattr(layer, attribute)]
        streams = {name: dict(part.rng_state()) for name, part in drawing(parts)}
        state["random"] = {name: stream for name, stream in streams.items() if stream}
        return state

    def load(
        self,
        state: Mapping[str, Any],
        finite: bool,
        same_schedule: bool = True,
        then: Callable[[], Any] | None = None,
    ) -> None:
        """Set every part to `state`. If that fails, every part is as before, and an error raised.

        Copies of the parts are set to it first: what does not fit fails there. Some parts cannot be
        copied, such as a rule that has a file open. If those fail, they are set back.
        then  what else is to be done, last. If it fails, nothing has changed, either
        """
        try:
            copies = copy.deepcopy(self)
        except Exception:  # whatever the parts' own code raises
            copies = None
        if copies is not None:
            copies.set(state, finite, same_schedule)
        before = self.state()
        try:
            self.set(state, finite, same_schedule)
            if then is not None:
                then()
        except BaseException:
            self.set(before, finite=False)
            raise

    def set(self, state: Mapping[str, Any], finite: bool, same_schedule: bool = True) -> None:
        """Set every part to its state.

        finite         optimisers refuse NaN and infinite numbers
        same_schedule  the learning rate is that of the state, which a callback may have set after
                       the schedule. False: the schedule has other settings, and sets it
        """
        if self.model is not None:
            self.model.load_state_dict(state["model"])
            for name, attribute in STILL.items():  # older files do not have all
                _freeze(list(self.model.modules()), attribute, state.get(name, []))
        if self.rule is not None and self.model is not None:
            self.rule.load_state_dict(self.model, state["rule"])
        if self.optimizer is not None:
            load = self.optimizer.load_state_dict
            own = "finite" not in inspect.signature(load).parameters  # a method of one's own
            load(state["optimizer"], **({} if finite or own else {"finite": False}))
            lr = self.optimizer.lr
        if self.schedule is not None:
            self.schedule.load_state_dict(state["schedule"])
        elif self.optimizer is not None:
            self.optimizer.load_schedule_state(state["schedule"])
        if self.optimizer is not None and same_schedule:
            self.optimizer.lr = lr
        if self.early_stopping is not None and self.model is not None:
            self.early_stopping.load_state_dict(self.model, state["early_stopping"])
        streams = dict(state["random"])
        for name, part in drawing(self.given()):
            if name in streams:
                part.set_rng_state(streams.pop(name))
            elif part.rng_state():
                raise KeyError(f"the random numbers of {name} are missing")
        unknown = [name for name in streams if name.partition(" ")[0] in self.given()]
        if unknown:
            raise KeyError(f"random numbers of {unknown}, which draw none here")

    def check_finite(self, state: Mapping[str, Any]) -> None:
        """ValueError if the model or the optimiser has NaN or infinite numbers in `state`."""
        for part in {"model", "optimizer"} & self.given().keys():
            for name, value in state[part].items():
                array = np.asarray(value)
                if array.dtype.kind == "f" and not np.isfinite(array).all():
                    raise ValueError(f"{name} of the {part} has NaN or infinite numbers")

    def warn_of_unsaved(self) -> None:
        """A warning for each array and each generator that `state` does not contain."""
        names = [] if self.model is None else list(self.model.unregistered())
        if names:
            warnings.warn(
                f"the model has arrays that are neither in params nor in buffers: {names}. A "
                "checkpoint does not contain them. Write self.buffers['name'] = array",
                stacklevel=3,
            )
        warn_of_hidden(self.given())

    def device(self) -> str:
        """Where the model's parameters are: "numpy" or "cupy"."""
        arrays = list(self.model.params.values()) if self.model is not None else []
        return array_module(*arrays[:1]).__name__


def warn_of_drawn(augmentations: Mapping[str, Any]) -> None:
    """A warning if one of these functions (x, rng) -> x draws from another generator than rng."""
    places = [
        place for name, function in augmentations.items() for place in drawn_by(name, function)
    ]
    if places:
        warnings.warn(
            f"a checkpoint does not contain the random generators in {places}: a run that goes on "
            "draws other numbers. Draw from the generator that augment(x, rng) is given",
            stacklevel=3,
        )


def warn_of_hidden(parts: Mapping[str, Any]) -> None:
    """A warning if there are generators whose state no checkpoint contains."""
    if places := hidden(parts):
        warnings.warn(
            f"a checkpoint does not contain the random generators in {places}: a run that goes on "
            "draws other numbers. Keep each in an attribute of its own, self.rng = "
            "numpy.random.default_rng(seed)",
            stacklevel=4,
        )


def _freeze(layers: list[Layer], attribute: str, numbers: Any) -> None:
    """Set the attribute of the layers with these numbers to True, of all others to False."""
    if not isinstance(numbers, list) or not set(numbers) <= set(range(len(layers))):
        raise ValueError(f"{attribute} layers are a list of numbers below {len(layers)}")
    for i, layer in enumerate(layers):
        if getattr(layer, attribute) != (i in numbers):
            setattr(layer, attribute, i in numbers)
