"""Check that all evaluations within `holding(model)` are of one function."""

from __future__ import annotations

from minigrad import backend
from minigrad.backend import Array
from minigrad.gradcheck.findings import Findings, close, copies, same
from minigrad.gradcheck.function import Function
from minigrad.gradcheck.points import second
from minigrad.layers import Layer, holding


def examine_holding(f: Function, x: Array, found: Findings) -> None:
    """Random choices are kept within `holding`, and running statistics move once."""
    if f.model is None:
        return
    model = f.model
    for train in (f.train, not f.train):
        try:
            model.forward(x, train)
        except ValueError:  # a mode that this x is not for
            continue
        with holding(model):
            first = backend.to_host(model.forward(x, train)).copy()
            state = _state(model)
            before = copies(state)
            model.forward(second(x), train)
            again = backend.to_host(model.forward(x, train))
            if not close(again, first, 1e-12):
                found.fault(
                    "holding",
                    "two forwards within holding(model) gave two results: make what is random "
                    'with self.once("name", make)',
                )
            after = _state(model)
            for name, copy in before.items():
                if name not in after or not same(after[name], copy):
                    found.fault(
                        "holding",
                        f"{name} moved twice within holding(model): move it with "
                        'self.once("name", move)',
                    )


def _state(model: Layer) -> dict[str, Array]:
    """Buffers, and float arrays that stand where buffers should."""
    state: dict[str, Array] = {}
    for prefix, leaf in model.leaves():
        state |= {f"{prefix}{name}": array for name, array in leaf.buffers.items()}
        state |= {f"{prefix}{name}": array for name, array in leaf.unregistered().items()}
    return state
