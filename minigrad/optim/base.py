"""What every optimiser is: what to do with a gradient once a rule has made one.

An optimiser needs only a model's `leaves()`, their `params` and their `grads`, wherever these come
from. It steps in place, and skips a layer whose `grads` is empty. State is kept by parameter name.
"""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from minigrad import backend
from minigrad.backend import Array
from minigrad.checks import not_negative
from minigrad.layers import Layer


class Optimizer:
    """Base of the optimisers: `step()` updates every parameter that has a gradient."""

    state_names: tuple[str, ...] = ()  # what `_update` keeps for each parameter

    def __init__(self, model: Layer, lr: float):
        self.model = model
        self.lr = not_negative("lr", lr)
        self._leaves = list(model.leaves())
        for prefix, layer in self._leaves:
            for name, param in layer.params.items():
                if not hasattr(param, "__setitem__"):
                    raise TypeError(
                        f"{prefix}{name} is a {type(param).__name__}, which cannot change in "
                        "place; make it an array: numpy.array(...)"
                    )
        self.state: dict[str, dict[str, Any]] = defaultdict(dict)

    def step(self) -> None:
        """One update of every parameter whose layer has gradients."""
        updates = []
        for prefix, layer in self._leaves:
            grads = layer.grads
            if not grads:
                continue  # no parameters, or the rule left this layer out
            for name, param in layer.params.items():
                grad = grads.get(name)
                if grad is None or grad.shape != param.shape:
                    raise self._misfit(prefix, layer, name)
                updates.append((param, grad, prefix + name))
        for param, grad, key in updates:  # only once all of them fit: no half step
            self._update(param, grad, self.state[key])

    def _update(self, param: Array, grad: Array, state: dict[str, Any]) -> None:
        raise NotImplementedError

    @staticmethod
    def _misfit(prefix: str, layer: Layer, name: str) -> Exception:
        who = f"{prefix}{name}: {type(layer).__name__}.backward"
        if name not in layer.grads:
            return KeyError(f"{who} wrote gradients for {sorted(layer.grads)}, not for {name!r}")
        return ValueError(
            f"{who} wrote a gradient of shape {layer.grads[name].shape} for a parameter of "
            f"shape {layer.params[name].shape}"
        )

    def twin(self, model: Layer) -> Optimizer:
        """An optimiser with the same settings, without state, for another model."""
        twin = copy.copy(self)
        Optimizer.__init__(twin, model, self.lr)
        return twin

    def state_dict(self) -> dict[str, Any]:
        """Copies of the state on the host, flat: {"lr": 0.1, "0.W.velocity": array, ...}."""
        flat: dict[str, Any] = {"lr": self.lr}
        for key, state in self.state.items():
            for name, value in state.items():
                number = isinstance(value, int | float)
                flat[f"{key}.{name}"] = value if number else backend.to_host(value).copy()
        return flat

    def load_state_dict(self, flat: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave; the next step is then the one that it would do."""
        params = self.model.params
        state: dict[str, dict[str, Any]] = defaultdict(dict)
        for full, value in flat.items():
            if full == "lr":
                continue
            key, _, name = full.rpartition(".")
            if key not in params:
                raise KeyError(f"optimiser state {full!r} fits none of {sorted(params)}")
            value, param = backend.to_host(value), params[key]
            if value.dtype.kind in "iu":  # Adam's t
                state[key][name] = int(value)
            elif value.shape != param.shape or value.dtype != param.dtype:
                raise ValueError(
                    f"{full}: expected {param.dtype} of shape {param.shape}, got {value.dtype} of "
                    f"shape {value.shape}"
                )
            else:
                state[key][name] = backend.to_device(value.copy(), like=param)
        for key, entry in state.items():
            if entry.keys() != set(self.state_names):
                raise KeyError(
                    f"{type(self).__name__} keeps {list(self.state_names)} for each parameter, "
                    f"this state has {sorted(entry)} for {key}"
                )
        self.lr, self.state = float(flat["lr"]), state
