"""What a training has measured: its history by epoch, and the confusion matrix at its end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad.history import History
from minigrad.history_table import IN_ORDER, best, of_set
from minigrad.metrics.named import is_share
from minigrad.plots.canvas import a_figure, finite, line, one_axes, same_number
from minigrad.plots.heat import MAP
from minigrad.plots.style import COLOURS, styled, whole_ticks

# Colour, line and marker of each set: they differ in print, too
LOOKS = {
    "train": (COLOURS["train"], "-", "o"),
    "validation": (COLOURS["validation"], "--", "s"),
    "test": (COLOURS["test"], "-.", "^"),
}
AGAINST = {  # the horizontal axis, and its label
    "epochs": "epoch",
    "steps": "steps",
    "examples": "examples",
    "forward-equivalents": "forward-equivalents",
    "seconds": "training time (s)",
}
MOST_MARKERS = 30  # of a longer run the markers would hide the lines
WIDEST = 3  # panels in a row
LARGEST = 20  # classes whose numbers can be read


@styled
def history(
    history: History,
    title: str = "Training",
    *,
    against: str = "epochs",
    cost: float | None = None,
    fig: Any = None,
) -> Any:
    """Losses, accuracies and metrics: a panel each, with all sets. Returns the figure.

    A vertical line marks the best epoch: early stopping's, else that with the lowest loss on the
    validation set, else on the training set.
    against  the horizontal axis: "epochs", "steps", "examples", "seconds" (of training, without
             evaluations), or "forward-equivalents", which needs the cost
    cost     of a step, in forward passes: `rule.cost`, 3 for backprop
    fig      the figure or subfigure to draw in; None: a new one
    """
    if not isinstance(history, History):
        raise TypeError(
            f"history must be what mg.fit returned, a History; got {type(history).__name__}"
        )
    if not history.epoch:
        raise ValueError("there is nothing to draw: no epoch of this history was evaluated")
    across = effort(history, against, cost)
    panels: dict[str, list[tuple[str, Sequence[float]]]] = {}
    for name in IN_ORDER:
        for kind, values in of_set(history, name):
            if np.isfinite(values).any():
                panels.setdefault(kind, []).append((name, values))
    if not panels:
        raise ValueError("there is nothing to draw: no number of this history is finite")
    columns = 2 if len(panels) == 4 else min(WIDEST, len(panels))
    rows = -(-len(panels) // columns)
    fig = a_figure(fig, (max(7, 5.5 * columns), 4.6 * rows + 0.8))
    axes = fig.subplots(rows, columns, squeeze=False)
    for ax in axes.flat[len(panels) :]:
        ax.axis("off")
    found = best(history)
    for ax, (kind, series) in zip(axes.flat, panels.items(), strict=False):
        _panel(ax, history, kind, series, across, against)
        if found is not None:
            epoch = history.epoch[found[1]]
            ax.axvline(across[found[1]], color="0.2", linewidth=1.4, linestyle=":", zorder=1)
    handles = {}
    for ax in axes.flat[: len(panels)]:
        handles |= dict(zip(*reversed(ax.get_legend_handles_labels()), strict=True))
    if found is not None:
        label = f"best epoch, {epoch}, by {found[0].replace('_', ' ')}"
        handles[label] = ax.lines[-1]
    fig.suptitle(title)
    fig.legend(handles.values(), handles, loc="outside lower center", ncols=len(handles))
    return fig


def effort(history: History, against: str = "epochs", cost: float | None = None) -> list[float]:
    """What training had taken at each evaluation, in the unit that `against` names.

    The number of steps and examples follows from the settings of the history.
    """
    if against not in AGAINST:
        raise ValueError(f"against must be one of {', '.join(AGAINST)}, got {against!r:.60}")
    if against == "epochs":
        return list(history.epoch)
    if against == "seconds":
        return list(np.cumsum(history.seconds))
    known = cost is not None and not isinstance(cost, bool) and 0 < cost < np.inf
    if against == "forward-equivalents" and not known:
        raise ValueError(
            "forward-equivalents are steps times the cost of one: give cost=rule.cost, a number "
            f"above 0; got {cost!r:.60}"
        )
    N, batch_size = (history.settings.get(name) for name in ("examples", "batch_size"))
    if not isinstance(N, int) or not isinstance(batch_size, int):
        raise ValueError(
            f"this history does not say how many {against} an epoch has: its settings need "
            "examples and batch_size, as those from mg.fit have"
        )
    steps = N // batch_size if history.settings.get("drop_last") else -(-N // batch_size)
    if history.settings.get("drop_last"):
        N = steps * batch_size
    each = {"steps": steps, "examples": N}.get(against, steps * (cost or 0))
    return [each * epoch for epoch in history.epoch]


def _panel(
    ax: Any,
    history: History,
    kind: str,
    series: Sequence[tuple[str, Sequence[float]]],
    across: Sequence[float],
    against: str,
) -> None:
    """What was measured of one kind, a line for each set."""
    scale = 100 if is_share(kind) else 1
    for name, values in series:
        x, y = line(f"{name} {kind}", across, values)
        shade, style, marker = LOOKS[name]
        mark = {"marker": marker, "markersize": 6} if len(x) <= MOST_MARKERS else {}
        ax.plot(x, scale * y, style, color=shade, label=name, **mark)
    words = "R²" if kind == "r2" else kind.replace("_", " ")
    if kind == "loss" and "loss" in history.settings:
        words = f"loss: {str(history.settings['loss']).partition('(')[0]}"
    ax.set(xlabel=AGAINST[against], ylabel=f"{words} (%)" if scale == 100 else words)
    if against == "epochs":
        whole_ticks(ax)


@styled
def confusion(
    matrix: Any,
    names: Sequence[str] | None = None,
    title: str = "Confusion matrix",
    *,
    ax: Any = None,
) -> Any:
    """A confusion matrix (C, C): rows are true labels, columns answers. Returns the figure.

    Each cell has its number of examples. Its colour is the cell's share of its row, so that classes
    with few examples are seen, too: on the diagonal it is the recall. For more than 20 classes
    there are colours only.
    matrix  from mg.metrics.confusion_matrix
    names   of the classes; None: their numbers
    ax      the axes to draw in; None: those of a new figure
    """
    matrix = finite("matrix", matrix, "(C, C)", 2)
    C = len(matrix)
    if matrix.shape != (C, C) or (matrix < 0).any():
        raise ValueError(
            f"a confusion matrix has C rows and C columns of numbers >= 0, got {matrix.shape}"
            + (f" from {matrix.min():g} on" if matrix.min() < 0 else "")
        )
    labels = [str(i) for i in range(C)] if names is None else [str(name) for name in names]
    same_number("names", labels, C, "classes")
    sums = matrix.sum(axis=1, keepdims=True)
    shares = 100 * matrix / np.where(sums == 0, 1, sums)
    side = min(11, max(5, 0.75 * C + 2))
    fig, axes = one_axes(ax, (side + 1.2, side))
    image = axes.imshow(shares, cmap=MAP, vmin=0, vmax=100, interpolation="nearest")
    size = 14 if C <= 10 else 9
    for i, j in np.ndindex(*matrix.shape if C <= LARGEST else (0, 0)):
        if matrix[i, j]:
            shade = "black" if shares[i, j] > 50 else "white"
            axes.text(j, i, f"{matrix[i, j]:g}", ha="center", va="center", color=shade, size=size)
    step = 1 if C <= LARGEST else -(-C // LARGEST)
    turned = 90 if C * max(map(len, labels)) > 30 else 0
    axes.set_xticks(range(0, C, step), labels[::step], rotation=turned)
    axes.set_yticks(range(0, C, step), labels[::step])
    axes.set(xlabel="answer", ylabel="true label", title=title)
    axes.grid(False)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    bar = fig.colorbar(image, ax=axes, pad=0.02)
    bar.set_label("share of the true label (%)")
    return fig
