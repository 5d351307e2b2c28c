"""A figure of forward gradients: what the mean of many draws does."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.plots.canvas import a_figure, finite
from minigrad.plots.style import colour, styled


@styled
def mean_of_draws(
    draws: np.ndarray,
    true: float,
    title: str,
    name: str,
    runs: int = 10,
    share: float = 0.98,
    *,
    fig: Any = None,
) -> Any:
    """Estimates of a number `true`: their histogram, and the mean of the first n of some runs.

    draws  (S,) estimates, independent of each other; they are split into `runs` runs
    name   of what is estimated, for the axes
    share  of the draws that the histogram shows
    fig    the figure or subfigure to draw in; None: a new one
    The band is true ± 2 standard errors of a mean of n: about 95 % of the runs should be in it.
    Returns the figure.
    """
    draws = finite("draws", draws, "(S,)", 1)
    length = len(draws) // runs
    if length < 1:
        raise ValueError(f"{runs} runs need as many draws at least, got {len(draws)}")
    fig = a_figure(fig, (14, 5.8))
    left, right = fig.subplots(1, 2)
    ends = np.quantile(draws, [(1 - share) / 2, (1 + share) / 2])
    left.hist(draws, 80, range=(*ends,), color=colour("forward"), alpha=0.75, label="one draw")
    left.axvline(draws.mean(), color="black", label=f"mean of {len(draws):,} draws")
    left.axvline(true, color=colour("backprop"), linestyle="--", label="by backprop")
    left.set(xlabel=name, ylabel="number of draws")
    n = np.arange(1, length + 1)
    means = draws[: runs * length].reshape(runs, length).cumsum(axis=1) / n
    band = 2 * draws.std() / np.sqrt(n)
    shade = {"color": colour("backprop"), "alpha": 0.2, "label": "backprop's, ± 2 standard errors"}
    right.fill_between(n, true - band, true + band, **shade)
    for i, mean in enumerate(means):
        words = f"mean of n draws, {runs} times" if i == 0 else None
        right.plot(n, mean, color=colour("forward"), linewidth=1.1, alpha=0.8, label=words)
    right.axhline(true, color=colour("backprop"), linestyle="--")
    right.set(xscale="log", xlabel="n, the number of draws", ylabel="mean of the first n")
    right.set_ylim(true - band[min(3, length - 1)], true + band[min(3, length - 1)])
    for ax in (left, right):
        ax.legend()
    fig.suptitle(title)
    return fig
