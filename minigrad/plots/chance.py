"""What chance leaves open: estimates in the bias-variance plane, and means with their intervals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import cycle
from typing import Any

import numpy as np

from minigrad.plots.canvas import a_figure, finite, one_axes, same_number, some
from minigrad.plots.style import CYCLE, colour, is_named, styled

LINEAR = 0.01  # below, the axes of the plane are linear, so that 0 has a place
MARKERS = "osD^vPX*<>hp"


@styled
def plane(
    points: Mapping[str, tuple[float, float, float, float]], title: str, *, fig: Any = None
) -> Any:
    """Estimates {label: (bias², low, high, variance)} of a gradient g, in units of |g|².

    low and high are the ends of the interval of bias². What is below 0 is drawn at 0. The dotted
    line is bias² + variance = 1: beyond it the estimate is farther from g than 0 is.
    Returns the figure.
    fig  the figure or subfigure to draw in; None: a new one
    """
    from matplotlib.ticker import NullLocator

    rows = {}
    for label, point in some("points", points).items():
        row = finite(repr(label), point, "(bias², low, high, variance)", 1)
        same_number(repr(label), row, 4, "numbers: bias², low, high, variance")
        rows[label] = np.maximum(row, 0.0)
    fig = a_figure(fig, (12, 7))
    ax = fig.subplots()
    most = [3 * max(1.0, *(row[i] for row in rows.values())) for i in (2, 3)]
    share = np.linspace(0, 1, 400)
    ax.plot(share, 1 - share, ":", color="0.4", label="as far from g as 0 is")
    shades = shades_of(rows)
    for i, (label, (bias2, low, high, variance)) in enumerate(rows.items()):
        style = {"color": shades[label], "zorder": 4}
        ax.plot([low, high], [variance] * 2, linewidth=1.5, alpha=0.6, **style)
        marker = MARKERS[i % len(MARKERS)]
        look = {"markersize": 13, "fillstyle": "none", "markeredgewidth": 2.5, "clip_on": False}
        ax.plot([bias2], [variance], marker, label=label, **look, **style)
    ax.set_xscale("symlog", linthresh=LINEAR)
    ax.set_yscale("symlog", linthresh=LINEAR)
    ax.set(xlim=(-LINEAR / 2, most[0]), ylim=(-LINEAR / 2, most[1]))
    for axis, end in zip((ax.xaxis, ax.yaxis), most, strict=True):
        axis.set_ticks([0.0, *(10.0**k for k in range(-2, 16) if 10.0**k <= end)])
        axis.set_major_formatter(lambda value, _: f"{value:g}")
        axis.set_minor_locator(NullLocator())
    ax.set(xlabel="bias² / |g|²", ylabel="variance / |g|²")
    fig.suptitle(title)
    fig.legend(loc="outside right center")
    return fig


@styled
def intervals(
    values: Mapping[str, Sequence[float]],
    title: str,
    xlabel: str,
    ends: Mapping[str, tuple[float, float]] | None = None,
    *,
    ax: Any = None,
) -> Any:
    """A row for {label: values}: their mean as a dot, and each value as a stroke below.

    Returns the figure.
    ends  {label: (low, high)}: the interval of a mean, as a bar
    ax    the axes to draw in; None: those of a new figure
    """
    rows = {k: finite(repr(k), v, "(values,)", 1) for k, v in some("values", values).items()}
    bars = {k: finite(f"the interval of {k!r}", e, "(2,)", 1) for k, e in (ends or {}).items()}
    if unknown := [label for label in bars if label not in rows]:
        raise ValueError(f"an interval is of a row, {list(rows)}; got {unknown[0]!r}")
    fig, axes = one_axes(ax, (10, 1.6 + 0.62 * len(rows)))
    shades = shades_of(rows)
    for i, (label, row) in enumerate(rows.items()):
        place = len(rows) - 1 - i
        if label in bars:
            style = {"color": shades[label], "linewidth": 4, "solid_capstyle": "butt"}
            axes.plot(bars[label], [place] * 2, **style)
        axes.plot([row.mean()], [place], "o", color=shades[label], markersize=11)
        if len(row) > 1:
            axes.plot(row, [place - 0.27] * len(row), "|", color="black", markersize=9)
    axes.set_yticks(range(len(rows) - 1, -1, -1), list(rows))
    axes.set(title=title, xlabel=xlabel, ylim=(-0.6, len(rows) - 0.4))
    axes.grid(visible=False, axis="y")
    return fig


def shades_of(labels: Iterable[str]) -> dict[str, str]:
    """{label: the colour of its rule, or the next one of others}."""
    others = cycle(CYCLE)
    return {label: colour(label) if is_named(label) else next(others) for label in labels}
