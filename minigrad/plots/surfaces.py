"""Surfaces with paths of descent, seen from the side and from above; clouds of estimates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from minigrad.plots.canvas import a_figure, finite, some
from minigrad.plots.style import LINES, colour, styled

_GRID = 241  # points of each axis
_OUTLINE = {"markeredgecolor": "white", "markeredgewidth": 1.2}


@styled
def surface_paths(
    surface: Any,
    paths: Mapping[str, np.ndarray],
    title: str,
    limits: tuple[tuple[float, float], tuple[float, float]] | None = None,
    view: tuple[float, float] = (42, -122),
    decades: float = 6,
    *,
    fig: Any = None,
) -> Any:
    """Paths {label: (T + 1, 2)} on a surface, from the side and over contours. Returns the figure.

    surface   mg.functions.Beale(), ...: something with `heights(x, y)`, `minimum` and `limits`
    limits    ((x low, x high), (y low, y high)). None: those of the surface
    view      elevation and azimuth of the eye, in degrees
    decades   heights less than 10^-decades times the highest are drawn as equally low
    fig       the figure or subfigure to draw in; None: a new one
    The height shown is log10 f: otherwise the ground around a minimum would look flat. Points
    outside the limits, and points that are NaN or infinite, are gaps in a path.
    """
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.ticker import MaxNLocator

    xlim, ylim = limits or surface.limits
    paths = {label: _path(label, path) for label, path in some("paths", paths).items()}
    x, y = np.meshgrid(np.linspace(*xlim, _GRID), np.linspace(*ylim, _GRID))
    top = surface.heights(x, y).max()

    def log_height(x: Any, y: Any) -> Any:
        with np.errstate(over="ignore", invalid="ignore"):
            return np.log10(np.maximum(surface.heights(x, y), top * 10.0**-decades))

    z = log_height(x, y)
    fig = a_figure(fig, (15, 7))
    greys = LinearSegmentedColormap.from_list("heights", ["0.45", "0.93"])
    side = fig.add_subplot(121, projection="3d", computed_zorder=False)
    above = fig.add_subplot(122)
    side.plot_surface(x, y, z, cmap=greys, rcount=_GRID, ccount=_GRID, linewidth=0)
    for ax in (side, above):
        ax.contour(x, y, z, levels=20, colors="0.6", linewidths=0.8, linestyles="-", zorder=2)
    for i, (label, path) in enumerate(paths.items()):
        inside = _inside(path, xlim, ylim)
        style = {"color": colour(label, i), "linestyle": LINES[i % len(LINES)], "linewidth": 2.6}
        # From the side a path is drawn a little above the surface, which would hide parts of it.
        side.plot(*inside.T, log_height(*inside.T) + 0.05, zorder=3, **style)
        above.plot(*inside.T, label=label, zorder=3, **style)
        above.plot(*inside[-1:].T, "o", color=colour(label, i), markersize=9, zorder=4, **_OUTLINE)
    starts = np.unique([path[0] for path in paths.values()], axis=0)
    for points, marker, size, name in (
        (starts, "s", 10, "start"),
        (np.array([surface.minimum]), "*", 20, "minimum"),
    ):
        style = {"color": "black", "markersize": size, "linestyle": "none", **_OUTLINE}
        side.plot(*points.T, log_height(*points.T) + 0.05, marker, zorder=5, **style)
        above.plot(*points.T, marker, zorder=5, label=name, **style)
    above.set(xlabel="x", ylabel="y", xlim=xlim, ylim=ylim)
    above.grid(False)
    side.set(xlabel="x", ylabel="y", xlim=xlim, ylim=ylim)
    side.set_zlabel("height f")
    side.zaxis.set_major_formatter(lambda power, _: f"$10^{{{power:.0f}}}$")
    for axis in (side.xaxis, side.yaxis, side.zaxis):
        axis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10], integer=axis is side.zaxis))
        axis.labelpad = 8
    side.view_init(*view)
    side.set_box_aspect((1, 1, 0.75), zoom=1.08)
    fig.legend(*above.get_legend_handles_labels(), loc="outside lower center", ncols=6)
    fig.suptitle(title)
    return fig


def _path(label: str, path: Any) -> np.ndarray:
    """The path as an array. ValueError unless it is (T + 1, 2) with at least one finite point."""
    array = np.asarray(path, float)
    if array.ndim != 2 or array.shape[1] != 2 or not len(array):
        raise ValueError(f"{label!r} must be a path of shape (T + 1, 2), got {array.shape}")
    if not np.isfinite(array).all(axis=1).any():
        raise ValueError(f"{label!r} has no point that can be drawn: all are NaN or infinite")
    return array


def _inside(path: np.ndarray, xlim: tuple[float, float], ylim: tuple[float, float]) -> np.ndarray:
    """The path, with NaN for points outside the limits. A line has a gap there."""
    low, high = np.array([xlim, ylim]).T
    with np.errstate(invalid="ignore"):
        return np.where(((path >= low) & (path <= high)).all(axis=1, keepdims=True), path, np.nan)


@styled
def cloud(
    estimates: Mapping[str, np.ndarray],
    true: np.ndarray,
    title: str,
    share: float = 0.95,
    *,
    fig: Any = None,
) -> Any:
    """Estimates {label: (S, 2)} of a gradient (2,) as points, with their mean. Returns the figure.

    There is one panel for each entry. All have one scale.
    share  the panels show at least this share of each entry's points. How many lie outside is
           written in a corner
    fig    the figure or subfigure to draw in; None: a new one
    """
    from matplotlib.lines import Line2D

    true = finite("true", true, "(2,)", 1)
    clouds = {k: finite(repr(k), e, "(S, 2)", 2) for k, e in some("estimates", estimates).items()}
    for name, array in {"true": true, **clouds}.items():
        if array.shape[-1] != 2:
            raise ValueError(f"{name!r} must have two columns, ∂f/∂x and ∂f/∂y; got {array.shape}")
    fig = a_figure(fig, (5 * len(clouds), 6.8), layout="compressed")
    axes = fig.subplots(1, len(clouds), sharex=True, sharey=True, squeeze=False)
    drawn = np.concatenate([_nearest(points, share) for points in clouds.values()])
    drawn = np.concatenate([drawn, [true, (0, 0)]])
    middle = (drawn.max(axis=0) + drawn.min(axis=0)) / 2
    half = np.ptp(drawn, axis=0).max() * 0.54
    if half == 0:  # the gradient and all estimates are zero
        half = 1.0
    arrow = {"arrowstyle": "-|>,head_length=0.6,head_width=0.3", "shrinkA": 0, "shrinkB": 0}
    box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8}
    ring = {"color": "black", "marker": "o", "fillstyle": "none", "linestyle": "none"}
    ring |= {"markersize": 15, "markeredgewidth": 2.5}
    arrow |= {"color": colour("backprop"), "linewidth": 4}
    for i, (ax, (label, points)) in enumerate(zip(axes[0], clouds.items(), strict=True)):
        ax.axhline(0, color="0.7", linewidth=1, zorder=0)
        ax.axvline(0, color="0.7", linewidth=1, zorder=0)
        own = colour(label, i)
        ax.plot(*points.T, "o", color=own, markersize=5, alpha=0.3, markeredgewidth=0)
        ax.annotate("", true, (0, 0), arrowprops=arrow, zorder=4)
        ax.plot(*points.mean(axis=0), zorder=5, **ring)
        ax.set(title=label, xlabel="∂f/∂x", aspect="equal")
        ax.set(xlim=middle[0] + [-half, half], ylim=middle[1] + [-half, half])
        beyond = int((abs(points - middle) > half).any(axis=1).sum())
        if beyond:
            words = f"{beyond} of {len(points)} lie beyond"
            ax.text(0.03, 0.03, words, transform=ax.transAxes, fontsize=13, bbox=box)
    axes[0, 0].set_ylabel("∂f/∂y")
    handles = [
        Line2D([], [], color=colour("backprop"), linewidth=4, label="true gradient"),
        Line2D([], [], color="0.45", marker="o", linestyle="none", label="one estimate"),
        Line2D([], [], label="mean of all", **ring),
    ]
    fig.legend(handles=handles, loc="outside lower center", ncols=3)
    fig.suptitle(title)
    return fig


def _nearest(points: np.ndarray, share: float) -> np.ndarray:
    """This share of the points, those nearest to their median."""
    distance = np.linalg.norm(points - np.median(points, axis=0), axis=1)
    return points[distance <= np.quantile(distance, share)]
