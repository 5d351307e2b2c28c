"""Metrics by name: the argument `metrics` of `fit` and `evaluate`."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

from minigrad.backend import Array
from minigrad.metrics.classes import accuracy, top_k
from minigrad.metrics.values import mae, mse, r2, rmse

Metric = Callable[[Array, Array], float]
NAMED: dict[str, Metric] = {"accuracy": accuracy, "r2": r2, "mae": mae, "mse": mse, "rmse": rmse}
RESERVED = ("loss", "accuracy", "clean_accuracy")  # names of lists that each history has


def chosen(metrics: Any) -> dict[str, Metric]:
    """{name: function} of the argument `metrics` of `fit` and `evaluate`.

    metrics  None, or a list of names ("mae", "r2", "top_5", ...) and functions, or a dict
             {name: function}. A function is called as f(output, y) and returns a number
    """
    if metrics is None:
        return {}
    if isinstance(metrics, dict):
        pairs = list(metrics.items())
    elif isinstance(metrics, list | tuple):
        pairs = [(_name_of(entry), entry) for entry in metrics]
    else:
        raise TypeError(
            "metrics must be a list of names and functions, or a dict {name: function}, as "
            f'["mae", "r2"]; got {metrics!r:.60}'
        )
    found: dict[str, Metric] = {}
    for name, entry in pairs:
        function = named(entry) if isinstance(entry, str) else entry
        if not isinstance(name, str) or not name.isidentifier():
            raise ValueError(
                f'the name of a metric is one word, as "max_error": its lists in history.metrics '
                f'are then called "train_max_error" and so on; got {name!r:.60}'
            )
        if function is top_k:
            raise TypeError('top_k needs its k: write "top_5", or mg.metrics.top_k(5)')
        if not callable(function) or isinstance(function, type):
            raise TypeError(f"the metric {name!r} must be a function, got {function!r:.60}")
        if name in RESERVED and function is not NAMED.get(name):
            raise ValueError(f"{name!r} is taken: choose another name for this metric")
        if name in found:
            raise ValueError(f"there are two metrics {name!r}: give a dict with two names")
        found[name] = function
    return found


def named(name: str) -> Metric:
    """The metric of this name: "accuracy", "r2", "mae", "mse", "rmse", "top_1", "top_2", ..."""
    if name in NAMED:
        return NAMED[name]
    if match := re.fullmatch(r"top_([1-9]\d*)", name):
        return top_k(int(match[1]))
    raise ValueError(
        f"there is no metric {name!r}: there are {', '.join(NAMED)} and top_5 (or another number); "
        "give a function of your own as {name: function}"
    )


def takes(function: Metric, argument: str) -> bool:
    """Whether a metric has an argument of this name."""
    try:
        return argument in inspect.signature(function).parameters
    except (TypeError, ValueError):  # built-in functions do not say what they take
        return False


def better(name: str) -> str | None:
    """ "max" if a higher value of this metric is better, "min" if a lower one is, None: unknown.

    `name` may be that of a list in a history, "validation_accuracy".
    """
    word = re.sub(r"^(train|test|validation)_", "", name)
    if is_share(word) or word == "r2":
        return "max"
    return "min" if word in ("loss", "mae", "mse", "rmse") else None


def is_share(name: str) -> bool:
    """Whether the metric of this name is a share, from 0 to 1: accuracy and top-k are."""
    return re.fullmatch(r"(clean[_ ])?accuracy|top_[1-9]\d*", name) is not None


def _name_of(entry: Any) -> Any:
    """The name under which an entry of a list is recorded."""
    if isinstance(entry, str):
        return entry
    name = getattr(entry, "__name__", None)
    if name is None or not name.isidentifier():  # "<lambda>"
        raise ValueError(
            f"the metric {entry!r:.60} has no name of its own: give a dict, as "
            'metrics={"max_error": f}'
        )
    return name
