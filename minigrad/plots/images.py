"""An image, the kernels of a convolution, and the feature map that each kernel makes of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad.plots.canvas import a_figure, finite, same_number
from minigrad.plots.style import styled

SIGNED = (
    "RdBu_r"  # red above zero, blue below, white at zero; colour-blind readers can tell them apart
)


@styled
def feature_maps(
    image: np.ndarray,
    kernels: np.ndarray,
    maps: np.ndarray,
    title: str,
    captions: Sequence[str] = (),
    columns: int = 10,
    numbers: bool = False,
    *,
    fig: Any = None,
) -> Any:
    """The image (H, W), and each kernel (O, KH, KW) above its map (O, OH, OW).

    captions  a name for each kernel, or none
    numbers   True: the weights are written into the kernels
    fig       the figure or subfigure to draw in; None: a new one
    Returns the figure.
    """
    kernels = finite("kernels", kernels, "(O, KH, KW)", 3)
    maps = finite("maps", maps, "(O, OH, OW)", 3)
    same_number("maps", maps, len(kernels), "kernels")
    if len(captions):
        same_number("captions", captions, len(kernels), "kernels")
    image = finite("image", image)
    if image.ndim < 2 or image.size != np.prod(image.shape[-2:]):
        raise ValueError(f"image must be one image (H, W), got shape {image.shape}")
    image = image.reshape(image.shape[-2:])
    columns = max(1, min(columns, len(kernels)))
    rows = max(1, -(-len(kernels) // columns))
    size = 14 / (columns + 1.8)
    fig = a_figure(fig, (14, rows * (1.75 * size + (0.5 if captions else 0.1)) + 0.7))
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
    """An array as an image in a thin frame. In SIGNED colours, white is zero."""
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
    """Write each weight into its cell, white on dark colours."""
    largest = float(np.abs(kernel).max()) or 1.0
    for (k, l), weight in np.ndenumerate(kernel):
        shade = "white" if abs(weight) > 0.6 * largest else "black"
        ax.text(l, k, f"{weight:.3g}", ha="center", va="center", fontsize=12, color=shade)
