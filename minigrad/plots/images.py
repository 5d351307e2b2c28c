"""What convolutions see: an image, kernels, and the feature map that each of them makes of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad.plots.style import styled

SIGNED = "RdBu_r"  # red above zero, blue below, white at zero: told apart by colour-blind readers


@styled
def feature_maps(
    image: np.ndarray,
    kernels: np.ndarray,
    maps: np.ndarray,
    title: str,
    captions: Sequence[str] = (),
    columns: int = 10,
    numbers: bool = False,
) -> Any:
    """The image (H, W); each of the kernels (O, KH, KW) above its map (O, OH, OW). Returns fig.

    numbers: write the weights into the kernels.
    """
    import matplotlib.pyplot as plt

    image = np.asarray(image).reshape(np.shape(image)[-2:])
    columns = max(1, min(columns, len(kernels)))
    rows = max(1, -(-len(kernels) // columns))
    size = 14 / (columns + 1.8)
    fig = plt.figure(figsize=(14, rows * (1.75 * size + (0.5 if captions else 0.1)) + 0.7))
    left, right = fig.subfigures(1, 2, width_ratios=(1.8, columns))
    first = left.subplots()
    _show(first, image, "gray_r", "the image")
    first.set_xlabel("above: a kernel\nbelow: its map\n\nred: above zero\nblue: below zero")
    axes = right.subplots(2 * rows, columns, squeeze=False, height_ratios=(0.75, 1) * rows)
    for ax in axes.flat:
        ax.axis("off")
    for i, (kernel, feature_map) in enumerate(zip(kernels, maps, strict=True)):
        row, column = divmod(i, columns)
        above, below = axes[2 * row, column], axes[2 * row + 1, column]
        _show(above, kernel, SIGNED, captions[i] if captions else "")
        _show(below, feature_map, SIGNED)
        if numbers:
            _write(above, kernel)
    fig.suptitle(title)
    return fig


def _show(ax: Any, values: np.ndarray, colours: str, caption: str = "") -> None:
    """One array as an image in a thin frame; in signed colours white is zero."""
    values = np.asarray(values, float)
    largest = float(np.abs(values).max()) or 1.0
    low = -largest if colours == SIGNED else 0.0
    ax.imshow(values, cmap=colours, vmin=low, vmax=largest, interpolation="nearest")
    ax.axis("on")
    ax.grid(False)
    ax.set(xticks=(), yticks=())
    for spine in ax.spines.values():
        spine.set(visible=True, color="0.6", linewidth=0.8)
    if caption:
        ax.set_title(caption, fontsize=15)


def _write(ax: Any, kernel: np.ndarray) -> None:
    """The kernel's weights, each in its cell; white on dark."""
    largest = float(np.abs(kernel).max()) or 1.0
    for (k, l), weight in np.ndenumerate(kernel):
        shade = "white" if abs(weight) > 0.6 * largest else "black"
        ax.text(l, k, f"{weight:.3g}", ha="center", va="center", fontsize=12, color=shade)
