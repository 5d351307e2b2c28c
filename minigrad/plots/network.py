"""A small network with its numbers: values in blue, gradients in red."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from minigrad.plots.canvas import finite, one_axes, same_number
from minigrad.plots.style import COLOURS, styled

Place = tuple[float, float]


@styled
def network(
    values: Sequence[np.ndarray],
    deltas: Sequence[np.ndarray | None],
    weights: Sequence[np.ndarray],
    weight_gradients: Sequence[np.ndarray],
    names: Sequence[str],
    title: str,
    *,
    ax: Any = None,
) -> Any:
    """A column of nodes for each entry of `values`, connected by `weights` (n_in, n_out).

    values, deltas  for each column an array (n,): a node shows its value and its delta. An entry
                    of deltas may be None
    weights, weight_gradients  for each pair of columns, shown on the edges
    names           a name for each column
    ax              the axes to draw in; None: those of a new figure
    Returns the figure.
    """
    _check(values, deltas, weights, weight_gradients, names)
    fig, ax = one_axes(ax, (13, 7.5))
    places = [_column(i, len(column)) for i, column in enumerate(values)]
    ax.set(xlim=(-0.2, len(values) - 0.8), ylim=(-0.12, 1.12), title=title)
    ax.axis("off")
    for (left, right), W, dW in zip(pairwise(places), weights, weight_gradients, strict=True):
        for (i, start), (j, end) in ((a, b) for a in enumerate(left) for b in enumerate(right)):
            _edge(ax, start, end, f"{W[i, j]:.3f}", f"{dW[i, j]:+.4f}")
    for column, nodes, delta, name in zip(values, places, deltas, names, strict=True):
        ax.text(nodes[0][0], 1.06, name, ha="center", fontsize=18)
        for k, (x, y) in enumerate(nodes):
            ax.plot(x, y, "o", markersize=92, color="white", markeredgecolor="black", zorder=3)
            up = 0.03 if delta is not None else 0
            ax.text(x, y + up, f"{column[k]:.4g}", color=COLOURS["value"], **_NODE)
            if delta is not None:
                ax.text(x, y - 0.045, f"δ {delta[k]:+.3f}", color=COLOURS["gradient"], **_NODE)
    ax.text(0.5, -0.08, "value, weight", color=COLOURS["value"], ha="center", fontsize=16)
    ax.text(1.5, -0.08, "gradient of the loss", color=COLOURS["gradient"], ha="center", fontsize=16)
    return fig


def _check(values: Any, deltas: Any, weights: Any, weight_gradients: Any, names: Any) -> None:
    """ValueError unless all numbers are finite and all shapes fit."""
    if len(values) < 2:
        raise ValueError(f"a network has at least two columns of nodes, got {len(values)}")
    sizes = [len(finite(f"values[{i}]", column, "(n,)", 1)) for i, column in enumerate(values)]
    same_number("deltas", deltas, len(sizes), "columns")
    same_number("names", names, len(sizes), "columns")
    for i, delta in enumerate(deltas):
        if delta is not None:
            same_number(f"deltas[{i}]", finite(f"deltas[{i}]", delta), sizes[i], "nodes")
    for name, arrays in (("weights", weights), ("weight_gradients", weight_gradients)):
        same_number(name, arrays, len(sizes) - 1, "pairs of columns")
        for i, array in enumerate(arrays):
            shape = finite(f"{name}[{i}]", array).shape
            if shape != (sizes[i], sizes[i + 1]):
                raise ValueError(
                    f"{name}[{i}] must be of shape {(sizes[i], sizes[i + 1])}, got {shape}"
                )


def _edge(ax: Any, start: Place, end: Place, weight: str, gradient: str) -> None:
    """A line with the weight above it and the gradient below it, in its direction."""
    ax.plot(*zip(start, end, strict=True), color="0.75", linewidth=1.5, zorder=1)
    (x0, y0), (x1, y1) = (ax.transData.transform(place) for place in (start, end))
    angle = float(np.degrees(np.arctan2(y1 - y0, x1 - x0)))
    x, y = (a + 0.27 * (b - a) for a, b in zip(start, end, strict=True))  # before the lines cross
    for text, kind, side, up in (
        (weight, "value", "bottom", 0.006),
        (gradient, "gradient", "top", -0.006),
    ):
        ax.text(x, y + up, text, color=COLOURS[kind], va=side, rotation=angle, **_EDGE)


def _column(i: int, n: int) -> list[Place]:
    return [(float(i), 1 - (k + 0.5) / n) for k in range(n)]


_EDGE = {"ha": "center", "fontsize": 14, "zorder": 2, "rotation_mode": "anchor"}
_NODE = {"ha": "center", "va": "center", "fontsize": 15, "zorder": 4}
