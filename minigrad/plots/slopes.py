"""Figures of forward gradients: values with their speeds, and what the mean of many draws does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from minigrad.plots.canvas import a_figure, finite, one_axes, some
from minigrad.plots.style import colour, styled

_BOX = {"boxstyle": "round,pad=0.5", "facecolor": "white", "edgecolor": "black"}
_CENTRED = {"ha": "center", "va": "center", "fontsize": 15}


@styled
def speeds(
    nodes: Mapping[str, tuple[Any, ...]],
    title: str,
    *,
    ax: Any = None,
) -> Any:
    """A computation as a graph: each node shows its value, and below it its speed.

    nodes  {name: (x, y, value, speed, *names of the nodes that it is computed from)}; x and y are
           the place: x grows to the right, y upward
    ax     the axes to draw in; None: those of a new figure
    Returns the figure.
    """
    rows = {name: finite(name, node[:4], "(4,)", 1) for name, node in some("nodes", nodes).items()}
    arrows = [(source, name) for name, node in nodes.items() for source in node[4:]]
    for source, name in arrows:
        if source not in rows:
            raise ValueError(f"{name!r} is computed from nodes of {list(rows)}, got {source!r}")
    fig, ax = one_axes(ax, (13, 5.5))
    boxes = {}
    for name, (x, y, value, speed) in rows.items():
        # the box is that of three lines which are not drawn; each has a colour of its own
        box = ax.text(x, y, f"{name:^20}\n\n ", color="none", bbox=_BOX, zorder=2, **_CENTRED)
        boxes[name] = box.get_bbox_patch()
        for text, shade, up in (
            (name, "black", 22),
            (f"value {value:g}", colour("value"), 0),
            (f"speed {speed:g}", colour("forward"), -22),
        ):
            place = {"xytext": (0, up), "textcoords": "offset points", "color": shade}
            ax.annotate(text, (x, y), zorder=3, **place, **_CENTRED)
    style = {"arrowstyle": "-|>,head_length=0.7,head_width=0.35", "color": "0.35", "linewidth": 2}
    for source, name in arrows:
        ends = {"xytext": rows[source][:2], "xy": rows[name][:2]}
        patches = {"patchA": boxes[source], "patchB": boxes[name], "shrinkA": 3, "shrinkB": 3}
        ax.annotate("", **ends, arrowprops=style | patches, zorder=1)
    places = np.array([row[:2] for row in rows.values()])
    low = places.min(axis=0)
    high = places.max(axis=0)
    ax.set(xlim=(low[0] - 0.5, high[0] + 0.5), ylim=(low[1] - 0.4, high[1] + 0.4), title=title)
    ax.axis("off")
    return fig


@styled
def mean_of_draws(
    draws: np.ndarray,
    true: float,
    title: str,
    name: str,
    runs: int = 10,
    share: float = 0.98,
    *,
    fig: Any = None,
) -> Any:
    """Estimates of a number `true`: their histogram, and the mean of the first n of some runs.

    draws  (S,) estimates, independent of each other; they are split into `runs` runs
    name   of what is estimated, for the axes
    share  of the draws that the histogram shows
    fig    the figure or subfigure to draw in; None: a new one
    The band is true ± 2 standard errors of a mean of n: about 95 % of the runs should be in it.
    Returns the figure.
    """
    draws = finite("draws", draws, "(S,)", 1)
    length = len(draws) // runs
    if length < 1:
        raise ValueError(f"{runs} runs need as many draws at least, got {len(draws)}")
    fig = a_figure(fig, (14, 5.8))
    left, right = fig.subplots(1, 2)
    ends = np.quantile(draws, [(1 - share) / 2, (1 + share) / 2])
    left.hist(draws, 80, range=(*ends,), color=colour("forward"), alpha=0.75, label="one draw")
    left.axvline(draws.mean(), color="black", label=f"mean of {len(draws):,} draws")
    left.axvline(true, color=colour("backprop"), linestyle="--", label="by backprop")
    left.set(xlabel=name, ylabel="number of draws")
    n = np.arange(1, length + 1)
    means = draws[: runs * length].reshape(runs, length).cumsum(axis=1) / n
    band = 2 * draws.std() / np.sqrt(n)
    shade = {"color": colour("backprop"), "alpha": 0.2, "label": "backprop's, ± 2 standard errors"}
    right.fill_between(n, true - band, true + band, **shade)
    for i, mean in enumerate(means):
        words = f"mean of n draws, {runs} times" if i == 0 else None
        right.plot(n, mean, color=colour("forward"), linewidth=1.1, alpha=0.8, label=words)
    right.axhline(true, color=colour("backprop"), linestyle="--")
    right.set(xscale="log", xlabel="n, the number of draws", ylabel="mean of the first n")
    right.set_ylim(true - band[min(3, length - 1)], true + band[min(3, length - 1)])
    for ax in (left, right):
        ax.legend()
    fig.suptitle(title)
    return fig
