"""A convolution as one matrix product: the windows of an image become the rows of a matrix."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.plots.canvas import finite, legend_below, one_axes
from minigrad.plots.style import COLOURS, styled

GAP = 1.6  # between two blocks, in cells
MOST = 30  # windows; more would be too small to read
Cell = tuple[int, int]


@styled
def im2col(
    image: np.ndarray,
    kernel: np.ndarray,
    title: str,
    window: Cell = (0, 0),
    pixel: Cell = (0, 0),
    *,
    ax: Any = None,
) -> Any:
    """cols · kernel = y with all its numbers, for an image (H, W) and a kernel (KH, KW).

    window  (i, j): the place of the window that gets a frame, and so do its row and its output
    pixel   (i, j): the pixel that is shaded, and so are all its copies
    ax      the axes to draw in; None: those of a new figure
    Returns the figure.
    """
    from matplotlib.patches import Patch

    image = finite("image", image, "(H, W)", 2)
    kernel = finite("kernel", kernel, "(KH, KW)", 2)
    windows = _windows(image, kernel)
    (OH, OW), (KH, KW) = windows.shape[:2], kernel.shape
    _check("window", window, (OH, OW))
    _check("pixel", pixel, image.shape)
    cols, y = windows.reshape(OH * OW, KH * KW), (windows * kernel).sum(axis=(2, 3))
    shaded = np.zeros(image.shape, bool)
    shaded[pixel] = True
    copies = _windows(shaded, kernel).reshape(cols.shape)
    row, height = window[0] * OW + window[1], len(cols)
    fig, ax = one_axes(ax, (15, 3.4 + 0.42 * height))
    middle = (height - len(image)) / 2
    blocks = [
        (f"x {image.shape}", image, shaded, (*window, KH, KW), middle, ""),
        (f"cols {cols.shape}", cols, copies, (row, 0, 1, KH * KW), 0.0, "→"),
        ("kernel", kernel.reshape(-1, 1), None, None, (height - KH * KW) / 2, "·"),
        ("", y.reshape(-1, 1), None, (row, 0, 1, 1), 0.0, "="),
        (f"y {y.shape}", y, None, (*window, 1, 1), (height - OH) / 2, "→"),
    ]
    left = 0.0
    for name, numbers, shades, frame, down, sign in blocks:
        if sign:
            ax.text(left + GAP / 2, height / 2, sign, ha="center", va="center", fontsize=24)
            left += GAP
        _block(ax, name, numbers, shades, frame, left, down)
        left += numbers.shape[1]
    ax.set(xlim=(-0.3, left + 0.3), ylim=(height + 0.3, -1.5), title=title)
    ax.set_aspect("equal")
    ax.axis("off")
    n = int(copies.sum())
    frame_of = {"facecolor": "none", "edgecolor": COLOURS["value"], "linewidth": 3}
    handles = [
        Patch(label="a window, its row, its output", **frame_of),
        Patch(label=f"a pixel, copied {n} x", color=COLOURS["gradient"], alpha=0.35),
    ]
    legend_below(fig, ax, given=fig.axes != [ax], handles=handles, ncols=2)
    return fig


def _windows(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """(OH, OW, KH, KW). ValueError if there are none, or more than can be read."""
    OH, OW = (n - k + 1 for n, k in zip(image.shape, kernel.shape, strict=True))
    if OH < 1 or OW < 1:
        raise ValueError(f"a kernel {kernel.shape} does not fit into an image {image.shape}")
    if OH * OW > MOST:
        raise ValueError(
            f"{OH * OW} windows are too many to read, at most {MOST}: draw a smaller image"
        )
    return np.lib.stride_tricks.sliding_window_view(image, kernel.shape)


def _check(name: str, place: Cell, shape: tuple[int, ...]) -> None:
    """ValueError unless `place` is (row, column) in an array of this shape."""
    if len(place) != 2 or not all(0 <= i < n for i, n in zip(place, shape, strict=True)):
        raise ValueError(f"{name} must be (row, column) within {tuple(shape)}, got {place}")


def _block(
    ax: Any,
    name: str,
    numbers: np.ndarray,
    shades: np.ndarray | None,
    frame: tuple[int, int, int, int] | None,
    left: float,
    down: float,
) -> None:
    """The cells of an array with their numbers, and a frame (row, column, height, width)."""
    from matplotlib.patches import Rectangle

    for (i, j), number in np.ndenumerate(numbers):
        place = left + j, down + i
        ax.add_patch(Rectangle(place, 1, 1, facecolor="white", edgecolor="0.6", linewidth=1))
        if shades is not None and shades[i, j]:
            shade = {"facecolor": COLOURS["gradient"], "alpha": 0.35, "linewidth": 0}
            ax.add_patch(Rectangle(place, 1, 1, **shade))
        style = {"ha": "center", "va": "center", "fontsize": 15}
        ax.text(place[0] + 0.5, place[1] + 0.5, f"{number:.3g}", **style)
    ax.text(left + numbers.shape[1] / 2, down - 0.35, name, ha="center", va="bottom", fontsize=16)
    if frame is not None:
        i, j, rows, columns = frame
        style = {"fill": False, "edgecolor": COLOURS["value"], "linewidth": 4, "zorder": 4}
        ax.add_patch(Rectangle((left + j, down + i), columns, rows, **style))
