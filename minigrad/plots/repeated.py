"""Something measured several times: its mean and standard error, and paired differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from minigrad.metrics.confidence import interval
from minigrad.plots.canvas import finite, one_axes, some
from minigrad.plots.style import LINES, above_each_other, colour, styled


@styled
def means(
    values: Mapping[str, Sequence[float]],
    title: str,
    xlabel: str,
    *,
    ax: Any = None,
) -> Any:
    """A row for {label: n values}: dots, their mean as a stroke, mean ± standard error as a bar.

    The standard error is σ/√n with σ² = Σ (value - mean)²/n. Returns the figure.
    ax  the axes to draw in; None: those of a new figure
    """
    rows = {k: finite(repr(k), v, "(n,)", 1) for k, v in some("values", values).items()}
    fig, axes = one_axes(ax, (10, 1.9 + 0.85 * len(rows)))
    axes.axvline(0, color=colour("null"), linestyle=":", linewidth=1.5)
    for i, row in enumerate(rows.values()):
        place = len(rows) - 1 - i
        mean = row.mean()
        error = row.std() / np.sqrt(len(row))
        bar = {"color": colour("gradient"), "solid_capstyle": "butt"}
        name = "mean ± standard error" if i == 0 else None
        axes.plot([mean - error, mean + error], [place] * 2, linewidth=16, alpha=0.35, **bar)
        axes.plot([mean] * 2, [place - 0.3, place + 0.3], linewidth=3, label=name, **bar)
        dots = {"color": colour("value"), "markeredgecolor": "white", "markersize": 10}
        name = "one mini-batch" if i == 0 else None
        axes.plot(row, [place] * len(row), "o", label=name, zorder=3, **dots)
    axes.set_yticks(range(len(rows) - 1, -1, -1), list(rows))
    axes.set(title=title, xlabel=xlabel, ylim=(-0.6, len(rows) - 0.4))
    axes.grid(visible=False, axis="y")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.24), ncols=2)
    return fig


@styled
def differences(
    panels: Mapping[str, Mapping[str, Any]],
    x: Sequence[float],
    title: str,
    xlabel: str = "epoch",
    confidence: float = 0.95,
    *,
    fig: Any = None,
) -> Any:
    """Panels {ylabel: {label: paired differences (R, len(x))}}: means, and intervals as bands.

    The intervals are Student's. Where a band does not contain 0, chance alone would hardly make
    the difference. Curves that coincide in one figure differ visibly in this one.
    Returns the figure.
    fig  the figure or subfigure to draw in; None: a new one
    """
    checked: dict[str, dict[str, np.ndarray]] = {}
    for ylabel, series in some("panels", panels).items():
        rows = {k: finite(repr(k), v, "(R, x)", 2) for k, v in some(ylabel, series).items()}
        checked[ylabel] = rows
        for label, runs in rows.items():
            if len(runs) < 2 or runs.shape[1] != len(x):
                raise ValueError(
                    f"{label!r} must be differences (R, {len(x)}), R >= 2, one for each x; "
                    f"got {runs.shape}"
                )

    def draw(ax: Any, _: int, series: Mapping[str, np.ndarray]) -> None:
        ax.axhline(0, color=colour("null"), linestyle=":", linewidth=1.5)
        for i, (label, runs) in enumerate(series.items()):
            found = [interval(column, confidence) for column in runs.T]
            low, high = ([f[end] for f in found] for end in ("low", "high"))
            shade = colour(label, i)
            ax.fill_between(x, low, high, color=shade, alpha=0.2, linewidth=0)
            words = f"{label}: mean, {100 * confidence:g} % (n = {len(runs)})"
            ax.plot(x, runs.mean(axis=0), LINES[i % len(LINES)], color=shade, label=words)

    return above_each_other(checked, title, xlabel, 3.6, draw, fig)


@styled
def against(
    runs: Mapping[str, tuple[Any, Any]],
    title: str,
    xlabel: str,
    ylabel: str,
    *,
    ax: Any = None,
) -> Any:
    """One measurement against another, {label: (x (R, T), y (R, T))}: R runs, T moments of each.

    Thin lines are runs, the thick one their mean; a ring marks where it begins. If x falls with
    time, as a loss does, its axis is turned round: time runs to the right. Returns the figure.
    ax  the axes to draw in; None: those of a new figure
    """
    checked: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for label, (x, y) in some("runs", runs).items():
        x, y = (finite(repr(label), values, "(R, T)", 2) for values in (x, y))
        if x.shape != y.shape:
            raise ValueError(f"{label!r} needs as many x as y, got {x.shape} and {y.shape}")
        checked[label] = x, y
    fig, axes = one_axes(ax, (9, 6))
    for i, (label, (x, y)) in enumerate(checked.items()):
        style = {"color": colour(label, i), "linestyle": LINES[i % len(LINES)]}
        axes.plot(x.T, y.T, linewidth=0.7, alpha=0.35, **style)
        mean_x, mean_y = x.mean(axis=0), y.mean(axis=0)
        axes.plot(mean_x, mean_y, label=f"{label}, mean of {len(x)}", **style)
        ring = {"fillstyle": "none", "markersize": 11, "markeredgewidth": 2.2}
        axes.plot(mean_x[:1], mean_y[:1], "o", color=style["color"], **ring)
    falls = sum(x[:, 0].mean() - x[:, -1].mean() for x, _ in checked.values())
    axes.set(title=title, xlabel=xlabel, ylabel=ylabel)
    if falls > 0:
        axes.invert_xaxis()
    axes.legend()
    return fig
