"""Runs with several seeds, and how numbers scatter: bands, histograms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from minigrad.plots.style import LINES, above_each_other, colour, styled


@styled
def bands(
    panels: Mapping[str, Mapping[str, Sequence[Sequence[float]]]],
    x: Sequence[float],
    title: str,
    xlabel: str = "epoch",
) -> Any:
    """Panels {ylabel: {label: runs (R, len(x))}}: each run thin, their mean thick. Returns fig."""

    def draw(ax: Any, _: int, series: Mapping[str, Any]) -> None:
        for i, (label, runs) in enumerate(series.items()):
            shade, line = colour(label, i), LINES[i % len(LINES)]
            runs = np.asarray(runs, float)
            ax.plot(x, runs.T, line, color=shade, linewidth=0.8, alpha=0.5)
            ax.plot(x, runs.mean(axis=0), line, color=shade, label=f"{label}, mean of {len(runs)}")

    return above_each_other(panels, title, xlabel, 3.6, draw)


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
) -> Any:
    """Shares of {label: values} between edges, as steps; `expected`: (label, shares). Returns fig.

    Values beyond the last edge are counted in the last bin. marks: labelled vertical lines.
    """
    import matplotlib.pyplot as plt

    edges = np.asarray(edges, float)
    fig, ax = plt.subplots(figsize=(9, 5.5))
    for i, (label, v) in enumerate(values.items()):
        shares = np.histogram(np.clip(v, edges[0], edges[-1]), edges)[0] / len(v)
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
