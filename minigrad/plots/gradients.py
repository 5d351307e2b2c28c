"""Gradients as images: true ones and estimates under each other, all on one scale of colours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from minigrad.plots.images import SIGNED
from minigrad.plots.style import styled


@styled
def gradients(rows: Mapping[str, np.ndarray], title: str, xlabel: str = "") -> Any:
    """Rows {label: images (K, H, W)}, red above zero, blue below, white at zero. Returns fig.

    One scale serves all rows, so that sizes compare: its ends are the largest absolute value.
    """
    import matplotlib.pyplot as plt

    stacks = [np.asarray(images, float) for images in rows.values()]
    largest = max(float(np.abs(images).max()) for images in stacks) or 1.0
    K, H, W = stacks[0].shape
    each = min(10.6 / (K * W), 3.0 / H)  # inches for one entry
    height = len(stacks) * (each * H + 0.5) + 1.0
    fig, axes = plt.subplots(len(stacks), K, figsize=(13, height), squeeze=False)
    for label, images, row in zip(rows, stacks, axes, strict=True):
        place = {"xytext": (0, 6), "textcoords": "offset points", "fontsize": 16}
        words = row[0].annotate(label, (0, 1), xycoords="axes fraction", **place)
        words.set_in_layout(False)  # else a label longer than an image would move the others away
        for ax, image in zip(row, images, strict=True):
            ax.set_title(" ")  # the height that the label needs
            drawn = ax.imshow(
                image, cmap=SIGNED, vmin=-largest, vmax=largest, interpolation="nearest"
            )
            ax.grid(False)
            ax.set(xticks=(), yticks=())
            for spine in ax.spines.values():
                spine.set(visible=True, color="0.6", linewidth=0.8)
    for ax in axes[-1]:
        ax.set_xlabel(xlabel)
    fig.suptitle(title, fontsize=18)
    fig.colorbar(drawn, ax=axes, shrink=0.8, pad=0.02)
    return fig
