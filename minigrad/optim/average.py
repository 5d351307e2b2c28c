"""The exponential moving average of the weights: often better than the last ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from minigrad import backend
from minigrad.backend import Array
from minigrad.checks import count, not_negative, number
from minigrad.kernels.memory import laid_like
from minigrad.kernels.updates import move_towards
from minigrad.optim.base import AVERAGE, Optimizer


class EMA:
    r"""a ← a + (1 - d) (θ - a) after each step that moves weights, d = decay.

    After the first step a = θ. The average forgets what was 1/(1 - d) steps ago, and has less
    noise than θ. To use it:

        ema = mg.EMA(optimizer, 0.99)           made once, before the training
        mg.fit(model, loss, rule, optimizer, train, epochs=5, batch_size=32)
        with ema.averaged():                    the model has the averages in here
            mg.evaluate(model, loss, test)

    The optimiser's state contains it, so a checkpoint does, too. Running statistics of batch norm
    are those of θ.
    Source: Polyak, Juditsky 1992, on averages; PyTorch's AveragedModel with get_ema_avg_fn.
    """

    def __init__(self, optimizer: Optimizer, decay: float = 0.999):
        """
        optimizer  its `step()` moves the average, too
        decay      d in [0, 1)
        """
        if not isinstance(optimizer, Optimizer):
            raise TypeError(
                f"EMA(optimizer, decay) averages the weights that an optimiser moves, got a "
                f"{type(optimizer).__name__}: make one first, SGD(model, lr=0.1)"
            )
        self.decay = not_negative("decay", decay)
        if self.decay >= 1:
            raise ValueError(f"decay must be a number in [0, 1), got {decay!r}")
        self.optimizer = optimizer
        self.t = 0  # steps that it has seen
        self.arrays: dict[str, Array] = {}  # a by parameter
        optimizer.average = self

    def update(self) -> None:
        """Move the average. `optimizer.step()` calls this."""
        arrays, params = [], []
        for name, param in self._params().items():
            a = self.arrays.get(name)
            if self.t == 0 or a is None:
                self.arrays[name] = laid_like(param, param)
            else:
                arrays.append(a)
                params.append(param)
        move_towards(arrays, 1 - self.decay, params)
        self.t += 1

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Within this context the model has the averages as its weights. Do not train it there."""
        params = self._params()
        before = {name: param.copy() for name, param in params.items()}
        try:
            for name, a in self.arrays.items():
                params[name][...] = a
            yield
        finally:
            for name, param in params.items():
                param[...] = before[name]

    def _params(self) -> dict[str, Array]:
        """The optimiser's parameters, those that share an array once."""
        optimizer = self.optimizer
        return {k: p for k, p in optimizer._params.items() if k not in optimizer._tied}

    def state_dict(self) -> dict[str, Any]:
        """The averages, for the optimiser's `state_dict`."""
        state: dict[str, Any] = {f"{AVERAGE}t": self.t, f"{AVERAGE}decay": self.decay}
        for name, a in self.arrays.items():
            state[AVERAGE + name] = backend.to_host(a).copy()
        return state

    def checked(self, state: Mapping[str, Any], finite: bool) -> tuple[int, dict[str, Array]]:
        """(t, the averages) of a state, on the parameters' device. Raises if it does not fit."""
        params = self._params()
        t = count("t", state.get(f"{AVERAGE}t", 0))
        names = ["t", "decay", *(params if t else ())]
        if missing := [name for name in names if AVERAGE + name not in state]:
            raise KeyError(
                f"the state has no averages {missing}: it was saved without EMA(optimizer, decay)"
            )
        if unknown := sorted(state.keys() - {AVERAGE + name for name in names}):
            raise KeyError(f"the averages {unknown} fit none of {sorted(params)}")
        if (decay := number("decay", state[f"{AVERAGE}decay"])) != self.decay:
            raise ValueError(f"the averages were made with decay {decay}, not {self.decay}")
        arrays = {}
        for name, param in params.items() if t else ():
            value = backend.to_host(state[AVERAGE + name])
            if value.shape != param.shape or value.dtype != param.dtype:
                raise ValueError(
                    f"the average of {name}: expected {param.dtype} of shape {param.shape}, got "
                    f"{value.dtype} of shape {value.shape}"
                )
            if finite and not np.isfinite(value).all():
                raise ValueError(f"the average of {name} has numbers that are NaN or infinite")
            arrays[name] = laid_like(backend.to_device(value, like=param), param)
        return t, arrays

    def __repr__(self) -> str:
        return f"EMA(decay={self.decay:g})"
