"""Runs with several seeds as bands, and values as histograms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from minigrad.plots.canvas import finite, line, one_axes, same_number, some
from minigrad.plots.style import LINES, above_each_other, colour, styled


@styled
def bands(
    panels: Mapping[str, Mapping[str, Sequence[Sequence[float]]]],
    x: Sequence[float],
    title: str,
    xlabel: str = "epoch",
    *,
    fig: Any = None,
) -> Any:
    """Panels {ylabel: {label: runs (R, len(x))}}: thin lines, and their mean as a thick one.

    Returns the figure.
    fig  the figure or subfigure to draw in; None: a new one
    """
    checked: dict[str, dict[str, np.ndarray]] = {}
    for ylabel, series in some("panels", panels).items():
        checked[ylabel] = {k: _runs(k, runs, x) for k, runs in some(ylabel, series).items()}

    def draw(ax: Any, _: int, series: Mapping[str, np.ndarray]) -> None:
        for i, (label, runs) in enumerate(series.items()):
            shade = colour(label, i)
            style = LINES[i % len(LINES)]
            ax.plot(x, runs.T, style, color=shade, linewidth=0.8, alpha=0.5)
            ax.plot(x, runs.mean(axis=0), style, color=shade, label=f"{label}, mean of {len(runs)}")

    return above_each_other(checked, title, xlabel, 3.6, draw, fig)


def _runs(label: str, runs: Any, x: Sequence[float]) -> np.ndarray:
    """The runs as an array (R, len(x)). ValueError for one without a finite value."""
    array = np.asarray(runs, float)
    if array.ndim != 2 or len(array) == 0 or array.shape[1] != len(x):
        raise ValueError(
            f"{label!r} must be runs of shape (R, {len(x)}), a value for each x; got {array.shape}"
        )
    for i, run in enumerate(array):
        line(f"{label}, run {i + 1}", x, run)
    return array


@styled
def histograms(
    values: Mapping[str, Sequence[float]],
    edges: Sequence[float],
    title: str,
    xlabel: str,
    expected: tuple[str, Sequence[float]] | None = None,
    ylabel: str = "share of the weights",
    marks: Mapping[str, float] | None = None,
    logx: bool = False,
    *,
    ax: Any = None,
) -> Any:
    """The share of the values in each bin, for {label: values}, as steps. Returns the figure.

    edges     of the bins, rising. Values below the first edge count in the first bin, values above
              the last edge in the last one; infinite values too. NaN is an error
    expected  (label, shares): the shares of a theory, one for each bin
    marks     labelled vertical lines {label: x}
    ax        the axes to draw in; None: those of a new figure
    """
    edges = finite("edges", edges, "(bins + 1,)", 1)
    if len(edges) < 2 or not (np.diff(edges) > 0).all():
        raise ValueError(f"edges must be two or more rising numbers, got {edges.tolist()}")
    if expected is not None:
        finite(f"the shares of {expected[0]!r}", expected[1])
        same_number(f"the shares of {expected[0]!r}", expected[1], len(edges) - 1, "bins")
    shares_of: dict[str, np.ndarray] = {}
    for label, v in some("values", values).items():
        v = np.asarray(v, float)
        if v.size == 0:
            raise ValueError(f"there is nothing to draw: {label!r} has no values")
        if np.isnan(v).any():
            raise ValueError(f"{label!r} has {int(np.isnan(v).sum())} NaN among {v.size} values")
        counts, _ = np.histogram(np.clip(v, edges[0], edges[-1]), edges)
        shares_of[label] = counts / v.size
    fig, ax = one_axes(ax, (9, 5.5))
    for i, (label, shares) in enumerate(shares_of.items()):
        ax.stairs(shares, edges, color=colour(label, i), label=label, fill=False, linewidth=2.2)
    if expected is not None:
        label, shares = expected
        ax.stairs(shares, edges, color=colour("null"), label=label, linestyle=":", linewidth=2.2)
    for i, (label, place) in enumerate((marks or {}).items()):
        ax.axvline(place, color=colour(label, i), linestyle="--", linewidth=2.2, label=label)
    if logx:
        ax.set_xscale("log")
    ax.set(title=title, xlabel=xlabel, ylabel=ylabel)
    ax.legend()
    return fig
