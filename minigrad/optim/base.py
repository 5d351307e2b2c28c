"""The base of all optimisers. An optimiser moves the parameters by the gradients.

It changes each parameter in place. It reads the gradients from the layers' `grads`. It skips a
layer that is frozen, or whose `grads` is empty. Each parameter has a state of its own.
"""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from minigrad import backend
from minigrad.backend import Array
from minigrad.checks import not_negative
from minigrad.layers import Layer, Sequential
from minigrad.layers.sharing import tied
from minigrad.settings import Configured
from minigrad.streams import StreamsOfParts

Update = tuple[Array, Array, str]  # parameter, gradient, name


class Optimizer(Configured, StreamsOfParts):
    """`step()` updates every parameter that has a gradient.

    To write an optimiser: `__init__(self, model, lr, ...)` calls `super().__init__(model, lr)`.
    `_update(param, grad, state)` changes `param` in place. It does not change `grad`. `state` is
    the dict of this parameter, empty at its first step. `state_names` lists its keys:

        class Momentum(Optimizer):
            state_names = ("velocity",)

            def _update(self, param, grad, state):
                velocity = state.setdefault("velocity", 0 * param)
                velocity *= 0.9
                velocity += grad
                param -= self.lr * velocity

    A shared array is one parameter. Its gradients are added up. It has one state and moves once.
    """

    state_names: tuple[str, ...] = ()  # the keys of each parameter's state

    def __init__(self, model: Layer, lr: float):
        """
        model  all its parameters are moved. For a part of a network: SGD(net[2:], lr)
        lr     the learning rate, a number >= 0. It may be changed between two steps
        """
        if not isinstance(model, Layer):
            raise TypeError(f"{self._is_for()}, got {_kind(model)}: pass the model")
        self.model = model
        self.lr = not_negative("lr", lr)
        self._leaves = list(model.leaves())
        nets = [net for net in model.modules() if isinstance(net, Sequential)]
        self._nets = [(net, net.layers) for net in nets]
        self._look_at_parameters()
        if not self._params:
            raise ValueError(f"{self._is_for()}, and this one has none{_unregistered(model)}")
        self.state: dict[str, dict[str, Any]] = defaultdict(dict)

    def _is_for(self) -> str:
        return f"{type(self).__name__}(model, lr) steps the parameters of a model"

    def _look_at_parameters(self) -> None:
        """Make the list of all parameters, and the list of names that share an array."""
        self._params = {
            prefix + name: param
            for prefix, layer in self._leaves
            for name, param in layer.params.items()
        }
        for name, param in self._params.items():
            if not hasattr(param, "__setitem__"):
                raise TypeError(
                    f"{name} is a {type(param).__name__}, and cannot change in place; make it "
                    "an array: numpy.array(...)"
                )
        self._tied = tied(self._params)

    def step(self) -> None:
        """Update every parameter that has a gradient."""
        for net, layers in self._nets:
            if net._layers is not layers:
                self.check_model()
        updates: list[Update] = []
        known = self._params
        news = False  # True: a parameter is another array than before
        for prefix, layer in self._leaves:
            grads = layer.grads
            if not grads or layer.frozen:
                continue  # no parameters, or the rule left this layer out
            params = layer.params
            if len(grads) > len(params):
                raise self._without_parameter(prefix, layer)
            for name, param in params.items():
                grad: Any = grads.get(name)
                try:
                    fits = grad.shape == param.shape
                except AttributeError:  # None, or a number
                    fits = False
                if not fits:
                    raise self._misfit(prefix, layer, name)
                key = prefix + name
                if known.get(key) is not param:
                    news = True
                updates.append((param, grad, key))
        if news:
            self._look_at_parameters()
        if self._tied:
            updates = self._added_up(updates)
        for param, grad, key in updates:  # only after all of them fit: no half step
            self._update(param, grad, self.state[key])

    def _update(self, param: Array, grad: Array, state: dict[str, Any]) -> None:
        raise NotImplementedError(f"{type(self).__name__} has no _update(param, grad, state) yet")

    def check_model(self) -> None:
        """ValueError if the model's layers have been replaced since the optimiser was made."""
        for net, layers in self._nets:
            if net._layers is not layers:
                raise ValueError(
                    "the model has got other layers since this optimiser was made. The new ones "
                    f"would never move: make it anew, {type(self).__name__}(model, lr=...)"
                )

    def _added_up(self, updates: Iterable[Update]) -> list[Update]:
        """One update for each array. The gradients of a shared array are added up."""
        sums: dict[str, Update] = {}
        for param, grad, key in updates:
            first = self._tied.get(key, key)
            if first in sums:
                grad = sums[first][1] + grad
            sums[first] = (param, grad, first)
        return list(sums.values())

    @staticmethod
    def _misfit(prefix: str, layer: Layer, name: str) -> Exception:
        who = f"{prefix}{name}: {type(layer).__name__}.backward"
        if name not in layer.grads:
            return KeyError(f"{who} wrote gradients for {sorted(layer.grads)}, not for {name!r}")
        grad = layer.grads[name]
        if not hasattr(grad, "shape"):
            return TypeError(f"{who} wrote {grad!r}, a {type(grad).__name__}, and not an array")
        return ValueError(
            f"{who} wrote a gradient of shape {grad.shape} for a parameter of shape "
            f"{layer.params[name].shape}"
        )

    @staticmethod
    def _without_parameter(prefix: str, layer: Layer) -> Exception:
        extra = sorted(layer.grads.keys() - layer.params.keys())
        return KeyError(
            f"{prefix}{type(layer).__name__}.backward wrote gradients for {extra}. They are not "
            f"in its params, {sorted(layer.params)}, and would never move"
        )

    def twin(self, model: Layer) -> Optimizer:
        """A new optimiser with the same settings for another model. It has no state yet."""
        twin = copy.copy(self)
        Optimizer.__init__(twin, model, self.lr)
        return twin

    def state_dict(self) -> dict[str, Any]:
        """Copies of the state on the host: {"lr": 0.1, "0.W.velocity": array, ...}."""
        flat: dict[str, Any] = {"lr": self.lr}
        for key, state in self.state.items():
            for name, value in state.items():
                number = isinstance(value, int | float)
                flat[f"{key}.{name}"] = value if number else backend.to_host(value).copy()
        return flat

    def load_state_dict(self, flat: Mapping[str, Any]) -> None:
        """Load a state from `state_dict`. The next step then continues from there."""
        params = self.model.params
        state: dict[str, dict[str, Any]] = defaultdict(dict)
        for full, value in flat.items():
            if full == "lr":
                continue
            key, _, name = full.rpartition(".")
            if key not in params:
                raise KeyError(f"optimiser state {full!r} fits none of {sorted(params)}")
            number = isinstance(value, int | float)
            value = backend.to_host(value)
            param = params[key]
            key = self._tied.get(key, key)
            if value.dtype.kind in "iu" and value.ndim == 0:  # a number of steps, such as Adam's t
                state[key][name] = int(value)
            elif value.ndim == 0 and (number or param.ndim):
                state[key][name] = float(value)
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
                    f"{type(self).__name__} keeps {list(self.state_names)} for each parameter; "
                    f"this state has {sorted(entry)} for {key}"
                )
        self.lr = float(flat["lr"])
        self.state = state


def _kind(value: Any) -> str:
    """What was given in place of a model, in words."""
    if isinstance(value, type):
        return f"the class {value.__name__}"
    return f"a {type(value).__name__}"


def _unregistered(model: Layer) -> str:
    """The end of the error for a model without parameters. It names arrays in attributes."""
    names = [f"self.{name}" for name in model.unregistered()]
    if not names:
        return ": it would learn nothing"
    verb = "is an array" if len(names) == 1 else "are arrays"
    return f"; {', '.join(names)} {verb} but not in params: write self.params['name'] = array"
