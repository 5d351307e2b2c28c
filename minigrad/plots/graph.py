"""A computation graph: values go along its arrows, gradients against them, tangents along them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from minigrad.plots.canvas import finite, one_axes, some
from minigrad.plots.style import colour, styled

Place = tuple[float, float]
Edge = tuple[str, str, float | None]

_ARROWS = {"value": "→", "gradient": "←", "tangent": "→"}
_HALF = 0.3  # half the width of a box; the columns are 1 apart


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
             go to a node come before those that go from it
    numbers  {"value": {node: a number or a text}, "gradient": {...}, "tangent": {...}}: a line in
             each box, in the colour of its kind. A node may be missing
    ax       the axes to draw in; None: those of a new figure
    """
    places = _places(edges)
    slopes = {(a, b): _text("a local derivative", slope) for a, b, slope in edges}
    lines: dict[str, dict[str, str]] = {node: {} for node in places}
    for kind, entries in some("numbers", numbers).items():
        for node, number in entries.items():
            if node not in places:
                raise ValueError(f"{kind} of {node!r}, which has no edge: {list(places)}")
            lines[node][kind] = _text(f"{kind} of {node!r}", number)
    columns = 1 + max(x for x, _ in places.values())
    high = max(y for _, y in places.values())
    size = max(9.0, 2.1 * columns), 1.6 + (0.9 + 0.35 * len(numbers)) * (1 + 2 * high)
    fig, ax = one_axes(ax, size)
    for (start, end), slope in slopes.items():
        _arrow(ax, places[start], places[end], slope)
    for node, place in places.items():
        _box(ax, node, place, lines[node], list(numbers))
    ax.set(xlim=(-0.5, columns - 0.5), ylim=(-high - 0.75, high + 0.5), title=title)
    ax.axis("off")
    for i, kind in enumerate(numbers):
        words = f"{kind} {_ARROWS.get(kind, '')}"
        where = ((i + 0.5) / len(numbers), 0.02)
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


def _text(name: str, number: Any) -> str:
    """A number as it is written; a text stays, and None is none."""
    if number is None or isinstance(number, str):
        return number or ""
    return f"{float(finite(name, number)):.4g}"


def _arrow(ax: Any, start: Place, end: Place, slope: str) -> None:
    """From the right side of one box to the left side of the other, the slope in its middle."""
    style = {"arrowstyle": "-|>,head_length=0.5,head_width=0.25", "color": "0.6", "linewidth": 1.6}
    style |= {"shrinkA": 0, "shrinkB": 0}
    tail, head = (start[0] + _HALF, start[1]), (end[0] - _HALF, end[1])
    ax.annotate("", head, tail, arrowprops=style, zorder=1)
    middle = ((start[0] + end[0]) / 2, (start[1] + end[1]) / 2)
    if slope:
        style = _WORDS | {"va": "center", "fontsize": 14, "zorder": 5, "bbox": _WHITE}
        ax.text(*middle, slope, **style)


def _box(ax: Any, node: str, place: Place, lines: Mapping[str, str], kinds: list[str]) -> None:
    """The name, and below it a line for each kind of number."""
    from matplotlib.patches import FancyBboxPatch

    x, y = place
    step = 0.19
    height = step * (len(lines) + 1) + 0.1
    shape = {"boxstyle": "round,pad=0,rounding_size=0.06", "facecolor": "white", "zorder": 3}
    corner = (x - _HALF, y - height / 2)
    ax.add_patch(FancyBboxPatch(corner, 2 * _HALF, height, edgecolor="black", **shape))
    top = y + step * len(lines) / 2
    style = {"ha": "center", "va": "center", "zorder": 4}
    ax.text(x, top, node, fontsize=15, fontweight="bold", **style)
    for i, (kind, words) in enumerate(lines.items(), 1):
        own = colour(kind, kinds.index(kind))
        ax.text(x, top - step * i, words, fontsize=14, color=own, **style)


_WHITE = {"facecolor": "white", "edgecolor": "none", "pad": 1}
_WORDS = {"ha": "center", "va": "bottom", "fontsize": 16}
