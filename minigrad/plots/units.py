"""A weight gradient and its estimate, for some hidden units: the least alike to the most."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.plots.canvas import finite
from minigrad.plots.gradients import gradients


def units(
    true: np.ndarray,
    found: np.ndarray,
    shape: tuple[int, int],
    name: str = "dW",
    number: int = 6,
    *,
    fig: Any = None,
) -> Any:
    """The gradients into some hidden units as images, true and estimated. Returns the figure.

    Of the half of the units with the larger true gradients they are chosen by the cosine of the
    two: the lowest, the highest, and some between. The cosines are written below, and that of the
    whole gradient above.
    true, found  gradients (H W, units) of a layer that sees images (H, W)
    shape        (H, W)
    number       how many units
    fig          the figure or subfigure to draw in; None: a new one
    """
    true = finite("true", true, "(H W, units)", 2).astype("float64")
    found = finite("found", found, "(H W, units)", 2).astype("float64")
    if true.shape != found.shape or true.shape[0] != shape[0] * shape[1]:
        raise ValueError(
            f"true and found must be of shape ({shape[0] * shape[1]}, units), got {true.shape} "
            f"and {found.shape}"
        )
    lengths = np.linalg.norm(true, axis=0) * np.linalg.norm(found, axis=0)
    if not lengths.any():
        raise ValueError("no unit has both a true gradient and an estimate")
    sizes = np.linalg.norm(true, axis=0)
    alive = np.flatnonzero((lengths > 0) & (sizes >= np.median(sizes[lengths > 0])))
    cosines = (true * found).sum(axis=0)[alive] / lengths[alive]
    order = np.argsort(cosines)
    chosen = order[np.linspace(0, len(order) - 1, min(number, len(order))).astype(int)]
    whole = (true * found).sum() / (np.linalg.norm(true) * np.linalg.norm(found))
    rows = {f"true {name}": true, f"{name}_hat": found}
    return gradients(
        {label: dW[:, alive[chosen]].T.reshape(-1, *shape) for label, dW in rows.items()},
        f"Cosine of {name}_hat with {name}: {whole:.2f}; by unit {min(cosines):.2f} to "
        f"{max(cosines):.2f}",
        captions=[f"cosine {cosines[i]:.2f}" for i in chosen],
        fig=fig,
    )
