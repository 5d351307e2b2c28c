"""Which way activations and gradients go between the blocks of a network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minigrad.plots.canvas import a_figure
from minigrad.plots.style import COLOURS, styled

WIDTH, HEIGHT = 0.52, 0.5  # of a block
PANELS = {
    "backprop: the gradient comes back through all blocks above": False,
    "decoupled: a module at each interface predicts the gradient": True,
}


@styled
def interfaces(names: Sequence[str], title: str, *, fig: Any = None) -> Any:
    """Two or more blocks in a row, from x to the loss: by backprop, and decoupled.

    Decoupled, each block but the last has a module M. It reads the block's output and predicts the
    gradient dh_hat; what the next block finds at its input teaches it later.
    names  what is written into the blocks
    fig    the figure or subfigure to draw in; None: a new one
    Returns the figure.
    """
    if len(names) < 2:
        raise ValueError(f"there is no interface in {len(names)} blocks: names needs two or more")
    fig = a_figure(fig, (3 * len(names) + 1, 7))
    axes = fig.subplots(2, 1, height_ratios=(1.05, 1.7))
    for ax, (label, decoupled) in zip(axes, PANELS.items(), strict=True):
        ax.axis("off")
        ax.set_xlim(-0.75, len(names) - 0.1)
        ax.set_ylim(-1.15 if decoupled else -0.5, 0.55)
        ax.set_title(label, loc="left")
        _activations(ax, names)
        for i in range(len(names) - 1):
            if decoupled:
                _module(ax, i)
            else:
                _arrow(ax, (i + 1 - WIDTH / 2, -0.12), (i + WIDTH / 2, -0.12), "gradient")
                _write(ax, i + 0.5, -0.23, f"dh{_low(i + 1)}", "gradient")
        top = len(names) - 1
        _arrow(ax, (top + 0.72, -0.12), (top + WIDTH / 2, -0.12), "gradient")
    fig.suptitle(title)
    return fig


def _activations(ax: Any, names: Sequence[str]) -> None:
    """x, the blocks, the loss, and what goes up between them."""
    _write(ax, -0.68, 0.12, "x", "value")
    _arrow(ax, (-0.6, 0.12), (-WIDTH / 2, 0.12), "value")
    for i, name in enumerate(names):
        _box(ax, i, 0.0, WIDTH, HEIGHT, name, "black")
        last = i == len(names) - 1
        end = i + 0.72 if last else i + 1 - WIDTH / 2
        _arrow(ax, (i + WIDTH / 2, 0.12), (end, 0.12), "value")
        if not last:
            _write(ax, i + 0.5, 0.23, f"h{_low(i + 1)}", "value")
    ax.text(len(names) - 0.25, 0.0, "loss", ha="left", va="center", fontsize=17)


def _module(ax: Any, i: int) -> None:
    """The module of block i: from h up there to dh_hat, and what it learns from."""
    _box(ax, i + 0.5, -0.72, 0.26, 0.36, f"M{_low(i + 1)}", COLOURS["synthetic"])
    _arrow(ax, (i + 0.5, 0.1), (i + 0.5, -0.53), "value")
    _arrow(ax, (i + 0.36, -0.72), (i, -0.26), "synthetic")
    _write(ax, i, -0.74, f"dh_hat{_low(i + 1)}", "synthetic")
    style = {"linestyle": ":", "shrinkA": 0, "shrinkB": 0}
    _arrow(ax, (i + 1 - 0.12, -0.26), (i + 0.64, -0.64), "gradient", **style)
    _write(ax, i + 0.66, -1.0, "learns later", "gradient")


def _box(ax: Any, x: float, y: float, width: float, height: float, text: str, edge: str) -> None:
    from matplotlib.patches import Rectangle

    corner = x - width / 2, y - height / 2
    ax.add_patch(Rectangle(corner, width, height, facecolor="white", edgecolor=edge, linewidth=2))
    ax.text(x, y, text, ha="center", va="center", fontsize=17)


def _arrow(
    ax: Any, start: tuple[float, float], end: tuple[float, float], role: str, **style: Any
) -> None:
    style = {"arrowstyle": "-|>", "linewidth": 2, "mutation_scale": 18, "color": COLOURS[role]} | {
        "shrinkA": 0,
        "shrinkB": 0,
        **style,
    }
    ax.annotate("", end, start, arrowprops=style)


def _write(ax: Any, x: float, y: float, text: str, role: str) -> None:
    ax.text(x, y, text, ha="center", va="center", color=COLOURS[role], fontsize=17)


def _low(number: int) -> str:
    return "".join(chr(0x2080 + int(digit)) for digit in str(number))
