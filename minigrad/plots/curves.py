"""Curves and bars: losses by step, recalls by class, errors by step size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from minigrad.plots.canvas import (
    a_figure,
    finite,
    legend_below,
    line,
    lines,
    one_axes,
    same_number,
    some,
)
from minigrad.plots.style import LINES, above_each_other, colour, styled, whole_ticks


@styled
def curves(
    series: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    title: str,
    xlabel: str = "step",
    ylabel: str = "loss",
    log: bool = True,
    floors: Mapping[str, float] | None = None,
    logx: bool = False,
    outside: bool = False,
    dots: tuple[str, Mapping[str, tuple[Any, Any]]] | None = None,
    *,
    ax: Any = None,
) -> Any:
    """Lines {label: (x, y)} in one axes. Returns the figure.

    floors   labelled horizontal lines {label: y}
    outside  True: the legend is below the axes, not in them
    dots     (their name, {label of a line: (x, y)}): points in the colour of that line
    ax       the axes to draw in; None: those of a new figure
    ValueError for a line of which no point can be drawn. A point that is NaN is a gap.
    """
    series = lines("series", series, log=log, logx=logx)
    _check_levels(floors)
    for label in dots[1] if dots is not None else ():
        if label not in series:
            raise ValueError(f"dots are for lines of the figure, {list(series)}; got {label!r}")
    fig, axes = one_axes(ax, (9, 6.3 if outside else 5.5))
    _draw_lines(axes, series, floors)
    if dots is not None:
        _dots(axes, list(series), *dots)
    if not logx:
        whole_ticks(axes)
    if log:
        axes.set_yscale("log")
        _plain_ticks(axes.yaxis)
    if logx:
        axes.set_xscale("log")
        _ticks_at_points(axes, series)
    axes.set(title=title, xlabel=xlabel, ylabel=ylabel)
    if outside:
        legend_below(fig, axes, given=ax is not None, ncols=2)
    else:
        axes.legend()
    return fig


def _ticks_at_points(axes: Any, series: Mapping[str, tuple[Any, Any]]) -> None:
    """Ticks where the lines have their points, if these are the same few whole numbers."""
    places = {tuple(map(float, x)) for x, _ in series.values()}
    if len(places) == 1 and len(first := places.pop()) <= 6 and all(x % 1 == 0 for x in first):
        axes.minorticks_off()
        axes.set_xticks(first, [f"{x:g}" for x in first])


@styled
def stacked(
    panels: Mapping[str, Mapping[str, tuple[Sequence[float], Sequence[float]]]],
    title: str,
    xlabel: str = "step",
    floors: Mapping[str, float] | None = None,
    marks: Sequence[float] = (),
    *,
    fig: Any = None,
) -> Any:
    """Panels {ylabel: {label: (x, y)}}, one below the other. Returns the figure.

    floors  labelled horizontal lines {label: y} in the first panel
    marks   the x of vertical lines in all panels
    fig     the figure or subfigure to draw in; None: a new one
    """
    panels = {ylabel: lines(ylabel, series) for ylabel, series in some("panels", panels).items()}
    _check_levels(floors)

    def draw(ax: Any, i: int, series: Mapping[str, Any]) -> None:
        _draw_lines(ax, series, floors if i == 0 else None)
        for mark in marks:
            ax.axvline(mark, color="0.2", linewidth=1.2, linestyle=":", zorder=1)

    return above_each_other(panels, title, xlabel, 3.4, draw, fig)


@styled
def beside(
    panels: Mapping[str, Mapping[str, tuple[Sequence[float], Sequence[float]]]],
    title: str,
    ylabel: str,
    log: bool = True,
    xlabel: str | None = None,
    *,
    fig: Any = None,
) -> Any:
    """Panels {xlabel: {label: (x, y)}} side by side, with one y axis. Returns the figure.

    xlabel  one label for all panels; their names are then above them
    fig     the figure or subfigure to draw in; None: a new one
    """
    from matplotlib.ticker import MaxNLocator

    panels = {k: lines(k, series, log=log) for k, series in some("panels", panels).items()}
    fig = a_figure(fig, (max(13, 5 * len(panels)), 5.8))
    axes = fig.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for ax, (name, series) in zip(axes, panels.items(), strict=True):
        _draw_lines(ax, series, None)
        ax.set(xlabel=xlabel or name, title=name if xlabel else "")
        ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    first = axes[0]
    first.set_ylabel(ylabel)
    if log:
        first.set_yscale("log")
        _plain_ticks(first.yaxis)
    fig.suptitle(title)
    handles, labels = first.get_legend_handles_labels()
    fig.legend(handles, labels, loc="outside lower center", ncols=min(3, len(labels)))
    return fig


def _check_levels(floors: Mapping[str, float] | None) -> None:
    for label, level in (floors or {}).items():
        finite(f"the level of {label!r}", level)


def _draw_lines(ax: Any, series: Mapping[str, Any], floors: Mapping[str, float] | None) -> None:
    """The curves, and labelled horizontal lines."""
    for i, (label, (x, y)) in enumerate(series.items()):
        ax.plot(x, y, LINES[i % len(LINES)], color=colour(label, i), label=label)
    for label, level in (floors or {}).items():
        ax.axhline(level, color="black", linewidth=1, linestyle=":")
        ax.annotate(
            label,
            (0.99, level),
            xycoords=("axes fraction", "data"),
            xytext=(0, -5),
            textcoords="offset points",
            ha="right",
            va="top",
        )
        ax.margins(y=0.15)


def _dots(ax: Any, labels: list[str], name: str, dots: Mapping[str, tuple[Any, Any]]) -> None:
    """Dots in the colours of their lines. The legend has one entry for all, in grey."""
    style = {"linestyle": "none", "marker": "o", "markersize": 9, "markeredgecolor": "white"}
    for label, points in dots.items():
        x, y = line(label, *points)
        ax.plot(x, y, color=colour(label, labels.index(label)), zorder=4, **style)
    ax.plot([], [], color="0.45", label=name, **style)


def _plain_ticks(axis: Any) -> None:
    """Ticks 0.2, 0.5, 1, 2 instead of powers of ten, if the axis spans few of them."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    low, high = axis.get_view_interval()
    if low > 0 and high / low < 100:
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axis.set_minor_formatter(NullFormatter())


@styled
def class_bars(
    series: Mapping[str, Sequence[float]],
    title: str,
    ylabel: str = "recall",
    xlabel: str = "digit",
    names: Sequence[str] | None = None,
    *,
    ax: Any = None,
) -> Any:
    """Bars {label: a value for each class}, grouped by class. Returns the figure.

    A class whose value is zero is marked.
    names  of the classes; None: their numbers
    ax     the axes to draw in; None: those of a new figure
    """
    heights = {k: finite(repr(k), v, "(classes,)", 1) for k, v in some("series", series).items()}
    classes = len(next(iter(heights.values())))
    for label, values in heights.items():
        same_number(repr(label), values, classes, "classes")
    if names is not None:
        same_number("names", names, classes, "classes")
    fig, axes = one_axes(ax, (10, 5))
    width = 0.8 / len(heights)
    for i, (label, values) in enumerate(heights.items()):
        places = np.arange(classes) - 0.4 + (i + 0.5) * width
        axes.bar(places, values, width, color=colour(label, i), label=label)
        for place, value in zip(places, values, strict=True):
            if value == 0:
                axes.annotate("never", (place, 0.02), rotation=90, ha="center", va="bottom")
    axes.set(title=title, xlabel=xlabel, ylabel=ylabel, ylim=(0, 1.05))
    axes.set_xticks(range(classes), names)
    if names is not None and classes * max(map(len, names)) > 60:  # they would overlap
        axes.tick_params(axis="x", rotation=90)
    legend_below(fig, axes, given=ax is not None, ncols=len(heights))
    return fig


@styled
def proportional(changes: np.ndarray, x: np.ndarray, title: str, *, fig: Any = None) -> Any:
    """Each row of `changes` (n, D) as bars, beside x (D,) scaled to fit. Returns the figure.

    fig  the figure or subfigure to draw in; None: a new one
    """
    changes = finite("changes", changes, "(n, D)", 2)
    x = finite("x", x, "(D,)", 1)
    same_number("x", x, changes.shape[1], "columns of changes")
    if not x.any():
        raise ValueError("x is zero everywhere: nothing but zero is proportional to it")
    fig = a_figure(fig, (5 * len(changes), 4.5))
    axes = fig.subplots(1, len(changes), sharey=True, squeeze=False)[0]
    for i, (ax, row) in enumerate(zip(axes, changes, strict=True)):
        scale = float(row @ x / (x @ x))
        ax.bar(range(len(x)), row, color=colour("backprop"), label="change of the weight")
        ax.plot(range(len(x)), scale * x, "D", color=colour("forward"), label=f"{scale:.4f} · x")
        ax.set_xticks(range(len(x)), [f"x{chr(0x2081 + j)} = {v:g}" for j, v in enumerate(x)])
        ax.set(title=f"hidden unit {i + 1}", ylabel="" if i else "change")
        ax.set_ylim(top=1.35 * float(changes.max()))
        ax.legend(loc="upper right")
    fig.suptitle(title)
    return fig
