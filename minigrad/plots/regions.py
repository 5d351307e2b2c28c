"""The plane as a network sees it: the class that it gives to each point, and what one unit says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from minigrad.plots.canvas import a_figure, finite, same_number, some
from minigrad.plots.style import styled

# of classes, in the order of their labels; no rule has them. Markers tell them apart in print, too
CLASSES = ("#7B3294", "#B8860B", "#1B7837", "#8C510A", "#35978F", "#525252")
MARKERS = "os^Dv*"
RIM = 0.1  # of the width of the points, beside them
Function = Callable[[np.ndarray], Any]
Ends = tuple[float, float, float, float]  # left, right, bottom, top


@styled
def regions(
    panels: Mapping[str, Function],
    x: Any,
    y: Any,
    title: str,
    columns: int = 5,
    grid: int = 150,
    *,
    fig: Any = None,
) -> Any:
    """A picture for each network {caption: f}, f(points (n, 2)) -> logits (n, C).

    The colour of a place is the class with the highest logit, the paler the less probable. Black
    lines are where the class changes. The dots are the examples.
    x, y     the examples (N, 2) and their labels (N,)
    columns  pictures in a row
    grid     places along each side
    fig      the figure or subfigure to draw in; None: a new one
    Returns the figure.
    """
    from matplotlib.colors import to_rgb

    x, y = _examples(x, y)
    shades = np.array([to_rgb(shade) for shade in CLASSES])
    ends, points = _places(x, grid)
    pictures = {}
    for name, f in some("panels", panels).items():
        logits = finite(repr(name), f(points), "(n, C)", 2)
        same_number(repr(name), logits, len(points), "points")
        if not y.max() < logits.shape[1] <= len(CLASSES):
            raise ValueError(
                f"{name!r} must have a logit for each of the {y.max() + 1} classes, and at most "
                f"{len(CLASSES)}; got {logits.shape[1]}"
            )
        p = np.exp(logits - logits.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        pictures[name] = p

    def draw(ax: Any, p: np.ndarray) -> None:
        C = p.shape[1]
        label = p.argmax(axis=1)
        sure = (C * p.max(axis=1, keepdims=True) - 1) / (C - 1) if C > 1 else np.ones((len(p), 1))
        mixed = 1 - (0.12 + 0.48 * sure) * (1 - shades[label])
        ax.imshow(mixed.reshape(grid, grid, 3), origin="lower", extent=ends, interpolation="none")
        for c in range(C):
            others = np.delete(p, c, axis=1).max(axis=1) if C > 1 else p[:, 0]
            ahead = (p[:, c] - others).reshape(grid, grid)
            if ahead.min() < 0 < ahead.max():
                ax.contour(*_sides(ends, grid), ahead, [0.0], colors="black", linewidths=2)

    return _pictures(pictures, draw, x, y, title, columns, ends, fig)


@styled
def fields(
    panels: Mapping[str, Function],
    x: Any,
    y: Any,
    title: str,
    columns: int = 5,
    grid: int = 150,
    *,
    fig: Any = None,
) -> Any:
    """A picture for each unit {caption: f}, f(points (n, 2)) -> its outputs (n,), >= 0.

    White: the unit says 0. The darker, the more it says; each picture has a scale of its own. The
    black line is where it begins.
    x, y, columns, grid, fig  as for `regions`
    Returns the figure.
    """
    x, y = _examples(x, y)
    ends, points = _places(x, grid)
    pictures = {}
    for name, f in some("panels", panels).items():
        values = finite(repr(name), f(points), "(n,)", 1)
        same_number(repr(name), values, len(points), "points")
        if values.min() < 0:
            raise ValueError(f"{name!r} must not be below 0, got {values.min():g}")
        pictures[name] = values.reshape(grid, grid)

    def draw(ax: Any, values: np.ndarray) -> None:
        top = float(values.max()) or 1.0
        style = {"origin": "lower", "extent": ends, "interpolation": "none"}
        ax.imshow(values, cmap="Greys", vmin=0, vmax=1.6 * top, **style)  # the dots stay visible
        if values.min() == 0 < values.max():
            ax.contour(*_sides(ends, grid), values, [1e-3 * top], colors="black", linewidths=2)

    return _pictures(pictures, draw, x, y, title, columns, ends, fig)


def _examples(x: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
    """Points (N, 2) and their labels (N,), checked."""
    x = finite("x", x, "(N, 2)", 2)
    y = np.asarray(y)
    if x.shape[1] != 2:
        raise ValueError(f"x must be points of the plane, (N, 2), got {x.shape}")
    same_number("y", y, len(x), "points")
    if y.dtype.kind not in "iu" or y.min() < 0 or y.max() >= len(CLASSES):
        raise ValueError(f"y must be labels from 0 to {len(CLASSES) - 1}, got {y.dtype} {y!r:.60}")
    return x, y


def _sides(ends: Ends, grid: int) -> tuple[np.ndarray, np.ndarray]:
    """The places along the lower and the left side."""
    left, right, bottom, top = ends
    return np.linspace(left, right, grid), np.linspace(bottom, top, grid)


def _places(x: np.ndarray, grid: int) -> tuple[Ends, np.ndarray]:
    """(left, right, bottom, top) of a square around the points, and its places (grid², 2)."""
    middle = (x.max(axis=0) + x.min(axis=0)) / 2
    half = (0.5 + RIM) * (float(np.ptp(x, axis=0).max()) or 1.0)
    (left, bottom), (right, top) = middle - half, middle + half
    ends = float(left), float(right), float(bottom), float(top)
    u, v = np.meshgrid(*_sides(ends, grid))
    return ends, np.stack([u.ravel(), v.ravel()], axis=1)


def _pictures(
    pictures: Mapping[str, np.ndarray],
    draw: Callable[[Any, np.ndarray], None],
    x: np.ndarray,
    y: np.ndarray,
    title: str,
    columns: int,
    ends: Ends,
    fig: Any,
) -> Any:
    """A square for each picture, drawn by `draw`, with the examples and a legend of classes."""
    columns = max(1, min(columns, len(pictures)))
    rows = -(-len(pictures) // columns)
    fig = a_figure(fig, (max(6, 3.1 * columns), 3.3 * rows + 1.3))
    axes = fig.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    for ax in axes.flat[len(pictures) :]:
        ax.axis("off")
    for ax, (name, picture) in zip(axes.flat, pictures.items(), strict=False):
        draw(ax, picture)
        for c in np.unique(y):
            dots = {"s": 16, "linewidths": 0.4, "edgecolors": "white", "label": f"class {c}"}
            ax.scatter(*x[y == c].T, color=CLASSES[c], marker=MARKERS[c], **dots)
        ax.grid(False)
        ax.set(title=name, aspect="equal", xlim=ends[:2], ylim=ends[2:])
        ax.title.set_size(14)
    for ax in axes[-1]:
        ax.set_xlabel("x₁")
    for ax in axes[:, 0]:
        ax.set_ylabel("x₂")
    fig.suptitle(title)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    fig.legend(handles, labels, loc="outside lower center", ncols=len(labels), markerscale=2)
    return fig
