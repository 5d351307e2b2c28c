"""The look of all figures: large letters, and colours that colour-blind readers can tell apart.

matplotlib's global settings stay as they are: a `styled` function draws with settings of its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, TypeVar

from minigrad.plots.canvas import a_figure

F = TypeVar("F", bound=Callable[..., Any])

# One colour has one meaning, in every lesson. The rules have Okabe and Ito's palette, and more.
COLOURS = {
    "backprop": "#0072B2",
    "well-tempered": "#E69F00",
    "synthetic": "#009E73",
    "forward": "#D55E00",
    "dni": "#CC79A7",  # synthetic gradients by modules that do not get the label
    "activities": "#882255",  # forward gradients by noise on activations
    "fa": "#56B4E9",
    "dfa": "#8C564B",
    "drtp": "#9A8A00",
    "alone": "#7F7F7F",  # only the top layer learns
    "local": "#B5A642",  # local losses
    "spsa": "#1B9E9E",
    "stale": "#4D4D4D",  # synthetic gradients: the true ones, used several times
    "sgd": "#332288",
    "momentum": "#AA4499",
    "nesterov": "#117733",
    "adam": "#661100",
    "train": "#222222",
    "validation": "#44AA99",
    "test": "#6B4C9A",
    "value": "#34495E",
    "gradient": "#B2182B",
    "tangent": "#7A5195",
    "wrong": "#C51B7D",
    "null": "#000000",
}
SETS = ("train", "validation", "test")  # their words are in the labels of many curves
CYCLE = ("#1A1A1A", "#6E7F9E", "#A8732A", "#5E8C6A")  # for other names; no colour of a role
LINES = ("-", "--", "-.", ":")  # tell lines apart in print too, and without colours

STYLE = {
    "font.size": 14,
    "axes.titlesize": 16,
    "axes.labelsize": 15,
    "legend.fontsize": 13,
    "lines.linewidth": 2.2,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.constrained_layout.use": True,
}


def styled(draw: F) -> F:
    """A decorator: the function draws in STYLE, and matplotlib's settings stay as they were."""

    @wraps(draw)
    def drawn(*args: Any, **kwargs: Any) -> Any:
        import matplotlib.pyplot as plt

        with plt.rc_context(STYLE):
            return draw(*args, **kwargs)

    return drawn


def colour(name: str, i: int = 0) -> str:
    """The colour of the first word in `name` that has one, else the i-th of CYCLE."""
    roles = _roles(name)
    return COLOURS[roles[0]] if roles else CYCLE[i % len(CYCLE)]


def is_named(name: str) -> bool:
    """Whether a word of `name` has a colour of its own."""
    return bool(_roles(name))


def _roles(name: str) -> list[str]:
    words = re.findall(r"[a-z-]+", name.lower())
    return [word for word in words if word in COLOURS and word not in SETS]


def above_each_other(
    panels: Mapping[str, Any],
    title: str,
    xlabel: str,
    height: float,
    draw: Callable[[Any, int, Any], None],
    fig: Any = None,
) -> Any:
    """Panels {ylabel: content} with one x axis, each drawn by draw(ax, number, content).

    Returns the figure: `fig`, or a new one.
    """
    fig = a_figure(fig, (9, height * len(panels)))
    axes = fig.subplots(len(panels), 1, sharex=True, squeeze=False)
    for i, (ax, (ylabel, content)) in enumerate(zip(axes[:, 0], panels.items(), strict=True)):
        draw(ax, i, content)
        ax.set_ylabel(ylabel)
        ax.legend()
    axes[-1, 0].set_xlabel(xlabel)
    whole_ticks(axes[-1, 0])
    fig.suptitle(title)
    return fig


def whole_ticks(ax: Any) -> None:
    """Ticks at whole numbers only, if all x are whole numbers: steps or epochs."""
    from matplotlib.ticker import MaxNLocator

    if all(float(x).is_integer() for line in ax.lines for x in line.get_xdata(orig=False)):
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
