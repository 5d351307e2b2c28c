"""Early stopping: a run ends when what it is to improve no longer improves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from minigrad.backend import to_host
from minigrad.checks import check_state, count, not_negative, number, positive_int
from minigrad.history import History
from minigrad.layers import Layer
from minigrad.layers.state import checked_state
from minigrad.metrics.named import better


class EarlyStopping:
    r"""End a run after P evaluations, one after another, that are not better than the best.

    Better, mode "min":  value < best - δ        mode "max":  value > best + δ
    A value that is NaN is never better. `fit(..., early_stopping=EarlyStopping(patience=5))`.
    Each call of `fit` begins anew with it; a run that is resumed goes on.
    When a run ends by itself (early, after its last epoch, or since the callback returned True) the
    model gets its weights and its buffers, such as running statistics, of the best epoch. The
    optimiser keeps its state. After Ctrl-C, or if the loss is not finite, the weights are the last.
    `history.best_epoch` and `history.ended` say what was found.
    A checkpoint has the last weights and the best ones: what was resumed ends with the best.
    PyTorch has none.
    Source: Goodfellow, Bengio, Courville 2016, "Deep learning", algorithm 7.1.
    """

    def __init__(
        self,
        patience: int,
        monitor: str = "validation_loss",
        min_delta: float = 0.0,
        restore: bool = True,
        mode: str | None = None,
    ):
        """
        patience   P, an integer >= 1
        monitor    the list of the history to look at: "validation_loss", "train_accuracy", or with
                   fit(metrics=["mae"]) "validation_mae"
        min_delta  δ >= 0
        restore    False: the weights stay the last ones
        mode       "min": a lower value is better, "max": a higher one. None: "max" for accuracy, r2
                   and top-k, "min" for losses and errors; give it for a metric of your own
        """
        self.patience = positive_int("patience", patience)
        if not isinstance(monitor, str) or not monitor:
            raise TypeError(
                f'monitor must be the name of a list, "validation_loss" for example, got '
                f"{monitor!r:.60}"
            )
        self.monitor = monitor
        self.min_delta = not_negative("min_delta", min_delta)
        if not isinstance(restore, bool | np.bool_):
            raise TypeError(f"restore must be True or False, got {restore!r:.60}")
        self.restore = bool(restore)
        if mode not in (None, "min", "max"):
            raise ValueError(f'mode must be "min", "max" or None, got {mode!r:.60}')
        self._given = mode
        known = mode or better(monitor)
        if known is None:
            raise ValueError(
                f'is a higher or a lower {monitor} better? Give mode="max" or mode="min"'
            )
        self.mode = known
        self.reset()

    def begin(self, names: Iterable[str]) -> None:
        """Forget the last run. `fit` calls this with the names of all that it will measure."""
        self._check(names)
        self.reset()

    def reset(self) -> None:
        """Forget the last run."""
        self.best: float | None = None  # None: no value so far
        self.best_epoch: int | None = None
        self.bad = 0  # evaluations since the best
        self.weights: dict[str, np.ndarray] | None = None  # the best ones, on the host

    def _check(self, names: Iterable[str]) -> None:
        """ValueError unless a run measures what is monitored. names: of all that it measures."""
        names = list(names)
        if self.monitor not in names:
            which = self.monitor.partition("_")[0]
            hint = ""
            if which in ("test", "validation") and f"{which}_loss" not in names:
                hint = f": give {which}=, or choose another monitor"
            elif self.monitor.endswith("accuracy"):
                hint = ": accuracy has no meaning for this loss and these targets"
            elif which in ("train", "test", "validation"):
                metric = self.monitor.partition("_")[2]
                hint = f': give metrics=["{metric}"], or choose another monitor'
            raise ValueError(
                f"early stopping cannot look at {self.monitor}, which is not measured{hint}. "
                f"Measured are {', '.join(names)}"
            )

    def look(self, history: History, model: Layer) -> None:
        """Look at the last evaluation in a history. `fit` calls this."""
        values = history.metrics.get(self.monitor) or vars(history)[self.monitor]
        self._measured(values[-1], history.epoch[-1], model)
        history.best_epoch = self.best_epoch

    def _measured(self, value: float, epoch: int, model: Layer) -> None:
        sign = 1 if self.mode == "min" else -1
        if self.best is None:
            is_better = value == value
        else:
            is_better = sign * value < sign * self.best - self.min_delta
        if not is_better:
            self.bad += 1
            return
        weights = model.state_dict() if self.restore else None
        self.best = float(value)
        self.best_epoch = epoch
        self.bad = 0
        self.weights = weights

    @property
    def over(self) -> bool:
        """Whether the run is to end."""
        return self.bad >= self.patience

    def end(self, model: Layer) -> str | None:
        """Give the model its best weights, if they are kept. Returns what was found, in words."""
        if self.best is None:
            return f"{self.monitor} was never a number" if self.bad else None
        said = f"{self.monitor} was best in epoch {self.best_epoch}: {self.best:.6g}"
        if self.over:
            said += f", and no better in the {self.bad} evaluations after it"
        if self.weights is None:
            return f"{said}; the weights are the last ones"
        model.load_state_dict(self.weights)
        return f"{said}; the weights are those of epoch {self.best_epoch}"

    def state_dict(self) -> dict[str, Any]:
        """What changes in a run: the count, the best value, its epoch, its weights."""
        kept: dict[str, Any] = {"bad": self.bad}
        if self.best is not None:
            kept |= {"best": self.best, "best_epoch": self.best_epoch}
        if self.weights is not None:
            kept["weights"] = dict(self.weights)
        return kept

    def load_state_dict(self, model: Layer, state: Mapping[str, Any]) -> None:
        """Set what changes to a state from `state_dict`, of a run of this model."""
        check_state("EarlyStopping", state)
        bad = count("bad", state["bad"])
        best = best_epoch = weights = None
        if "best" in state:
            best = float(number("best", state["best"]))
            best_epoch = count("best_epoch", state["best_epoch"])
        if ("weights" in state) != (self.restore and best is not None):
            raise KeyError("the best weights are missing, or there are some too many")
        if "weights" in state:
            own = model.state_dict()
            given = {name: to_host(array).copy() for name, array in state["weights"].items()}
            weights = checked_state(own, given)
        self.bad = bad
        self.best = best
        self.best_epoch = best_epoch
        self.weights = weights

    def __repr__(self) -> str:
        """The arguments that are not the defaults."""
        said = [f"patience={self.patience}"]
        said += [f"monitor={self.monitor!r}"] if self.monitor != "validation_loss" else []
        said += [f"min_delta={self.min_delta:g}"] if self.min_delta else []
        said += ["restore=False"] if not self.restore else []
        said += [f"mode={self.mode!r}"] if self._given else []
        return f"EarlyStopping({', '.join(said)})"


def check_early_stopping(value: Any) -> None:
    """TypeError unless it is an EarlyStopping, or None."""
    if value is not None and not isinstance(value, EarlyStopping):
        got = f"the class {value.__name__}" if isinstance(value, type) else repr(value)[:60]
        raise TypeError(f"early_stopping must be an EarlyStopping(patience=5), got {got}")
