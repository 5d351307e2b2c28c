"""Curves and bars: losses by step, recalls by class, errors by step size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

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
) -> Any:
    """Lines {label: (x, y)} in one axes; `floors` are labelled horizontal lines. Returns fig.

    outside: the legend stands below the axes, where there is no room for it inside.
    dots: (what they are, {a line's label: (x, y)}): measured values beside a calculated line, or
    marked places on it, in its colour.
    """
    import matplotlib.pyplot as plt

    fig, ax = plt.subplots(figsize=(9, 6.3 if outside else 5.5))
    _lines(ax, series, floors)
    if dots is not None:
        _dots(ax, list(series), *dots)
    if not logx:
        whole_ticks(ax)
    if log:
        ax.set_yscale("log")
        _plain_ticks(ax.yaxis)
    if logx:
        ax.set_xscale("log")
    ax.set(title=title, xlabel=xlabel, ylabel=ylabel)
    if outside:
        fig.legend(loc="outside lower center", ncols=2)
    else:
        ax.legend()
    return fig


@styled
def stacked(
    panels: Mapping[str, Mapping[str, tuple[Sequence[float], Sequence[float]]]],
    title: str,
    xlabel: str = "step",
    floors: Mapping[str, float] | None = None,
    marks: Sequence[float] = (),
) -> Any:
    """Panels {ylabel: {label: (x, y)}} above each other; `floors` in the first, `marks` in all.

    Returns fig.
    """

    def draw(ax: Any, i: int, series: Mapping[str, Any]) -> None:
        _lines(ax, series, floors if i == 0 else None)
        for mark in marks:
            ax.axvline(mark, color="0.2", linewidth=1.2, linestyle=":", zorder=1)

    return above_each_other(panels, title, xlabel, 3.4, draw)


@styled
def beside(
    panels: Mapping[str, Mapping[str, tuple[Sequence[float], Sequence[float]]]],
    title: str,
    ylabel: str,
    log: bool = True,
    xlabel: str | None = None,
) -> Any:
    """Panels {xlabel: {label: (x, y)}} next to each other: the same y over different x.

    Given an xlabel for all, the panels' names stand above them. Returns fig.
    """
    import matplotlib.pyplot as plt
    from matplotlib.ticker import MaxNLocator

    fig, axes = plt.subplots(1, len(panels), figsize=(max(13, 5 * len(panels)), 5.8), sharey=True)
    for ax, (name, series) in zip(np.atleast_1d(axes), panels.items(), strict=True):
        _lines(ax, series, None)
        ax.set(xlabel=xlabel or name, title=name if xlabel else "")
        ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    first = np.atleast_1d(axes)[0]
    first.set_ylabel(ylabel)
    if log:
        first.set_yscale("log")
        _plain_ticks(first.yaxis)
    fig.suptitle(title)
    handles, labels = first.get_legend_handles_labels()
    fig.legend(handles, labels, loc="outside lower center", ncols=min(3, len(labels)))
    return fig


def _lines(ax: Any, series: Mapping[str, Any], floors: Mapping[str, float] | None) -> None:
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


def _dots(ax: Any, lines: list[str], name: str, dots: Mapping[str, tuple[Any, Any]]) -> None:
    """Dots in the colours of their lines; in the legend they stand once, in grey."""
    style = {"linestyle": "none", "marker": "o", "markersize": 9, "markeredgecolor": "white"}
    for label, (x, y) in dots.items():
        ax.plot(x, y, color=colour(label, lines.index(label)), zorder=4, **style)
    ax.plot([], [], color="0.45", label=name, **style)


def _plain_ticks(axis: Any) -> None:
    """0.2, 0.5, 1, 2 instead of powers of ten, where the axis spans few of them."""
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
) -> Any:
    """One group of bars for each class; a class at zero is marked. Returns fig."""
    import matplotlib.pyplot as plt

    fig, ax = plt.subplots(figsize=(10, 5))
    width = 0.8 / len(series)
    for i, (label, values) in enumerate(series.items()):
        places = np.arange(len(values)) - 0.4 + (i + 0.5) * width
        ax.bar(places, values, width, color=colour(label, i), label=label)
        for place, value in zip(places, values, strict=True):
            if value == 0:
                ax.annotate("never", (place, 0.02), rotation=90, ha="center", va="bottom")
    ax.set(title=title, xlabel=xlabel, ylabel=ylabel, ylim=(0, 1.05))
    ax.set_xticks(range(len(next(iter(series.values())))))
    fig.legend(loc="outside lower center", ncols=len(series))
    return fig


@styled
def proportional(changes: np.ndarray, x: np.ndarray, title: str) -> Any:
    """Each row of `changes` as bars, beside x scaled to fit: proportional? Returns fig."""
    import matplotlib.pyplot as plt

    fig, axes = plt.subplots(1, len(changes), figsize=(5 * len(changes), 4.5), sharey=True)
    for i, (ax, row) in enumerate(zip(np.atleast_1d(axes), changes, strict=True)):
        scale = float(row @ x / (x @ x))
        ax.bar(range(len(x)), row, color=colour("backprop"), label="change of the weight")
        ax.plot(range(len(x)), scale * x, "D", color=colour("forward"), label=f"{scale:.4f} · x")
        ax.set_xticks(range(len(x)), [f"x{chr(0x2081 + j)} = {v:g}" for j, v in enumerate(x)])
        ax.set(title=f"hidden unit {i + 1}", ylabel="" if i else "change")
        ax.set_ylim(top=1.35 * float(changes.max()))
        ax.legend(loc="upper right")
    fig.suptitle(title)
    return fig
