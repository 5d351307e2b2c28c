"""Gradients as images: true gradients and estimates, one below the other, in one colour scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from minigrad.plots.canvas import a_figure, finite, same_number, some
from minigrad.plots.images import SIGNED
from minigrad.plots.style import styled


@styled
def gradients(
    rows: Mapping[str, np.ndarray],
    title: str,
    xlabel: str = "",
    captions: Sequence[str] = (),
    *,
    fig: Any = None,
) -> Any:
    """Rows {label: images (K, H, W)}, red above zero, blue below, white at zero.

    All rows have one colour scale, so that sizes can be compared. Its ends are the largest
    absolute value of all. Returns the figure.
    captions  below the columns, one for each; xlabel: one for all
    fig       the figure or subfigure to draw in; None: a new one
    """
    images = {k: finite(repr(k), v, "(K, H, W)", 3) for k, v in some("rows", rows).items()}
    stacks = list(images.values())
    for label, stack in images.items():
        if stack.shape != stacks[0].shape:
            raise ValueError(
                f"all rows must have the shape of the first, {stacks[0].shape}; {label!r} has "
                f"{stack.shape}"
            )
    largest = max(float(np.abs(images).max()) for images in stacks) or 1.0
    K, H, W = stacks[0].shape
    if len(captions):
        same_number("captions", captions, K, "columns")
    each = min(10.6 / (K * W), 3.0 / H)  # inches for one entry
    height = len(stacks) * (each * H + 0.5) + 1.0
    fig = a_figure(fig, (13, height))
    axes = fig.subplots(len(stacks), K, squeeze=False)
    for label, images, row in zip(rows, stacks, axes, strict=True):
        place = {"xytext": (0, 6), "textcoords": "offset points", "fontsize": 16}
        words = row[0].annotate(label, (0, 1), xycoords="axes fraction", **place)
        words.set_in_layout(False)  # a label longer than its image must not move the others
        for ax, image in zip(row, images, strict=True):
            ax.set_title(" ")  # makes room for the label
            drawn = ax.imshow(
                image, cmap=SIGNED, vmin=-largest, vmax=largest, interpolation="nearest"
            )
            ax.grid(False)
            ax.set(xticks=(), yticks=())
            for spine in ax.spines.values():
                spine.set(visible=True, color="0.6", linewidth=0.8)
    for ax, caption in zip(axes[-1], captions or [xlabel] * K, strict=True):
        ax.set_xlabel(caption)
    fig.suptitle(title, fontsize=18)
    fig.colorbar(drawn, ax=axes, shrink=0.8, pad=0.02)
    return fig
