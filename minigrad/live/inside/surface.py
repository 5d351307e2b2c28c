"""The loss over a plane through the weights, and the lanes' ways on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from minigrad.live.inside.small import Small
from minigrad.live.inside.text import number
from minigrad.live.protocol import finite

SIDE = 41  # points of the plane along each direction
EXAMPLES = 200  # of the training set
MARGIN = 0.35  # around the ways, as a part of their extent
FAR = 50  # times |first θ| + 1: what has run away farther would make the rest invisible


@dataclass(frozen=True)
class Plane:
    """What the surface is made of: copies, so that the training may go on.

    net     a network, whose weights are set to each point
    x, y    the examples
    ways    for each lane [(step, θ)], all from the same θ; empty: left out
    """

    net: Small
    x: np.ndarray
    y: np.ndarray
    ways: list[list[tuple[int, np.ndarray]]]


def near(way: list[tuple[int, np.ndarray]]) -> list[np.ndarray]:
    """The places of a way that are not too far from its start."""
    if not way:
        return []
    start = way[0][1]
    most = FAR * (float(np.linalg.norm(start)) + 1)
    return [theta for _, theta in way if float(np.linalg.norm(theta - start)) <= most]


def directions(start: np.ndarray, ways: list[list[np.ndarray]]) -> Any:
    """(u, v, share): the two directions in which the ways spread most, and how much they hold.

    They are the first two right singular vectors of all θ - start. Where there are not two, a
    random one (of seed 0) takes the place. share: their part of Σ |θ - start|².
    """
    offsets = [theta - start for way in ways for theta in way]
    matrix = np.array(offsets) if offsets else np.zeros((1, start.size))
    _, sizes, rows = np.linalg.svd(matrix, full_matrices=False)
    rng = np.random.default_rng(0)
    found: list[np.ndarray] = []
    kept = 0.0
    for size, row in zip(sizes, rows, strict=True):
        if len(found) < 2 and size > 1e-9:
            found.append(row if row.sum() >= 0 else -row)
            kept += float(size) ** 2
    while len(found) < 2:
        drawn = rng.standard_normal(start.size)
        for other in found:
            drawn -= (drawn @ other) * other
        found.append(drawn / np.linalg.norm(drawn))
    whole = float((sizes**2).sum())
    return found[0], found[1], kept / whole if whole > 0 else 0.0


def surface(plane: Plane) -> dict[str, Any]:
    """The loss on the plane start + a u + b v, and each lane's way as a list of (a, b).

    A way is what is seen of it from straight above: off the plane its loss is another one, so the
    loss at its end is given, too.
    """
    way = next(way for way in plane.ways if way)
    start = way[0][1]
    ways = [near(way) for way in plane.ways]
    u, v, share = directions(start, ways)
    seen = [[(float((at - start) @ u), float((at - start) @ v)) for at in way] for way in ways]
    points = np.array([point for way in seen for point in way])
    low, high = points.min(axis=0), points.max(axis=0)
    least = 0.3 * max(float((high - low).max()), 0.2 * float(np.linalg.norm(start)), 1e-3)
    middle = (low + high) / 2
    half = np.maximum((high - low) * (0.5 + MARGIN), least)
    a = np.linspace(middle[0] - half[0], middle[0] + half[0], SIDE)
    b = np.linspace(middle[1] - half[1], middle[1] + half[1], SIDE)
    with np.errstate(over="ignore", invalid="ignore"):
        losses = [[_loss(plane, start + i * u + j * v) for i in a] for j in b[::-1]]
        ends = [_loss(plane, way[-1][1]) if way else None for way in plane.ways]
    return {
        "small": True,
        "size": SIDE,
        "range": [float(a[0]), float(a[-1]), float(b[0]), float(b[-1])],
        "loss": losses,
        "ways": seen,
        "ends": ends,
        "texts": ["" if end is None else number(end) for end in ends],
        "share": share,
        "examples": len(plane.x),
    }


def _loss(plane: Plane, theta: np.ndarray) -> float | None:
    """L of all the examples at θ. Row 0 of the map is the top: the largest b."""
    at = 0
    for p in plane.net.model.params.values():
        p[...] = theta[at : at + p.size].reshape(p.shape)
        at += p.size
    value = plane.net.loss.forward(plane.net.model.forward(plane.x), plane.y)
    return finite(round(value, 6)) if np.isfinite(value) else None
