"""A search over two settings as a map: the result of each combination, and the best one."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.plots.canvas import one_axes
from minigrad.plots.style import COLOURS, styled
from minigrad.search.results import LOSS, Results, Table, short, significant

MAP = "cividis"  # dark blue to yellow: it looks the same to colour-blind readers
EMPTY = "0.93"
HATCHES = {"diverged": "///", "failed": "xxx"}


@styled
def heat_map(
    results: Results | Table,
    title: str,
    x: str | None = None,
    y: str | None = None,
    metric: str = LOSS,
    highest: bool | None = None,
    frame_best: bool = True,
    *,
    ax: Any = None,
) -> Any:
    """The mean over the seeds ± their standard deviation, for each (x, y). Returns the figure.

    results  those of mg.search.grid, or one of their tables, which has a metric of its own
    x, y     the names of the two settings. None: the grid's first two. Other settings must have
             one value: results.where(momentum=0.9)
    highest  True if the highest value is the best one. None: True for an accuracy
    frame_best  False: no cell stands out, as where chance alone tells them apart
    ax       the axes to draw in; None: those of a new figure
    The colours follow the logarithm of the mean, but not if high is good or a mean is <= 0.
    """
    from matplotlib.colors import LogNorm, Normalize
    from matplotlib.patches import Patch, Rectangle

    if not isinstance(results, Results | Table):
        raise TypeError(
            "results must be what mg.search.grid returned, or a table of it; got "
            f"{type(results).__name__}"
        )
    table = results.table(metric, highest) if isinstance(results, Results) else results
    x, y = _names(table, x, y)
    table = table.turned(*filter(None, (y, x)))
    columns, rows = table.axes[x], table.axes[y] if y else [""]
    mean = table.mean.reshape(len(rows), len(columns))
    finite = mean[np.isfinite(mean)]
    low, high = (finite.min(), finite.max()) if finite.size else (1.0, 1.0)
    scale = LogNorm(low, high) if low > 0 and not table.highest else Normalize(low, high)
    several = np.isfinite(table.spread).any()
    size = max(6.0, 2.2 + 1.5 * len(columns)), 2.6 + (0.85 if several else 0.7) * len(rows)
    given = ax is not None
    fig, ax = one_axes(ax, size)
    image = ax.imshow(mean, cmap=MAP, norm=scale, aspect="auto", interpolation="nearest")
    named = {}
    for at in np.ndindex(*table.mean.shape):
        i, j = (0, *at)[-2:]
        words = table.words(at)
        kinds = [kind for kind in HATCHES if kind in words]
        for kind in kinds[:1]:
            style = {"facecolor": EMPTY, "edgecolor": "0.65", "hatch": HATCHES[kind]}
            ax.add_patch(Rectangle((j - 0.5, i - 0.5), 1, 1, linewidth=0, **style))
            named[kind] = Patch(label=kind, **style)
        _write(ax, (j, i), words, EMPTY if kinds else image.to_rgba(mean[i, j]))
        if frame_best and at == table.best:
            frame = {"fill": False, "edgecolor": COLOURS["gradient"], "linewidth": 5}
            ax.add_patch(Rectangle((j - 0.5, i - 0.5), 1, 1, zorder=4, clip_on=False, **frame))
            words = "highest" if table.highest else "lowest"
            seeds = f" mean of {table.runs[at]} seeds" if table.runs[at] > 1 else ""
            named["best"] = Patch(label=words + seeds, **frame)
    ax.set_xticks(range(len(columns)), [short(v) for v in columns])
    ax.set_yticks(range(len(rows)), [short(v) for v in rows])
    ax.set(xlabel=x, ylabel=y or "", title=title)
    ax.grid(False)
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0)
    if finite.size:
        _bar(fig, image, ax, table.metric.replace("_", " "))
    if named:
        handles = [named[name] for name in ("best", *HATCHES) if name in named]
        if given:
            ax.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=3)
        else:
            fig.legend(handles=handles, loc="outside lower center", ncols=3)
    return fig


def _names(table: Table, x: str | None, y: str | None) -> tuple[str, str | None]:
    """The names of the two settings; None for y if the table has one. ValueError for a third."""
    axes = table.axes
    for name in (x, y):
        if name is not None and name not in axes:
            raise ValueError(f"there is no setting {name!r}: the grid has {list(axes)}")
    others = [name for name in axes if name not in (x, y)]
    others.sort(key=lambda name: len(axes[name]) == 1)  # settings with one value come last
    if x is None and others:
        x = others.pop(0)
    if y is None and others:
        y = others.pop(0)
    for name in others:
        if len(axes[name]) > 1:
            raise ValueError(
                f"a map has two settings, and {name!r} has several values too: choose one of "
                f"them, results.where({name}={axes[name][0]!r})"
            )
    if x is None or x == y:
        raise ValueError(f"x and y must be two settings of {list(axes)}, got {x!r} and {y!r}")
    return x, y


def _write(ax: Any, place: tuple[int, int], words: str, background: Any) -> None:
    """The text of a cell, black on light colours and white on dark ones."""
    from matplotlib.colors import to_rgb

    red, green, blue = (
        c / 12.92 if c <= 0.04 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(background)
    )
    luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    # On a hatched cell the letters get a plain background.
    plain = {"facecolor": EMPTY, "edgecolor": "none", "pad": 2}
    box = {"bbox": plain} if isinstance(background, str) else {}
    # WCAG 2: at this luminance black and white have equal contrast.
    shade = "black" if luminance > 0.18 else "white"
    words = words.replace(" ± ", "\n± ").replace(", ", "\n").replace(" of ", "/")
    ax.text(*place, words, ha="center", va="center", color=shade, fontsize=14, zorder=3, **box)


def _bar(fig: Any, image: Any, ax: Any, label: str) -> None:
    """The colour scale, with five readable numbers."""
    from matplotlib.colors import LogNorm

    bar = fig.colorbar(image, ax=ax, pad=0.02)
    low, high = image.norm.vmin, image.norm.vmax
    spaced = np.geomspace if isinstance(image.norm, LogNorm) else np.linspace
    bar.set_ticks(spaced(low, high, 5), labels=[significant(v, 3) for v in spaced(low, high, 5)])
    bar.minorticks_off()
    bar.outline.set_visible(False)
    bar.set_label(label)
