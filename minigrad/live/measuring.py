"""What a page can look at in a lane. Nothing here changes a training, nor its random numbers."""

from __future__ import annotations

import base64
import itertools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from minigrad import backend, diagnostics, metrics
from minigrad.arguments import a_parameter
from minigrad.backend import Array
from minigrad.data import Dataset
from minigrad.live.lanes import Lane
from minigrad.live.protocol import finite

PROBE = 64  # examples on which an estimate is compared with the gradient, at most
UNITS = 24  # units of which weights are shown, at most
GRID = 60  # points of a side of the plane


class Looking(NamedTuple):
    """What is the same for all lanes.

    probe  a batch of training examples
    reach  the plane is shown from -reach to reach, both ways; None: the data are not in the plane
    layer  the layer whose units are shown, by its flat name
    """

    probe: Dataset
    reach: float | None
    layer: str | None


def cosine(lane: Lane, looking: Looking) -> dict[str, Any] | None:
    """<ĝ, g>/(|ĝ| |g|) of one estimate ĝ by copies of the lane's rule and network, by layer.

    g is the gradient on the same batch. None in the place of a number: ĝ or g is 0, as in a layer
    that the rule leaves out.
    """
    rule = lane.rule
    if rule is None:
        return None
    found = diagnostics.quality(
        rule, lane.model, lane.loss, looking.probe.x, looking.probe.y, 1, lane.done
    )
    layers = {name: finite(float(of.cosine)) for name, of in found.layers.items()}
    return {"total": finite(float(found.total.cosine)), "layers": layers}


def weights(lane: Lane, looking: Looking) -> dict[str, Any] | None:
    """W of the first layer, the weights into each unit as an image. In the plane b, too."""
    first = next((leaf.params for _, leaf in lane.model.leaves() if "W" in leaf.params), None)
    if first is None:
        return None
    W = backend.to_host(first["W"][:, :UNITS]).T
    scale = float(np.abs(W).max())
    if not math.isfinite(scale):
        return None
    side = math.isqrt(W.shape[1])
    shape = (side, side) if side * side == W.shape[1] else (1, W.shape[1])
    levels = np.rint(W * (127 / (scale or 1.0))).astype(np.int8)
    found = {"shape": [len(W), *shape], "scale": scale, "data": _text(levels)}
    if looking.reach is not None and "b" in first:
        found["bias"] = [finite(float(b)) for b in backend.to_host(first["b"][:UNITS])]
    return found


def recall(lane: Lane, looking: Looking) -> dict[str, Any]:
    """The share of each class's test examples that are found."""
    output = _outputs(lane, lane.test.x)
    found = metrics.recall(metrics.confusion_matrix(output, lane.test.y))
    return {"recall": [finite(float(share)) for share in found]}


def regions(lane: Lane, looking: Looking) -> dict[str, Any] | None:
    """The class that the lane gives to each point of the plane, and its probability."""
    if looking.reach is None:
        return None
    output = backend.to_host(_outputs(lane, _grid(lane, looking.reach)))
    e = np.exp(output - output.max(axis=1, keepdims=True))
    p = e.max(axis=1) / e.sum(axis=1)
    return {
        "size": [GRID, GRID],
        "class": _text(output.argmax(axis=1).astype(np.uint8)),
        "confidence": _text(np.rint(255 * p).astype(np.uint8)),
    }


def units(lane: Lane, looking: Looking) -> dict[str, Any] | None:
    """What each unit of a hidden layer says to each point of the plane.

    Each unit is scaled by itself: 0 is its least, 255 its most, "low" and "high" say them. Of a
    layer with weights these are the outputs of the activation after it.
    """
    names = hidden(lane)
    if looking.reach is None or not names:
        return None
    name = looking.layer if looking.layer in names else names[0]
    layers = lane.model.layers
    h = _grid(lane, looking.reach)
    for layer in layers[: int(name) + 2]:  # with the activation
        h = layer.forward(h, train=False)
        layer.drop_cache()
    h = backend.to_host(h)
    low, high = h.min(axis=0), h.max(axis=0)
    if not (np.isfinite(low).all() and np.isfinite(high).all()):
        return None
    span = np.where(high > low, high - low, 1)
    levels = np.rint(255 * (h - low) / span).astype(np.uint8).T
    return {
        "layer": name,
        "size": [GRID, GRID],
        "count": len(levels),
        "low": low.tolist(),
        "high": high.tolist(),
        "data": _text(levels),
    }


VIEWS: dict[str, Callable[[Lane, Looking], dict[str, Any] | None]] = {
    "cosine": cosine,
    "weights": weights,
    "recall": recall,
    "regions": regions,
    "units": units,
}


def view(name: str, lane: Lane, looking: Looking) -> dict[str, Any] | None:
    """A view of a lane, with the step at which it was taken. None: there is nothing to see."""
    if lane.rule is None or lane.status == "left out":
        return None
    try:
        with np.errstate(over="ignore", invalid="ignore"):
            found = VIEWS[name](lane, looking)
    except Exception:  # what this rule cannot be asked, or a rule that raises
        return None
    finally:
        lane.model.drop_cache()
    return None if found is None else {"at": lane.done} | found


def hidden(lane: Lane) -> list[str]:
    """The flat names of the layers with weights that an activation follows."""
    layers = lane.model.layers
    pairs = itertools.pairwise(layers)
    return [str(i) for i, (a, b) in enumerate(pairs) if a.params and b.is_activation]


def probe(train: Dataset, batch_size: int, seed: int) -> Dataset:
    """Some training examples, drawn once for a race."""
    n = min(PROBE, batch_size, len(train))
    return train.take(np.random.default_rng((seed, 1)).permutation(len(train))[:n])


def reach(train: Dataset) -> float:
    """The largest coordinate, and a little more."""
    return 1.1 * float(abs(train.x).max())


def _outputs(lane: Lane, x: Array) -> Array:
    if lane.rule is None:
        return lane.model.forward(x, train=False)
    return lane.rule.outputs(lane.model, x)


def _grid(lane: Lane, reach: float) -> Array:
    """(GRID², 2): the centres of squares, row by row from the top."""
    middles = (np.arange(GRID) + 0.5) * (2 * reach / GRID) - reach
    x1, x2 = np.meshgrid(middles, middles[::-1])
    points = np.stack([x1.ravel(), x2.ravel()], axis=1).astype("float32")
    like = a_parameter(lane.model)
    return points if like is None else backend.to_device(points, like=like)


def _text(array: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
