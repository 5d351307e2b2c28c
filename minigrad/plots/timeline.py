"""Which block works when: a row for each block, a bar for each piece of work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from minigrad.plots.canvas import a_figure, same_number, some
from minigrad.plots.style import COLOURS, styled

KINDS = {  # the kinds of minigrad.asynchronous.timeline: label, colour, hatch
    "forward": ("forward", COLOURS["value"], ""),
    "backward": ("backward and step", COLOURS["gradient"], "//"),
    "module": ("module: predict, learn", COLOURS["synthetic"], ".."),
}


@styled
def timelines(
    panels: Mapping[str, Any], title: str, names: Sequence[str] = (), *, fig: Any = None
) -> Any:
    """Panels {title: Timeline} with one time axis, block 1 in the lowest row. Returns the figure.

    A forward bar shows the number of its batch. The first batch in a panel has number 1.
    names  names of the blocks, instead of "block 1", ...
    fig    the figure or subfigure to draw in; None: a new one
    """
    from matplotlib.patches import Patch

    L = max(len(line.events) for line in some("panels", panels).values())
    for label, line in panels.items():
        if not any(len(events) for events in line.events):
            raise ValueError(
                f"there is nothing to draw: the timeline {label!r} has no events; the run was "
                "stopped early, or nothing was done in the time that was cut out"
            )
    if len(names):
        same_number("names", names, L, "blocks")
    fig = a_figure(fig, (13, 1.2 + (0.55 * L + 1.0) * len(panels)))
    axes = fig.subplots(len(panels), 1, sharex=True, squeeze=False)
    longest = max(line.seconds for line in panels.values()) * 1e3
    for ax, (label, line) in zip(axes[:, 0], panels.items(), strict=True):
        first = min((e[1] for events in line.events for e in events if e[0] == 0), default=1)
        for i, events in enumerate(line.events):
            _bars(ax, i, events, longest, first - 1)
        ax.set_yticks(range(L), names or [f"block {i + 1}" for i in range(L)])
        ax.set_title(label, loc="left")
        ax.grid(False, axis="y")
        ax.set_xlim(0, longest)
    axes[-1, 0].set_xlabel("milliseconds")
    patches = [
        Patch(facecolor=shade, edgecolor="white", hatch=hatch, label=label)
        for label, shade, hatch in KINDS.values()
    ]
    fig.suptitle(title)
    fig.legend(handles=patches, loc="outside lower center", ncols=len(patches))
    return fig


def _bars(ax: Any, row: int, events: np.ndarray, longest: float, before: float) -> None:
    """The bars of one block; `before` is subtracted from the numbers of its batches."""
    for number, (_, shade, hatch) in enumerate(KINDS.values()):
        own = events[events[:, 0] == number]
        spans = [(1e3 * start, 1e3 * (end - start)) for _, _, start, end, _ in own]
        style = {"facecolors": shade, "edgecolor": "white", "linewidth": 0.4, "hatch": hatch}
        ax.broken_barh(spans, (row - 0.4, 0.8), **style)
        if number == 0:
            for (_, step, *_), (start, width) in zip(own, spans, strict=True):
                if width > 0.014 * longest:
                    place = start + width / 2, row
                    number = f"{step - before:.0f}"
                    ax.annotate(number, place, ha="center", va="center", color="white")
