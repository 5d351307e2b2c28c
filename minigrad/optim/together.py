"""A whole step on a GPU in one launch: all parameters of one dtype, with the same options.

The formulas are in kernels/device/update.py. They give what `_update` gives, bit for bit. An
optimiser has four attributes for it:

    formula           the kernel's name; "": there is none
    columns           the names of the arrays in a parameter's state, in the kernel's order
    _begin(param)     the state of a parameter before its first step
    _numbers(t)       (flags, numbers) of the kernel in a parameter's step t

On the host `on_host` does the same, for the same optimisers.
A class or an object that has an `_update` of its own has no formula. What is known of the last step
is kept beside the optimisers, not in them: copies and files of an optimiser have no addresses.
"""

from __future__ import annotations

from operator import is_
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from minigrad.backend import Array
from minigrad.kernels.device import ready, update
from minigrad.kernels.device.table import ROWS, Table, alike
from minigrad.kernels.memory import laid_like
from minigrad.optim.groups import Options
from minigrad.optim.on_host import Update, move_on_host


class Seat:
    """A parameter and its state, as long as they are the same arrays."""

    def __init__(self, param: Array, state: dict[str, Any], optimizer: Any, name: str):
        self.param = param
        self.state = state
        self.kind = type(param)
        self.dtype = param.dtype
        self.strides = param.strides
        self.options = tuple(sorted(optimizer._options.get(name, {}).items()))
        for key in optimizer.columns:
            array = state.get(key)
            if array is not None and array.strides != param.strides and array.shape == param.shape:
                state[key] = laid_like(array, param)  # from a file: in another order in memory
        self.arrays: dict[str, Any] = {key: state.get(key) for key in optimizer.columns}
        own = [array for array in self.arrays.values() if array is not None]
        self.fits = ready(param, *own) and alike(param, *own)

    def holds(self, param: Array, state: dict[str, Any]) -> bool:
        """Whether no array has been replaced."""
        if param is not self.param or state is not self.state:
            return False
        return all(state.get(key) is array for key, array in self.arrays.items())

    def gradient(self, grad: Array) -> Array:
        """The gradient in the parameter's order in memory: if it has another one, a copy."""
        if grad.strides == self.strides or alike(self.param, grad):
            return grad
        return laid_like(grad, self.param)


class Plan:
    """Parameters that move together, and their table; more than 64 have several tables."""

    def __init__(self, seats: list[Seat], columns: tuple[str, ...]):
        self.seats = seats
        self.options = dict(seats[0].options)
        self.kept: Any = None  # the numbers in device memory, for a launch that is recorded
        self.tables: list[tuple[slice, Table]] = []
        for start in range(0, len(seats), ROWS):
            part = slice(start, start + ROWS)
            params = [seat.param for seat in seats[part]]
            table = Table(params)
            table.put(0, params)
            for i, key in enumerate(columns, 2):
                if seats[0].arrays[key] is not None:
                    table.put(i, [seat.arrays[key] for seat in seats[part]])
            self.tables.append((part, table))

    def in_step(self) -> bool:
        """Whether all of them have made the same number of steps."""
        return len({seat.state.get("t") for seat in self.seats}) == 1

    def count(self) -> int:
        """Count a step. Returns its number, which is the same for all of these parameters."""
        t = 0
        for seat in self.seats:
            if "t" in seat.state:
                t = seat.state["t"] = seat.state["t"] + 1
        return t

    def launch(self, optimizer: Any, grads: list[Array]) -> None:
        """Count a step, and make it."""
        flags, numbers = self._numbers(optimizer, self.count())
        for part, table in self.tables:
            pairs = zip(self.seats[part], grads[part], strict=True)
            used = [seat.gradient(grad) for seat, grad in pairs]  # alive until the launch
            table.put(1, used)
            update.launch(optimizer.formula, table, numbers, flags, self.kept)

    def _numbers(self, optimizer: Any, t: int) -> tuple[int, tuple[float, ...]]:
        with Options(optimizer, self.options):
            found: tuple[int, tuple[float, ...]] = optimizer._numbers(t)
        return found


class Step:
    """The last step, if all parameters moved together in it: which arrays it was made of."""

    def __init__(self, updates: list[Update], seats: list[Seat], plans: list[Plan]):
        self.params = [param for param, _, _ in updates]
        self.states = [seat.state for seat in seats]
        self.dtypes = [seat.dtype for seat in seats]
        self.kinds = [seat.kind for seat in seats]
        self.entries = [(seat.state, key) for seat in seats for key in seat.arrays]
        self.arrays = [array for seat in seats for array in seat.arrays.values()]
        self.bare = not all(self.states)  # SGD without momentum, which may begin later
        places = {id(seat): i for i, seat in enumerate(seats)}
        self.plans = [(plan, [places[id(seat)] for seat in plan.seats]) for plan in plans]

    def again(self, optimizer: Any, updates: list[Update]) -> bool:
        """Make the same step with other gradients. False: it is not the same any more."""
        if len(updates) != len(self.params):
            return False
        params, grads, names = zip(*updates, strict=True)
        same = (
            all(map(is_, params, self.params))
            and all(map(is_, map(optimizer.state.get, names), self.states))
            and all(map(is_, [state.get(key) for state, key in self.entries], self.arrays))
            and list(map(type, grads)) == self.kinds
            and [grad.dtype for grad in grads] == self.dtypes
            and all(plan.in_step() for plan, _ in self.plans)
            and not (self.bare and optimizer._begin(params[0]))
        )
        if same:
            for plan, places in self.plans:
                plan.launch(optimizer, [grads[i] for i in places])
        return same


class Plans:
    """What is known of an optimiser's parameters from its last step."""

    def __init__(self) -> None:
        self.seats: dict[str, Seat] = {}
        self.plans: dict[Any, Plan] = {}
        self.step: Step | None = None


_KNOWN: WeakKeyDictionary[Any, Plans] = WeakKeyDictionary()


def move_together(optimizer: Any, updates: list[Update]) -> list[Update]:
    """Move what can move together. Returns the other updates, for `_update`."""
    if type(updates[0][0]) is np.ndarray:
        return move_on_host(optimizer, updates)
    if not ready(updates[0][0]) or "_update" in vars(optimizer):
        return updates
    known = _KNOWN.get(optimizer)
    if known is None:
        known = _KNOWN[optimizer] = Plans()
    elif known.step is not None and known.step.again(optimizer, updates):
        return []
    rest: list[Update] = []
    seated: list[Seat] = []
    groups: dict[Any, tuple[list[Seat], list[Array]]] = {}
    for param, grad, name in updates:
        state = optimizer.state[name]
        if not state:
            state.update(optimizer._begin(param))
        seat = known.seats.get(name)
        if seat is None or not seat.holds(param, state):
            seat = known.seats[name] = Seat(param, state, optimizer, name)
        if not seat.fits or type(grad) is not seat.kind or grad.dtype != seat.dtype:
            rest.append((param, grad, name))
            continue
        seated.append(seat)
        key = seat.dtype, seat.options, state.get("t")  # what its numbers depend on
        seats, grads = groups.setdefault(key, ([], []))
        seats.append(seat)
        grads.append(grad)
    plans = {}
    for (*key, _), (seats, grads) in groups.items():
        first = (*key, id(seats[0]))
        plan = known.plans.get(first)
        if plan is None or plan.seats != seats:
            plan = Plan(seats, optimizer.columns)
        plans[first] = plan
        plan.launch(optimizer, grads)
    known.plans = plans
    known.step = None if rest else Step(updates, seated, list(plans.values()))
    return rest


def plans_of(optimizer: Any) -> list[Plan]:
    """The plans of the last step, for a step that is recorded and repeated.

    While it is recorded, `plan.kept` is an array of 8 float64 numbers in device memory. The step
    that is recorded counts itself, and is not made. Before it is made its numbers are written to
    that array; before each repetition `plan.count()` and the new numbers.
    """
    known = _KNOWN.get(optimizer)
    return [] if known is None else list(known.plans.values())
