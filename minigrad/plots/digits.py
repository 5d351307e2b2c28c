"""Digits shown as images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad.plots.style import styled


@styled
def digits(images: np.ndarray, captions: Sequence[str], title: str, columns: int = 6) -> Any:
    """A grid of images (N, 1, H, W) or (N, H, W), each with its caption. Returns fig."""
    import matplotlib.pyplot as plt

    images = np.asarray(images).reshape(len(images), *np.shape(images)[-2:])
    rows = max(1, -(-len(images) // columns))
    fig, axes = plt.subplots(rows, columns, figsize=(1.9 * columns, 2.3 * rows), squeeze=False)
    for ax in axes.flat:
        ax.axis("off")
    for ax, image, caption in zip(axes.flat, images, captions, strict=False):
        ax.imshow(image, cmap="gray_r", interpolation="nearest")
        ax.set_title(caption, fontsize=13)
    fig.suptitle(title)
    return fig
