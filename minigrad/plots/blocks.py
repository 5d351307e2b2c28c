"""The blocks of a network, and what each sends to whom: by backprop, and with modules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minigrad.plots.canvas import a_figure, same_number
from minigrad.plots.style import COLOURS, styled

UP, DOWN, PREDICTED = (COLOURS[role] for role in ("value", "gradient", "synthetic"))
Place = tuple[float, float]


@styled
def blocks(
    names: Sequence[str],
    outputs: Sequence[str],
    title: str,
    told: bool = False,
    *,
    fig: Any = None,
) -> Any:
    """A network twice, from its input upwards: by backprop, and with synthetic gradients.

    Messages are numbered in their order, up to the one that block 1 waits for. Returns the figure.
    names    what is written into the blocks, from the lowest
    outputs  what each block sends up. "h" comes back as its gradient "dh"
    told     whether the modules get the label y
    fig      the figure or subfigure to draw in; None: a new one
    """
    if len(names) < 2:
        raise ValueError(f"a network that is cut has at least two blocks, got {len(names)}")
    same_number("outputs", outputs, len(names), "blocks")
    fig = a_figure(fig, (13, 1.8 + 2.2 * len(names)))
    left, right = fig.subplots(1, 2, width_ratios=(1, 1.35))
    L = len(names)
    for ax in (left, right):
        _stack(ax, names)
    for i, output in enumerate(outputs):
        _arrow(left, (-0.35, 2 * i + 0.5), (-0.35, 2 * i + 1.5), UP, f"{i + 1}: {output}", "left")
        place = (0.35, 2 * i + 1.5), (0.35, 2 * i + 0.5)
        _arrow(left, *place, DOWN, f"{2 * L - i}: d{output}", "right")
    for i, output in enumerate(outputs[:-1]):
        _module(right, i, output, told)
    top = 2 * L - 2
    _arrow(right, (-0.35, top + 0.5), (-0.35, top + 1.5), UP, outputs[-1], "left")
    _arrow(right, (0.35, top + 1.5), (0.35, top + 0.5), DOWN, f"d{outputs[-1]}", "right")
    for ax, words in ((left, "backprop"), (right, "synthetic gradients")):
        n = 2 if ax is right else 2 * L
        ax.set_title(f"{words}: block 1 steps after message {n}")
    left.set(xlim=(-2.0, 2.0), ylim=(-1.6, 2 * L + 0.6))
    right.set(xlim=(-2.0, 4.9 if told else 3.9), ylim=(-1.6, 2 * L + 0.6))
    fig.suptitle(title)
    return fig


def _stack(ax: Any, names: Sequence[str]) -> None:
    """The blocks one above the other, between the input and the loss."""
    ax.axis("off")
    for i, name in enumerate([*names, "loss"]):
        _box(ax, (0, 2 * i), name, "black")
    ax.text(0, -1.45, "x", ha="center", va="center", color=UP, fontsize=16)
    _arrow(ax, (0, -1.25), (0, -0.5), UP)


def _module(ax: Any, i: int, output: str, told: bool) -> None:
    """Between block i and the next: the module beside them, and its messages."""
    y = 2 * i + 1.0
    beside = 2.7
    _arrow(ax, (-0.35, y - 0.5), (-0.35, y + 0.5), UP, f"1: {output}" if i == 0 else output, "left")
    _box(ax, (beside, y), "module", PREDICTED, half=0.75)
    _arrow(ax, (-0.35, y), (beside - 0.8, y), UP)
    words = f"2: d{output}_hat" if i == 0 else f"d{output}_hat"
    _arrow(ax, (beside, y - 0.5), (1.25, y - 1.0), PREDICTED, words, "below")
    _arrow(ax, (1.25, y + 1.0), (beside, y + 0.5), DOWN, f"d{output}, later", "above", "--")
    if told:
        ax.text(beside + 1.75, y, "y", ha="center", va="center", color=UP, fontsize=16)
        _arrow(ax, (beside + 1.6, y), (beside + 0.8, y), UP)


def _box(ax: Any, place: Place, words: str, shade: str, half: float = 1.2) -> None:
    from matplotlib.patches import FancyBboxPatch

    x, y = place
    look = {"facecolor": "white", "edgecolor": shade, "linewidth": 2.0, "zorder": 3}
    style = "round,pad=0.02,rounding_size=0.12"
    ax.add_patch(FancyBboxPatch((x - half, y - 0.45), 2 * half, 0.9, boxstyle=style, **look))
    ax.text(x, y, words, ha="center", va="center", fontsize=15, zorder=4)


def _arrow(
    ax: Any, start: Place, end: Place, shade: str, words: str = "", side: str = "", line: str = "-"
) -> None:
    look = {"arrowstyle": "-|>", "color": shade, "linewidth": 2.2, "linestyle": line}
    ax.annotate(
        "", end, start, arrowprops=look | {"shrinkA": 0, "shrinkB": 0, "mutation_scale": 20}
    )
    if not words:
        return
    middle = ((start[0] + end[0]) / 2, (start[1] + end[1]) / 2)
    (x, y), dx, dy, ha, va = {
        "left": (middle, -0.12, 0.0, "right", "center"),
        "right": (middle, 0.12, 0.0, "left", "center"),
        "above": (end, 0.12, 0.08, "left", "bottom"),
        "below": (start, 0.12, -0.08, "left", "top"),
    }[side]
    ax.text(x + dx, y + dy, words, ha=ha, va=va, color=shade, fontsize=16)
