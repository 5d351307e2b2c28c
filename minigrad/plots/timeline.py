"""Who is at work when: a line for each block, a bar for each piece of work."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from minigrad.plots.style import COLOURS, styled

KINDS = {  # as minigrad.asynchronous.timeline has them: label, colour, hatch
    "forward": ("forward", COLOURS["value"], ""),
    "backward": ("backward and step", COLOURS["gradient"], "//"),
    "module": ("module: predict, learn", COLOURS["synthetic"], ".."),
}


@styled
def timelines(panels: Mapping[str, Any], title: str, names: tuple[str, ...] = ()) -> Any:
    """Panels {title: Timeline} above each other over one clock, block 1 at the bottom.

    On the forward bars stand the batches' numbers, from 1 for the first in the panel. Returns fig.
    """
    import matplotlib.pyplot as plt
    from matplotlib.patches import Patch

    L = max(len(line.events) for line in panels.values())
    fig, axes = plt.subplots(
        len(panels),
        1,
        figsize=(13, 1.2 + (0.55 * L + 1.0) * len(panels)),
        sharex=True,
        squeeze=False,
    )
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
