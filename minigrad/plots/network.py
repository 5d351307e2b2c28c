"""A small network drawn with its numbers: values forward in blue, gradients backward in red."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad.plots.style import COLOURS, styled


@styled
def network(
    values: Sequence[np.ndarray],
    gradients: Sequence[np.ndarray | None],
    weights: Sequence[np.ndarray],
    weight_gradients: Sequence[np.ndarray],
    names: Sequence[str],
    title: str,
) -> Any:
    """Columns of nodes, one for each entry of `values`, joined by `weights` (n_in, n_out).

    Under each value stands its gradient (none where `gradients` has None); on each edge the
    weight and its gradient. Returns fig.
    """
    import matplotlib.pyplot as plt

    fig, ax = plt.subplots(figsize=(13, 7))
    places = [_column(i, len(column)) for i, column in enumerate(values)]
    for left, right, W, dW in zip(places, places[1:], weights, weight_gradients, strict=False):
        for (i, start), (j, end) in ((a, b) for a in enumerate(left) for b in enumerate(right)):
            ax.plot(*zip(start, end, strict=True), color="0.75", linewidth=1.5, zorder=1)
            x, y = (a + 0.3 * (b - a) for a, b in zip(start, end, strict=True))  # before they cross
            ax.text(x - 0.005, y, f"{W[i, j]:.3f}", color=COLOURS["value"], ha="right", **_LABEL)
            ax.text(
                x + 0.005, y, f"{dW[i, j]:+.4f}", color=COLOURS["gradient"], ha="left", **_LABEL
            )
    for column, nodes, gradient, name in zip(values, places, gradients, names, strict=True):
        ax.text(nodes[0][0], 1.05, name, ha="center", fontsize=17)
        for k, place in enumerate(nodes):
            ax.plot(*place, "o", markersize=68, color="white", markeredgecolor="black", zorder=3)
            up = 0.03 if gradient is not None else 0
            ax.text(place[0], place[1] + up, f"{column[k]:.4g}", color=COLOURS["value"], **_NODE)
            if gradient is not None:
                text = f"{gradient[k]:+.3f}"
                ax.text(place[0], place[1] - 0.045, text, color=COLOURS["gradient"], **_NODE)
    ax.set(xlim=(-0.35, len(values) - 0.65), ylim=(-0.08, 1.12), title=title)
    ax.axis("off")
    ax.text(0, -0.05, "value (forward)", color=COLOURS["value"], ha="center", fontsize=16)
    ax.text(
        1,
        -0.05,
        "gradient of the loss (backward)",
        color=COLOURS["gradient"],
        ha="center",
        fontsize=16,
    )
    return fig


def _column(i: int, n: int) -> list[tuple[float, float]]:
    return [(float(i), 1 - (k + 0.5) / n) for k in range(n)]


_LABEL = {
    "va": "center",
    "fontsize": 13,
    "zorder": 2,
    "bbox": {"facecolor": "white", "edgecolor": "none", "pad": 1.5},
}
_NODE = {"ha": "center", "va": "center", "fontsize": 14, "zorder": 4}
