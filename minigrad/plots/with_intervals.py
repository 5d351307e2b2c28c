"""Measurements of several seeds against a setting, each with its interval, theory beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from minigrad.metrics.confidence import interval
from minigrad.plots.canvas import a_figure, finite, line, same_number, some
from minigrad.plots.style import LINES, colour, styled, whole_ticks

MARKERS = "osD^v"
FEW = 8  # settings that have a tick each
Lines = Mapping[str, Mapping[str, Any]]


@styled
def with_intervals(
    panels: Lines,
    x: Sequence[float],
    title: str,
    xlabel: str,
    log: Sequence[str] = (),
    theory: Lines | None = None,
    *,
    fig: Any = None,
) -> Any:
    """Panels {ylabel: {label: runs (R, len(x))}} side by side. Returns the figure.

    A point is the mean of R runs. Its bar is the mean's 95 % interval by Student's t.
    log     the ylabels of the panels with a log axis: mean and interval are those of log(runs)
    theory  {ylabel: {label of a line: y (len(x),)}}: dotted, in the colour of that line
    fig     the figure or subfigure to draw in; None: a new one
    """
    for name in log:
        _check_known("a panel with a log axis", name, some("panels", panels))
    rows = {
        ylabel: {k: _points(k, x, runs, ylabel in log) for k, runs in some(ylabel, series).items()}
        for ylabel, series in some("panels", panels).items()
    }
    expected: dict[str, dict[str, np.ndarray]] = {}
    for ylabel, own in (theory or {}).items():
        _check_known("a panel with theory", ylabel, rows)
        for label in own:
            _check_known("a line with theory", label, rows[ylabel])
        expected[ylabel] = {label: line(label, x, y)[1] for label, y in own.items()}
    fig = a_figure(fig, (6.5 * len(rows) if len(rows) > 1 else 9, 6))
    axes = fig.subplots(1, len(rows), squeeze=False)[0]
    labels = list(dict.fromkeys(label for series in rows.values() for label in series))
    handles: dict[str, Any] = {}
    for ax, (ylabel, series) in zip(axes, rows.items(), strict=True):
        for label, (mean, low, high) in series.items():
            i = labels.index(label)
            shade = colour(label, i)
            look = {"marker": MARKERS[i % len(MARKERS)], "fillstyle": "none", "markersize": 9}
            bars = mean - low, high - mean
            handles[label] = ax.errorbar(
                x, mean, bars, fmt=LINES[i % len(LINES)], color=shade, capsize=4, **look
            )
        for label, y in expected.get(ylabel, {}).items():
            shade = colour(label, labels.index(label))
            ax.plot(x, y, ":", color=shade, linewidth=4, alpha=0.5, zorder=1)
        if ylabel in log:
            ax.set_yscale("log")
        if len(x) <= FEW:
            ax.set_xticks(x)
        else:
            whole_ticks(ax)
        ax.set(xlabel=xlabel, ylabel=ylabel)
    if any(expected.values()):
        handles["theory"] = ax.plot([], [], ":", color="0.45", linewidth=4)[0]
    fig.suptitle(title)
    fig.legend(handles.values(), handles, loc="outside lower center", ncols=min(3, len(handles)))
    return fig


def through_layers(
    found: Mapping[str, tuple[Any, Any]],
    factors: Mapping[str, tuple[float, float]],
    title: str,
    *,
    fig: Any = None,
) -> Any:
    """How spreads change through L layers: {name: (up, down)}, each (R, L). Returns the figure.

    up       of R runs, relative to layer 1; down: relative to layer L
    factors  {name: (up, down)}: what each layer multiplies by, by theory
    fig      the figure or subfigure to draw in; None: a new one
    """
    L = np.shape(next(iter(some("found", found).values()))[0])[-1]
    layers = np.arange(1, L + 1)
    ways = {"spread of h / layer 1": layers - 1, f"spread of dh / layer {L}": L - layers}
    panels: dict[str, Any] = {}
    theory: dict[str, Any] = {}
    for i, (ylabel, steps) in enumerate(ways.items()):
        panels[ylabel] = {name: runs[i] for name, runs in found.items()}
        known = {name: factors[name][i] for name in found if name in factors}
        theory[ylabel] = {name: factor**steps for name, factor in known.items()}
    return with_intervals(panels, layers, title, "hidden layer", list(ways), theory, fig=fig)


def _check_known(what: str, name: str, known: Mapping[str, Any]) -> None:
    if name not in known:
        raise ValueError(f"{what} is one of {list(known)}, got {name!r}")


def _points(label: str, x: Any, runs: Any, log: bool) -> tuple[Any, Any, Any]:
    """(mean, low, high) of a line. One run has no interval: its ends are the mean."""
    values = finite(repr(label), runs, "(R, len(x))", 2)
    same_number(repr(label), values.T, len(x), "x")
    if log and not (values > 0).all():
        raise ValueError(f"{label!r} has values that are not above 0, and its axis is a log axis")
    found = [interval(np.log(column) if log else column) for column in values.T]
    mean = np.array([one["mean"] for one in found])
    half = np.array([one["half"] or 0.0 for one in found])
    back = np.exp if log else np.asarray
    return back(mean), back(mean - half), back(mean + half)
