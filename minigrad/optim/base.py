"""The base of all optimisers. An optimiser moves the parameters by the gradients.

It changes each parameter in place. It reads the gradients from the layers' `grads`. It skips a
layer that is frozen, or whose `grads` is empty. Each parameter has a state of its own.
"""

from __future__ import annotations

import copy
import weakref
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from minigrad import backend
from minigrad.backend import Array
from minigrad.checks import not_negative
from minigrad.layers import Layer, Sequential
from minigrad.layers.sharing import tied
from minigrad.optim.groups import Options, checked_groups, options_by_name
from minigrad.optim.loading import checked_kept, checked_lr, checked_schedule
from minigrad.optim.together import Update, move_together
from minigrad.settings import Configured
from minigrad.streams import StreamsOfParts

AVERAGE = "average/"  # in front of the names of an EMA in the state


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

    _not_searched = ("_given", "model", "state", "pending_schedule")  # no streams of its own

    state_names: tuple[str, ...] = ()  # the keys of each parameter's state
    # Of these keys, for the check of a saved state:
    array_names: tuple[str, ...] = ()  # always arrays of the parameter's shape
    count_names: tuple[str, ...] = ()  # whole numbers >= 0
    not_negative_names: tuple[str, ...] = ()  # no number below 0
    # Attributes that groups may set, besides lr_factor
    group_options: tuple[str, ...] = ()
    # The whole step in one launch on a GPU, see `together`
    formula = ""
    columns: tuple[str, ...] = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """A class with a step of its own does not inherit another one's formula."""
        super().__init_subclass__(**kwargs)
        own = vars(cls)
        if "formula" not in own and ("_update" in own or "_decayed" in own):
            cls.formula = ""

    def __init__(
        self, model: Layer, lr: float, *, groups: Mapping[Any, Mapping[str, float]] | None = None
    ):
        """
        model   all its parameters are moved. For a part of a network: SGD(net[2:], lr)
        lr      the learning rate, a number >= 0. It may be changed between two steps
        groups  {pattern of names: options of these parameters}. lr_factor multiplies lr, others
                replace the optimiser's own. Of two groups the later one counts:
                {("*.b", "*.gamma", "*.beta"): {"weight_decay": 0}, "0.*": {"lr_factor": 0.1}}
        """
        if not isinstance(model, Layer):
            raise TypeError(f"{self._is_for()}, got {_kind(model)}: pass the model")
        self.model = model
        self.lr = lr
        self._leaves = list(model.leaves())
        nets = [net for net in model.modules() if isinstance(net, Sequential)]
        self._nets = [(net, net.layers) for net in nets]
        self._look_at_parameters()
        if not self._params:
            raise ValueError(f"{self._is_for()}, and this one has none{_unregistered(model)}")
        kind = type(self).__name__
        self.groups = None if groups is None else checked_groups(groups, self.group_options, kind)
        self._options = options_by_name(self.groups or {}, self._params, self._tied)
        self.state: dict[str, dict[str, Any]] = defaultdict(dict)
        self.average: Any = None  # an EMA of the weights
        self._schedule: weakref.ref[Any] | None = None
        self.pending_schedule: dict[str, Any] | None = None  # see load_schedule_state

    def __setattr__(self, name: str, value: Any) -> None:
        """A learning rate is checked when it is set. (To read it costs nothing more.)"""
        object.__setattr__(self, name, not_negative("lr", value) if name == "lr" else value)

    def __getstate__(self) -> dict[str, Any]:
        """For copies. A schedule that is copied with it finds it again."""
        return vars(self) | {"_schedule": None}

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
        left = move_together(self, updates) if self.formula and updates else updates
        if self._options:
            self._update_groups(left)
        else:
            for param, grad, key in left:  # only after all of them fit: no half step
                self._update(param, grad, self.state[key])
        if self.average is not None and updates:
            self.average.update()

    def _update_groups(self, updates: Iterable[Update]) -> None:
        for param, grad, key in updates:
            with Options(self, self._options.get(key, {})):
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

    def twin(self, model: Layer, names: Mapping[str, str] | None = None) -> Optimizer:
        """A new optimiser with the same settings for another model. It has no state yet.

        names  for a part of the model: {a parameter's name in the part: its name in the model}
        """
        twin = copy.copy(self)
        Optimizer.__init__(twin, model, self.lr, groups=self.groups if names is None else None)
        if names is not None:
            twin.groups = self.groups
            options = {inner: self._options.get(outer) for inner, outer in names.items()}
            twin._options = {inner: dict(own) for inner, own in options.items() if own}
        return twin

    def state_dict(self) -> dict[str, Any]:
        """Copies of the state on the host: {"lr": 0.1, "0.W.velocity": array, ...}."""
        flat: dict[str, Any] = {"lr": self.lr}
        for key, state in self.state.items():
            for name, value in state.items():
                number = isinstance(value, int | float)
                flat[f"{key}.{name}"] = value if number else backend.to_host(value).copy()
        return flat if self.average is None else flat | self.average.state_dict()

    def load_state_dict(self, flat: Mapping[str, Any], *, finite: bool = True) -> None:
        """Load a state from `state_dict`. The next step then continues from there.

        All is checked first. After an error the optimiser is as it was. finite=False: also take
        moments that are NaN or infinite.
        """
        lr = checked_lr(flat, type(self).__name__)
        average = {k: v for k, v in flat.items() if str(k).startswith(AVERAGE)}
        kept = checked_kept(self, {k: v for k, v in flat.items() if k not in average}, finite)
        if self.average is not None:
            self.average.t, self.average.arrays = self.average.checked(average, finite)
        elif average:
            raise KeyError("the state has averaged weights: call EMA(optimizer, decay) before")
        self.lr = lr
        self.state = kept

    @property
    def current_schedule(self) -> Any:
        """The schedule that was made last for this optimiser, while it is in use; or None."""
        return None if self._schedule is None else self._schedule()

    def schedule_state(self) -> dict[str, Any] | None:
        """The schedule's state, for a checkpoint, or None: {"said": its repr, "t": 3, "start": 0.1}

        A state that waits for its schedule is handed on: save, load, save.
        """
        schedule = self.current_schedule
        if schedule is None:
            return None if self.pending_schedule is None else dict(self.pending_schedule)
        return {**schedule.state_dict(), "said": schedule.said()}

    def load_schedule_state(self, state: Mapping[str, Any] | None) -> None:
        """Go on with a schedule from `schedule_state`, whether it is already made or not.

        If it is made, its position is set. ValueError if it is another one. If there is none, the
        next schedule made for this optimiser goes on from the state if its repr is the same. None
        means that the saved run had no schedule: then none waits for one.
        """
        if state is None:
            self.pending_schedule = None
            return
        state = checked_schedule(state)
        schedule = self.current_schedule
        if schedule is None:
            self.pending_schedule = state
            return
        if state["said"] != schedule.said():
            raise ValueError(
                f"the saved schedule is {state['said']}, this optimiser has {schedule.said()}"
            )
        schedule.load_state_dict({k: v for k, v in state.items() if k != "said"})
        self.pending_schedule = None


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
