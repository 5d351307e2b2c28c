"""A whole step on the host. It gives what `_update` gives, bit for bit, in less time.

The formulas are in kernels/steps.py. A large parameter goes through the cache piece by piece. Small
ones (biases, batch norm's γ and β) would cost more calls of NumPy than work: those with the same
options are copied into one long array, move together, and are copied back. The arrays of their
state are views of long arrays, so that these need no copy.

Parameters, states and options are looked at once, and again when an array has been replaced.
"""

from __future__ import annotations

from operator import is_
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from minigrad.backend import Array
from minigrad.kernels.memory import in_memory_order, is_dense, laid_like
from minigrad.kernels.steps import move
from minigrad.kernels.switch import form
from minigrad.optim.groups import Options

Update = tuple[Array, Array, str]  # parameter, gradient, name

SMALL = 2**12  # numbers. A larger parameter moves alone
NUMBERS = (np.float32, np.float64)


class Part:
    """A parameter that moves alone, or several that move as one long array."""

    def __init__(self, places: list[int], params: list[Array], states: list[Any], keys: Any):
        self.places = places  # in the list of updates
        self.param = params[0]
        self.in_order = params[0].flags.c_contiguous
        self.flats = [in_memory_order(param) for param in params]
        self.long: Array | None = None
        if len(params) == 1:
            self.columns = [key and in_memory_order(states[0][key]) for key in keys]
            return
        self.long = np.concatenate(self.flats)
        self.gradient = np.empty_like(self.long)
        self.columns = [key and self._joined(states, key) for key in keys]
        ends = np.cumsum([flat.size for flat in self.flats])
        self.pieces = list(zip(self.flats, np.split(self.long, ends[:-1]), strict=True))

    def _joined(self, states: list[Any], key: str) -> Array:
        """The arrays of all states as one. Each state then has a view of it."""
        arrays = [state[key] for state in states]
        long = np.concatenate([array.reshape(-1) for array in arrays])
        start = 0
        for state, array in zip(states, arrays, strict=True):
            state[key] = long[start : start + array.size].reshape(array.shape)
            start += array.size
        return long

    def move(self, formula: str, flags: int, numbers: list[Array], grads: list[Array]) -> None:
        if self.long is None:
            grad = grads[self.places[0]]
            if self.in_order:
                grad = grad.reshape(-1)
            else:
                grad = in_memory_order(laid_like(grad, self.param))
            move(formula, flags, numbers, self.flats[0], grad, self.columns)
            return
        np.concatenate([grads[i] for i in self.places], axis=None, out=self.gradient)
        np.concatenate(self.flats, out=self.long)
        move(formula, flags, numbers, self.long, self.gradient, self.columns)
        for flat, piece in self.pieces:
            flat[...] = piece


class Group:
    """Parameters of one dtype, with the same options, that have made the same number of steps."""

    def __init__(self, dtype: Any, options: tuple[tuple[str, float], ...]):
        self.dtype = dtype
        self.options = dict(options)
        self.states: list[dict[str, Any]] = []
        self.parts: list[Part] = []

    def in_step(self) -> bool:
        """Whether all of them still have made the same number of steps."""
        return len({state.get("t") for state in self.states}) == 1

    def move(self, optimizer: Any, grads: list[Array]) -> None:
        """Count a step, and make it."""
        t = self.states[0].get("t")
        if t is not None:
            t += 1
            for state in self.states:
                state["t"] = t
        if self.options:
            with Options(optimizer, self.options):
                flags, numbers = optimizer._numbers(t or 0)
        else:
            flags, numbers = optimizer._numbers(t or 0)
        constants = [np.array(number, self.dtype) for number in numbers]
        for part in self.parts:
            part.move(optimizer.formula, flags, constants, grads)


class Step:
    """The last step: which arrays it was made of, and what is to be done with them."""

    def __init__(self, optimizer: Any, updates: list[Update], join: bool):
        """join: whether small parameters move together."""
        self.params = [param for param, _, _ in updates]
        self.names = [name for _, _, name in updates]
        self.states = [optimizer.state[name] for name in self.names]
        self.dtypes = [grad.dtype for _, grad, _ in updates]
        self.joined = join
        self.bare = False  # True: a state is empty. SGD's momentum may begin later
        self.rest: list[int] = []  # what `_update` moves
        found: dict[Any, tuple[Group, dict[Any, list[int]]]] = {}
        for i, (param, grad, name) in enumerate(updates):
            state = self.states[i]
            if not state:
                state.update(optimizer._begin(param))
                self.bare = self.bare or not state
            keys = tuple(key if key in state else None for key in optimizer.columns)
            if not _fits(param, grad, state, keys):
                self.rest.append(i)
                continue
            options = tuple(sorted(optimizer._options.get(name, {}).items()))
            kind = param.dtype, options, state.get("t"), keys
            group, together = found.setdefault(kind, (Group(param.dtype, options), {}))
            group.states.append(state)
            small = join and param.size <= SMALL and param.flags.c_contiguous
            together.setdefault("small" if small else i, []).append(i)
        self.groups = []
        for (*_, keys), (group, together) in found.items():
            self.groups.append(group)
            for places in together.values():
                of = [self.params[i] for i in places], [self.states[i] for i in places]
                group.parts.append(Part(places, *of, keys))
        columns = [(state, key) for state in self.states for key in optimizer.columns]
        self.entries = columns
        self.arrays = [state.get(key) for state, key in columns]

    def again(self, optimizer: Any, updates: list[Update]) -> bool:
        """Whether these updates are of the same arrays, so that `make` can be called."""
        if len(updates) != len(self.params):
            return False
        params, grads, names = zip(*updates, strict=True)
        return (
            all(map(is_, params, self.params))
            and all(map(is_, map(optimizer.state.get, names), self.states))
            and all(map(is_, [state.get(key) for state, key in self.entries], self.arrays))
            and [grad.dtype for grad in grads] == self.dtypes
            and all(group.in_step() for group in self.groups)
            and not (self.bare and optimizer._begin(params[0]))
        )

    def make(self, optimizer: Any, updates: list[Update]) -> list[Update]:
        """Make the step. Returns the updates that are left for `_update`."""
        grads = [grad for _, grad, _ in updates]
        for group in self.groups:
            group.move(optimizer, grads)
        return [updates[i] for i in self.rest]


_KNOWN: WeakKeyDictionary[Any, Step] = WeakKeyDictionary()


def move_on_host(optimizer: Any, updates: list[Update]) -> list[Update]:
    """Move what the formulas are for. Returns the other updates, for `_update`."""
    if optimizer.formula == "sgd" and not (optimizer.momentum or optimizer.weight_decay):
        return updates  # two operations: nothing is gained
    if "_update" in vars(optimizer) or form() != "fast":
        return updates
    step = _KNOWN.get(optimizer)
    if step is None or not step.again(optimizer, updates):
        # Small parameters are joined if the same ones moved in the last step, too. Rules that
        # leave out blocks by chance would otherwise join others in each step.
        names = [name for _, _, name in updates]
        join = step is not None and step.names == names
        step = _KNOWN[optimizer] = Step(optimizer, updates, join)
    elif not step.joined:
        step = _KNOWN[optimizer] = Step(optimizer, updates, True)
    return step.make(optimizer, updates)


def _fits(param: Array, grad: Any, state: dict[str, Any], keys: tuple[Any, ...]) -> bool:
    """Whether a formula can move it. Arrays of the state get the parameter's order in memory."""
    dtype = param.dtype
    if type(param) is not np.ndarray or type(grad) is not np.ndarray or not is_dense(param):
        return False
    if dtype.type not in NUMBERS or not dtype.isnative or grad.dtype != dtype:
        return False
    for key in keys:
        array = key and state[key]
        if array is None:
            continue
        if type(array) is not np.ndarray or array.dtype != dtype or array.shape != param.shape:
            return False
        if array.strides != param.strides:  # from a file: in another order in memory
            state[key] = laid_like(array, param)
    return True
