"""One look for all figures: large letters, colour-blind-safe colours, one colour for one thing.

Nothing here touches matplotlib's global settings: `styled` functions draw inside a context.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])

# Okabe and Ito's palette. A rule, or a role, has the same colour in every lesson.
COLOURS = {
    "backprop": "#0072B2",
    "well-tempered": "#E69F00",
    "synthetic": "#009E73",
    "forward": "#D55E00",
    "dni": "#CC79A7",  # synthetic gradients by modules that are not told the label
    "activities": "#CC79A7",  # forward gradients by noise on activities
    "alone": "#7F7F7F",  # the top layer alone, all below it as it was drawn
    "sgd": "#0072B2",
    "momentum": "#E69F00",
    "nesterov": "#009E73",
    "adam": "#CC79A7",
    "wrong": "#7F7F7F",
    "value": "#0072B2",
    "gradient": "#D55E00",
    "null": "#000000",
}
CYCLE = ("#000000", "#CC79A7", "#56B4E9", "#7F7F7F")  # for what is no rule: not a rule's colour
LINES = ("-", "--", "-.", ":")  # a second mark beside colour, for print and for colour blindness

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
    """Make a drawing function draw in STYLE, and leave matplotlib's settings as they were."""

    @wraps(draw)
    def drawn(*args: Any, **kwargs: Any) -> Any:
        import matplotlib.pyplot as plt

        with plt.rc_context(STYLE):
            return draw(*args, **kwargs)

    return drawn


def colour(name: str, i: int = 0) -> str:
    """The colour of a rule or role by its name's first word that has one, else the i-th."""
    for word in re.findall(r"[a-z-]+", name.lower()):
        if word in COLOURS:
            return COLOURS[word]
    return CYCLE[i % len(CYCLE)]


def above_each_other(
    panels: Mapping[str, Any],
    title: str,
    xlabel: str,
    height: float,
    draw: Callable[[Any, int, Any], None],
) -> Any:
    """Panels {ylabel: what} over one x axis, each by draw(ax, number, what). Returns fig."""
    import matplotlib.pyplot as plt

    fig, axes = plt.subplots(
        len(panels), 1, figsize=(9, height * len(panels)), sharex=True, squeeze=False
    )
    for i, (ax, (ylabel, what)) in enumerate(zip(axes[:, 0], panels.items(), strict=True)):
        draw(ax, i, what)
        ax.set_ylabel(ylabel)
        ax.legend()
    axes[-1, 0].set_xlabel(xlabel)
    whole_ticks(axes[-1, 0])
    fig.suptitle(title)
    return fig


def whole_ticks(ax: Any) -> None:
    """No ticks between the steps or epochs, where what is drawn has whole numbers for x."""
    from matplotlib.ticker import MaxNLocator

    if all(float(x).is_integer() for line in ax.lines for x in line.get_xdata(orig=False)):
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
