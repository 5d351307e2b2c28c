"""Paths of gradient descent: on a curve, by step number, over contours, and with a slider."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from minigrad.plots.canvas import a_figure, finite, line, one_axes, some
from minigrad.plots.style import LINES, colour, styled

_STEP = {"boxstyle": "circle,pad=0.15", "facecolor": "#F0E442", "edgecolor": "none", "alpha": 0.9}


@styled
def on_a_curve(
    f: Callable[[np.ndarray], np.ndarray],
    paths: Mapping[str, Sequence[float]],
    title: str,
    span: float = 1.2,
    *,
    fig: Any = None,
) -> Any:
    """The curve y = f(x) with the numbered steps of a path, a panel for each. Returns the figure.

    paths  {label: x at each step}
    span   the curve is drawn from -span to span
    fig    the figure or subfigure to draw in; None: a new one
    """
    steps = {k: finite(repr(k), xs, "(steps,)", 1) for k, xs in some("paths", paths).items()}
    fig = a_figure(fig, (6 * len(steps), 5.2))
    axes = fig.subplots(1, len(steps), sharey=True, squeeze=False)[0]
    grid = np.linspace(-span, span, 200)
    for i, (ax, (label, xs)) in enumerate(zip(axes, steps.items(), strict=True)):
        ax.plot(grid, f(grid), color="0.6")
        ax.plot(xs, f(xs), "o-", color=colour(label, i), linewidth=1.2)
        last = None
        for k, x in enumerate(xs):
            y = float(f(x))
            if last is not None and np.hypot(x - last[0], y - last[1]) < 0.09:
                continue  # this number would cover the last one
            out = 1 if x >= 0 else -1
            ax.annotate(
                str(k),
                (x, y),
                xytext=(26 * out, -6),
                textcoords="offset points",
                bbox=_STEP,
                fontsize=11,
                ha="center",
            )
            last = (x, y)
        ax.set(title=label, xlabel="x", ylabel="" if i else "f(x)", ylim=(-0.08, 1.05 * span**2))
    fig.suptitle(title)
    return fig


@styled
def by_step(
    series: Mapping[str, Sequence[float]], title: str, ylabel: str = "x", *, ax: Any = None
) -> Any:
    """Sequences {label: a value at each step} over the step number. Returns the figure.

    ax  the axes to draw in; None: those of a new figure
    """
    drawn = {k: line(k, np.arange(len(xs)), xs) for k, xs in some("series", series).items()}
    fig, axes = one_axes(ax, (9, 5))
    for i, (label, (steps, xs)) in enumerate(drawn.items()):
        style = f"o{LINES[i % len(LINES)]}"
        axes.plot(steps, xs, style, color=colour(label, i), label=label)
    axes.axhline(0, color="black", linewidth=1)
    axes.set(title=title, xlabel="step", ylabel=ylabel)
    axes.legend()
    return fig


@styled
def over_contours(
    f: Callable[[np.ndarray, np.ndarray], np.ndarray],
    paths: Mapping[str, np.ndarray],
    title: str,
    xlim: tuple[float, float],
    ylim: tuple[float, float],
    numbered: Sequence[int] = (0, 1, 2, 3, 4, 5, 10, 20, 40),
    *,
    fig: Any = None,
) -> Any:
    """Paths {label: (K + 1, 2)} over the contours of f, a panel for each. Returns the figure.

    x and y have one scale, so that a slope and a right angle look as they are.
    f         f(x, y) of arrays; above zero at some place of the panel
    numbered  the steps whose number is written beside them
    fig       the figure or subfigure to draw in; None: a new one
    """
    paths = {k: finite(repr(k), p, "(K + 1, 2)", 2) for k, p in some("paths", paths).items()}
    x, y = np.meshgrid(np.linspace(*xlim, 200), np.linspace(*ylim, 200))
    z = finite("f(x, y)", f(x, y))
    if not z.max() > 0:
        raise ValueError(f"the contours are those of log f: f must be above 0, it is {z.max():g}")
    rows = -(-len(paths) // 2)
    tall = (ylim[1] - ylim[0]) / (xlim[1] - xlim[0])  # height over width of a panel
    fig = a_figure(fig, (15, min(14.0, (6.7 * tall + 0.6) * rows + 0.9)))
    axes = fig.subplots(rows, 2, sharex=True, sharey=True, squeeze=False)
    levels = np.geomspace(max(z.min(), z.max() * 1e-4), z.max(), 18)
    for i, (ax, (label, path)) in enumerate(zip(axes.flat, paths.items(), strict=False)):
        ax.contour(x, y, z, levels=levels, colors="0.75", linewidths=0.8)
        ax.plot(0, 0, "*", color="0.5", markersize=14)
        ax.plot(*path.T, "o-", color=colour(label, i), markersize=4, linewidth=1.3)
        ax.set(title=label, xlim=xlim, ylim=ylim, aspect="equal")
        _number(ax, path, numbered, np.array([xlim[1] - xlim[0], ylim[1] - ylim[0]]))
        ax.grid(False)
    for ax in axes.flat[len(paths) :]:
        ax.axis("off")
    for ax in axes[-1]:
        ax.set_xlabel("x")
    for ax in axes[:, 0]:
        ax.set_ylabel("y")
    fig.suptitle(title)
    return fig


def _number(ax: Any, path: np.ndarray, which: Sequence[int], size: np.ndarray) -> None:
    """Write numbers beside these steps of the path, but none that would cover another."""
    placed: list[np.ndarray] = []
    for k in which:
        if k >= len(path) or any((abs(path[k] - p) / size < (0.05, 0.08)).all() for p in placed):
            continue
        placed.append(path[k])
        style = {"textcoords": "offset points", "bbox": _STEP, "fontsize": 10}
        ax.annotate(str(k), path[k], xytext=(-3, 10), **style)


@styled
def step_slider(
    f: Callable[[np.ndarray], np.ndarray],
    descend: Callable[[float], Sequence[float]],
    start: float = 0.1,
    largest: float = 1.1,
    *,
    fig: Any = None,
) -> tuple[Any, Any]:
    """The curve y = f(x) and a path on it, with a slider for the step size.

    descend  gives the path for a step size: x at each step
    fig      the figure to draw in; None: a new one
    Returns (figure, slider). Keep both in variables: a slider that is no longer kept stops working.
    """
    from matplotlib.widgets import Slider

    xs = finite("descend(start)", descend(start), "(steps,)", 1)
    fig = a_figure(fig, (8, 6.5), layout="none")
    ax = fig.subplots()
    fig.subplots_adjust(bottom=0.22)
    grid = np.linspace(-1.5, 1.5, 200)
    ax.plot(grid, f(grid), color="0.6")
    (line,) = ax.plot(xs, f(xs), "o-", color=colour("backprop"), linewidth=1.2)
    ax.set(title=f"step size {start:.2f}", xlabel="x", ylabel="f(x)", ylim=(-0.1, 2.3))
    ax.set_xlim(-1.5, 1.5)
    slider = Slider(fig.add_axes((0.2, 0.06, 0.6, 0.04)), "step size", 0.01, largest, valinit=start)

    def move(value: float) -> None:
        xs = np.asarray(descend(value))
        line.set_data(xs, f(xs))
        ax.set_title(f"step size {value:.2f}: " + ("falls" if abs(xs[-1]) < 1 else "diverges"))
        fig.canvas.draw_idle()

    slider.on_changed(move)
    return fig, slider
