"""A computation graph: values go along its arrows, gradients against them, tangents along them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from minigrad.plots.canvas import finite, one_axes, some
from minigrad.plots.style import colour, styled

Place = tuple[float, float]
Edge = tuple[str, str, float | None]

_ARROWS = {"value": "→", "gradient": "←", "tangent": "→"}
_HALF = 0.3  # half the width of a box; the columns are 1 apart, and the rows, too
_STEP = 0.19  # between the lines of a box


@styled
def graph(
    edges: Sequence[Edge],
    numbers: Mapping[str, Mapping[str, Any]],
    title: str,
    *,
    ax: Any = None,
) -> Any:
    """A box for each node, and an arrow for each edge. Returns the figure.

    edges    (from, to, local derivative): the third is written on the arrow, None is not. All that
             go to a node come before those that go from it. Two edges between the same nodes
             are one arrow with both derivatives
    numbers  {"value": {node: a number or a text}, "gradient": {...}, "tangent": {...}}: a line in
             each box, in the colour of its kind. A node may be missing
    ax       the axes to draw in; None: those of a new figure
    """
    places = _places(edges)
    slopes: dict[tuple[str, str], str] = {}
    for start, end, slope in edges:
        words = _text("a local derivative", slope, digits=3)
        before = slopes.get((start, end))
        slopes[start, end] = f"{before} + {words}" if before else words
    lines: dict[str, dict[str, str]] = {node: {} for node in places}
    for kind, entries in some("numbers", numbers).items():
        for node, number in entries.items():
            if node not in places:
                raise ValueError(f"{kind} of {node!r}, which has no edge: {list(places)}")
            lines[node][kind] = _text(f"{kind} of {node!r}", number)
    columns = 1 + max(x for x, _ in places.values())
    high = max(y for _, y in places.values())
    over = any(places[end][0] - places[start][0] > 1 for start, end in slopes)
    top = high + (0.9 if over else 0.5)
    fig, ax = one_axes(ax, (max(9.0, 2.1 * columns), (1.1 + 0.2 * len(numbers)) * (high + 1 + top)))
    for (start, end), slope in slopes.items():
        draw = _arrow if places[end][0] - places[start][0] == 1 else _bridge
        middle = draw(ax, places[start], places[end], _height(len(lines[start])))
        if slope:
            ax.text(*middle, slope, **_WORDS | {"fontsize": 14, "zorder": 5, "bbox": _WHITE})
    for node, place in places.items():
        _box(ax, node, place, lines[node], list(numbers))
    ax.set(xlim=(-0.5, columns - 0.5), ylim=(-high - 0.75, top), title=title)
    ax.axis("off")
    for i, kind in enumerate(numbers):
        words = f"{kind} {_ARROWS.get(kind, '')}"
        where = ((i + 0.5) / len(numbers), 0.05)
        ax.text(*where, words, color=colour(kind, i), transform=ax.transAxes, **_WORDS)
    return fig


def _places(edges: Sequence[Edge]) -> dict[str, Place]:
    """Column and row of each node. Each arrow goes to the right.

    A node to which no arrow goes stands one column before the first of those that come from it.
    The nodes of a column are centred, in the order in which they are named.
    """
    if not edges:
        raise ValueError("there is nothing to draw: edges is empty")
    columns: dict[str, int] = {}
    left: set[str] = set()  # nodes from which an arrow has gone
    for start, end, _ in edges:
        if end in left:
            raise ValueError(f"an edge to {end!r} comes after an edge from it")
        left.add(start)
        columns[end] = max(columns.get(end, 0), columns.setdefault(start, 0) + 1)
    reached = {end for _, end, _ in edges}
    for node in columns:
        if node not in reached:
            columns[node] = min(columns[end] for start, end, _ in edges if start == node) - 1
    places = {}
    for column in set(columns.values()):
        members = [node for node in columns if columns[node] == column]
        for i, node in enumerate(members):
            places[node] = (float(column), (len(members) - 1) / 2 - i)
    return places


def _text(name: str, number: Any, digits: int = 4) -> str:
    """A number as it is written; a text stays, and None is none."""
    if number is None or isinstance(number, str):
        return number or ""
    return f"{float(finite(name, number)):.{digits}g}"


def _height(lines: int) -> float:
    """The height of a box with a name and this many lines below it."""
    return _STEP * (lines + 1) + 0.1


def _arrow(ax: Any, start: Place, end: Place, height: float) -> Place:
    """From the right side of one box to the left side of the next. Returns the arrow's middle."""
    tail, head = (start[0] + _HALF, start[1]), (end[0] - _HALF, end[1])
    style = {"arrowstyle": _HEAD, "color": "0.6", "linewidth": 1.6, "shrinkA": 0, "shrinkB": 0}
    ax.annotate("", head, tail, arrowprops=style, zorder=1)
    return (start[0] + end[0]) / 2, (start[1] + end[1]) / 2


def _bridge(ax: Any, start: Place, end: Place, height: float) -> Place:
    """Over the boxes between two, or under them for two in the lower half. Returns its middle."""
    from matplotlib.patches import FancyArrowPatch
    from matplotlib.path import Path

    side = -1 if start[1] + end[1] < 0 else 1
    tail, head = ((x, y + side * height / 2) for x, y in (start, end))
    x, y = (tail[0] + head[0]) / 2, side * (max(side * tail[1], side * head[1]) + 0.6)
    curve = Path([tail, (x, y), head], [Path.MOVETO, Path.CURVE3, Path.CURVE3])
    style = {"color": "0.6", "linewidth": 1.6, "mutation_scale": 14, "zorder": 1}
    ax.add_patch(FancyArrowPatch(path=curve, arrowstyle=_HEAD, **style))
    return x, (tail[1] + 2 * y + head[1]) / 4


def _box(ax: Any, node: str, place: Place, lines: Mapping[str, str], kinds: list[str]) -> None:
    """The name, and below it a line for each kind of number."""
    from matplotlib.patches import FancyBboxPatch

    x, y = place
    height = _height(len(lines))
    shape = {"boxstyle": "round,pad=0,rounding_size=0.06", "facecolor": "white", "zorder": 3}
    corner = (x - _HALF, y - height / 2)
    ax.add_patch(FancyBboxPatch(corner, 2 * _HALF, height, edgecolor="black", **shape))
    top = y + _STEP * len(lines) / 2
    style = {"ha": "center", "va": "center", "zorder": 4}
    ax.text(x, top, node, fontsize=15, fontweight="bold", **style)
    for i, (kind, words) in enumerate(lines.items(), 1):
        own = colour(kind, kinds.index(kind))
        ax.text(x, top - _STEP * i, words, fontsize=14, color=own, **style)


_WHITE = {"facecolor": "white", "edgecolor": "none", "pad": 1}
_WORDS = {"ha": "center", "va": "center", "fontsize": 16}
_HEAD = "-|>,head_length=0.5,head_width=0.25"
