"""Images that are moved, and how many of them a network still reads."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from minigrad.backend import to_device, to_host
from minigrad.data import Dataset
from minigrad.layers import Layer


def shift(x: np.ndarray, down: int, right: int) -> np.ndarray:
    """x'[n, c, i, j] = x[n, c, i - down, j - right], 0 outside. x is (N, C, H, W), on the host.

    Zeros move in, and what moves out of the picture is lost.
    """
    if x.ndim != 4:
        raise ValueError(f"x must be images (N, C, H, W), got shape {x.shape}")
    n, (H, W) = max(abs(down), abs(right)), x.shape[2:]
    padded = np.pad(x, ((0, 0), (0, 0), (n, n), (n, n)))
    return padded[:, :, n - down : n - down + H, n - right : n - right + W]


def accuracy_by_shift(
    model: Layer, data: Dataset, distances: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    """(accuracy, ink): for each distance in pixels, the mean of up, down, left and right.

    accuracy  the share of the moved images that the model reads right
    ink       the share of the images' sum that is left in the picture
    """
    accuracy, ink = np.zeros(len(distances)), np.zeros(len(distances))
    for i, d in enumerate(distances):
        places = ((d, 0), (-d, 0), (0, d), (0, -d)) if d else ((0, 0),)
        moved = [shift(data.x, *place) for place in places]
        read = [to_host(model.predict(to_device(x)).argmax(axis=1)) == data.y for x in moved]
        accuracy[i] = np.mean(read)
        ink[i] = np.mean([x.sum() for x in moved]) / data.x.sum()
    return accuracy, ink
