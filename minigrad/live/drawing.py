"""What is drawn on the page, in the form of the data set's pictures; every lane reads it."""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad.backend import to_device, to_host
from minigrad.data.images.centring import like_mnist
from minigrad.data.images.pillow import resize
from minigrad.live.lanes import Lane
from minigrad.live.orders import Order
from minigrad.live.protocol import whole
from minigrad.live.sets import SETS
from minigrad.live.worker import Worker

SIDES = (28, 280)  # pixels: the least and the largest side of a drawing
BITMAP = 32  # the side of the pictures that the 8x8 digits count
COLUMNS = 20  # of them are filled by a digit
INK = 0.49  # of these 32x20 pixels: the share that is ink, whatever the digit
THIN = 0.45  # width / height below which a digit is not stretched to all columns


def like_digits(picture: Any) -> np.ndarray:
    """One drawing (H, W), 1 ink, 0 paper, as the embedded digits are: (28, 28), 8x8 cells of 3x3.

    1. It is made upright: rows are shifted until its first and its last row begin at one column.
    2. It fills 32 rows and 20 columns, in the middle of 32x32 pixels. A thin digit, such as a 1,
       keeps its shape.
    3. Its strokes get the width at which 49 % of 32x20 pixels are ink, as they have in the data:
       of the blurred picture the darkest pixels are kept.
    4. Ink is counted in cells of 4x4 pixels: 0 to 16, in sixteenths here.

    ValueError if nothing is drawn. 49 % is what the data have, for each of the ten digits.
    Source: M. D. Garris et al., NIST form-based handprint recognition system, 1994 (steps 1 to 3);
    E. Alpaydin, C. Kaynak, Optical recognition of handwritten digits, UCI, 1998 (step 4).
    """
    p = np.asarray(picture, np.float32)
    if p.max(initial=0) <= 0.5:
        raise ValueError("nothing is drawn")
    p = _box(_upright(_box(p)))
    h, w = p.shape
    width = COLUMNS if w / h >= THIN else max(1, round(BITMAP * w / h))
    bitmap = np.zeros((BITMAP, BITMAP), np.float32)
    left = (BITMAP - width) // 2
    bitmap[:, left : left + width] = resize(p, (BITMAP, width))
    kept = _darkest(_blurred(bitmap), round(INK * BITMAP * COLUMNS))
    cells = kept.reshape(8, 4, 8, 4).sum(axis=(1, 3)) / 16
    y = np.zeros((28, 28), np.float32)
    y[2:26, 2:26] = cells.repeat(3, axis=0).repeat(3, axis=1)
    return y


def _box(p: np.ndarray) -> np.ndarray:
    """The rows and columns from the first to the last that has ink."""
    rows = np.flatnonzero(p.max(axis=1) > 0.5)
    columns = np.flatnonzero(p.max(axis=0) > 0.5)
    return p[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _upright(p: np.ndarray) -> np.ndarray:
    """Rows shifted by whole pixels, the more the lower. By more than 0.6 a row: by 0.6."""
    h, w = p.shape
    rim = min(h // 30, (h - 1) // 2)  # the very first row of a round stroke is one pixel
    begins = [int(np.argmax(p[row] > 0.5)) for row in (rim, h - 1 - rim)]
    slant = (begins[1] - begins[0]) / max(1, h - 1 - 2 * rim)
    slant = min(max(slant, -0.6), 0.6)
    shifts = np.round(slant * (np.arange(h) - (h - 1) / 2)).astype(int)
    most = int(np.abs(shifts).max())
    y = np.zeros((h, w + 2 * most), np.float32)
    for row, shift in enumerate(shifts):
        y[row, most - shift : most - shift + w] = p[row]
    return y


def _blurred(p: np.ndarray, sigma: float = 1.5) -> np.ndarray:
    """A Gaussian blur of `sigma` pixels; beyond the rim there is paper."""
    at = np.arange(len(p))
    weights = np.exp(-0.5 * ((at[:, None] - at) / sigma) ** 2)
    weights /= sigma * math.sqrt(2 * math.pi)
    return weights @ p @ weights.T


def _darkest(p: np.ndarray, n: int) -> np.ndarray:
    """1 for the n largest numbers, else 0."""
    kept = np.zeros(p.size, np.float32)
    kept[np.argsort(-p, axis=None, kind="stable")[:n]] = 1
    return kept.reshape(p.shape)


def as_in(data: str, picture: np.ndarray) -> np.ndarray:
    """A drawing (side, side) in [0, 1], in the form of the pictures of "digits" or "mnist"."""
    if data == "digits":
        return like_digits(picture)
    if picture.max() <= 0.5:
        raise ValueError("nothing is drawn")
    return like_mnist(np.pad(picture, len(picture) // 8))


def probabilities(lane: Lane, x: np.ndarray) -> list[list[float] | None]:
    """What a lane's network says to each example: softmax of what its rule calls the outputs.

    None for a lane that is left out, and where an output is not finite.
    """
    if lane.rule is None or lane.status == "left out":
        return [None] * len(x)
    like = next(iter(lane.model.params.values()))
    with np.errstate(over="ignore", invalid="ignore"):
        z = to_host(lane.rule.outputs(lane.model, to_device(x, like))).astype(np.float64)
        p = np.exp(z - z.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
    return [
        [round(float(share), 4) for share in row] if np.isfinite(row).all() else None for row in p
    ]


def _read_by_all(worker: Worker, x: np.ndarray) -> dict[str, Any]:
    """{"step", "lanes": [{"probabilities": [...]} or None]} for one example (1, ...)."""
    found = [probabilities(lane, x)[0] for lane in worker.race.lanes]
    lanes = [None if p is None else {"probabilities": p} for p in found]
    return {"step": worker.race.done, "lanes": lanes}


def _shown(image: np.ndarray) -> dict[str, Any]:
    """A picture for the page: bytes of grey, row by row."""
    grey = (np.clip(image, 0, 1) * 255).round().astype(np.uint8)
    return {"image": base64.b64encode(grey.tobytes()).decode(), "side": len(grey)}


def _picture_set(worker: Worker) -> str:
    name: str = worker.race.settings.data
    if SETS[name].plane:
        raise ValueError(f"{name} is no set of digits: choose digits or mnist")
    return name


def read(worker: Worker, pixels: np.ndarray, side: int) -> dict[str, Any]:
    """An order: every lane reads a drawing of side x side bytes, 255 ink on 0."""
    name = _picture_set(worker)
    if pixels.size != side * side:
        raise ValueError(f"expected {side} x {side} pixels, got {pixels.size}")
    image = as_in(name, pixels.reshape(side, side).astype(np.float32) / 255)
    return _shown(image) | _read_by_all(worker, image[None, None])


def example(worker: Worker, index: int) -> dict[str, Any]:
    """An order: every lane reads a test example. Its label comes along."""
    _picture_set(worker)
    test = worker.race.test
    if index >= len(test):
        raise ValueError(f"expected the number of a test example, 0 to {len(test) - 1}")
    x = to_host(test.x[index : index + 1])
    told = {"index": index, "count": len(test), "label": int(test.y[index])}
    return told | _shown(x[0, 0]) | _read_by_all(worker, x)


def at(worker: Worker, point: np.ndarray) -> dict[str, Any]:
    """An order: what every lane says to a point of the plane."""
    test = worker.race.test
    if test.x[0].shape != (2,):
        raise ValueError("points are for sets in the plane: choose moons, spirals, circles or xor")
    return _read_by_all(worker, point[None].astype(test.x.dtype))


def drawing_side(value: Any) -> int:
    side = whole(value)
    if not SIDES[0] <= side <= SIDES[1]:
        raise ValueError(f"expected a side of {SIDES[0]} to {SIDES[1]} pixels, got {side}")
    return side


def coded_bytes(value: Any) -> np.ndarray:
    """Bytes in base64."""
    if not isinstance(value, str) or len(value) > 4 * math.ceil(SIDES[1] ** 2 / 3):
        raise ValueError(f"expected at most {SIDES[1]} x {SIDES[1]} bytes in base64")
    try:
        return np.frombuffer(base64.b64decode(value, validate=True), np.uint8)
    except (binascii.Error, ValueError):
        raise ValueError("expected bytes in base64") from None


def plane_point(value: Any) -> np.ndarray:
    """[x1, x2]"""
    if (
        not isinstance(value, list)
        or len(value) != 2
        or not all(isinstance(x, (int, float)) and not isinstance(x, bool) for x in value)
        or not all(abs(x) <= 1e6 for x in value)  # not so for NaN
    ):
        raise ValueError("expected a point of the plane, [x1, x2]")
    return np.asarray(value, np.float64)


CHECKS: dict[str, Callable[[Any], Any]] = {"pixels": coded_bytes, "side": drawing_side}
ORDERS: dict[str, Order] = {
    "read": Order(read, CHECKS),
    "example": Order(example, {"index": whole}),
    "at": Order(at, {"point": plane_point}),
}
