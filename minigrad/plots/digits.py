"""Digits shown as images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad.plots.canvas import a_figure, finite, same_number
from minigrad.plots.style import styled


@styled
def digits(
    images: np.ndarray,
    captions: Sequence[str],
    title: str,
    columns: int = 6,
    *,
    fig: Any = None,
) -> Any:
    """A grid of images (N, 1, H, W) or (N, H, W), each with its caption. Returns the figure.

    N may be 0: the figure then has only its title.
    fig  the figure or subfigure to draw in; None: a new one
    """
    shape = np.shape(images)
    if not (len(shape) == 3 or (len(shape) == 4 and shape[1] == 1)):
        raise ValueError(f"images must be of shape (N, 1, H, W) or (N, H, W), got {shape}")
    same_number("captions", captions, len(images), "images")
    if len(images):
        finite("images", images)
    images = np.asarray(images).reshape(len(images), *shape[-2:])
    rows = max(1, -(-len(images) // columns))
    fig = a_figure(fig, (1.9 * columns, 2.3 * rows))
    axes = fig.subplots(rows, columns, squeeze=False)
    for ax in axes.flat:
        ax.axis("off")
    for ax, image, caption in zip(axes.flat, images, captions, strict=False):
        ax.imshow(image, cmap="gray_r", interpolation="nearest")
        ax.set_title(caption, fontsize=13)
    fig.suptitle(title)
    return fig
