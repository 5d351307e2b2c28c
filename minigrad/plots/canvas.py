"""Where a figure is drawn, and what it is drawn from: new or given axes, and checked data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def one_axes(ax: Any, figsize: tuple[float, float]) -> tuple[Any, Any]:
    """(figure, axes): those of `ax`, or new ones of this size in inches."""
    import matplotlib.pyplot as plt

    if ax is None:
        return plt.subplots(figsize=figsize)
    if not hasattr(ax, "plot") or not hasattr(ax, "figure"):
        raise TypeError(
            f"ax must be one axes of matplotlib, got {type(ax).__name__}; make it with "
            "fig, ax = plt.subplots()"
        )
    # Axes that the caller has made have the letters of the caller's settings: else they would be
    # small beside those that are drawn here.
    sizes = plt.rcParams
    ax.title.set_size(sizes["axes.titlesize"])
    for axis in (ax.xaxis, ax.yaxis):
        axis.label.set_size(sizes["axes.labelsize"])
    ax.tick_params(labelsize=sizes["font.size"])
    return ax.figure, ax


def a_figure(fig: Any, figsize: tuple[float, float], **options: Any) -> Any:
    """`fig`, or a new figure of this size in inches."""
    import matplotlib.pyplot as plt

    if fig is None:
        return plt.figure(figsize=figsize, **options)
    if not hasattr(fig, "subplots"):
        raise TypeError(
            f"fig must be a figure or subfigure of matplotlib, got {type(fig).__name__}; make it "
            'with plt.figure(layout="constrained")'
        )
    return fig


def legend_below(fig: Any, ax: Any, given: bool, **options: Any) -> None:
    """A legend below the axes: of the whole figure, or of axes that the caller has given."""
    if given:
        ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), **options)
    else:
        fig.legend(loc="outside lower center", **options)


def some(name: str, entries: Any) -> Any:
    """`entries`, a mapping. ValueError if it is empty, TypeError if it is none."""
    if not isinstance(entries, Mapping):
        raise TypeError(f"{name} must be a dict with labels for keys, got {type(entries).__name__}")
    if not entries:
        raise ValueError(f"there is nothing to draw: {name} is empty")
    return entries


def finite(name: str, values: Any, shape: str = "", ndim: int | None = None) -> np.ndarray:
    """`values` as an array of floats. ValueError if it is empty, or has NaN or infinite values."""
    array = np.asarray(values, float)
    if ndim is not None and array.ndim != ndim:
        raise ValueError(f"{name} must be of shape {shape}, got {array.shape}")
    if array.size == 0:
        raise ValueError(f"there is nothing to draw: {name} has no values")
    lost = ~np.isfinite(array)
    if lost.any():
        place = tuple(int(i) for i in np.argwhere(lost)[0])
        raise ValueError(
            f"{name} must be finite numbers; {int(lost.sum())} of {array.size} are NaN or "
            f"infinite, the first at {place}"
        )
    return array


def line(
    label: str, x: Any, y: Any, log: bool = False, logx: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """(x, y) of a line as arrays. ValueError if none of its points can be drawn.

    A line may have gaps: points that are NaN or infinite, or not above zero on a log axis.
    """
    x = np.atleast_1d(np.asarray(x, float))
    y = np.atleast_1d(np.asarray(y, float))
    if x.shape != y.shape or x.ndim != 1:
        raise ValueError(f"{label!r} needs as many x as y, got shapes {x.shape} and {y.shape}")
    if x.size == 0:
        raise ValueError(f"there is nothing to draw: {label!r} has no points")
    seen = np.isfinite(x) & np.isfinite(y)
    kind = "finite"
    for wanted, values, name in ((log, y, "y"), (logx, x, "x")):
        if wanted:
            seen &= values > 0
            kind += f" with {name} > 0, as its log axis needs"
    if not seen.any():
        raise ValueError(f"{label!r} has no point that can be drawn: none is {kind}")
    return x, y


def lines(
    name: str, series: Mapping[str, tuple[Sequence[float], Sequence[float]]], **axes: bool
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """All lines {label: (x, y)} of `series`, each checked."""
    return {label: line(label, *points, **axes) for label, points in some(name, series).items()}


def same_number(name: str, values: Sequence[Any], n: int, of: str) -> None:
    """ValueError unless there are n values: else some would silently not be drawn."""
    if len(values) != n:
        raise ValueError(f"{name} must have one entry for each of the {n} {of}, got {len(values)}")
