"""Test errors of several rules, each with several seeds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from minigrad.metrics.confidence import interval
from minigrad.plots.canvas import finite, some
from minigrad.plots.chance import intervals


def errors(
    accuracies: Mapping[str, Mapping[int, float]],
    title: str,
    confidence: float = 0.95,
    *,
    ax: Any = None,
) -> Any:
    """Test errors in per cent for {rule: {seed: accuracy}}: means with Student's t interval.

    A rule with one seed has no interval. Returns the figure.
    ax  the axes to draw in; None: those of a new figure
    """
    rows, ends = {}, {}
    for name, found in some("accuracies", accuracies).items():
        values = finite(repr(name), list(some(repr(name), found).values()), "(seeds,)", 1)
        rows[name] = 100 * (1 - values)
        mean = interval(rows[name], confidence)
        if mean["half"] is not None:
            ends[name] = mean["low"], mean["high"]
    label = f"test error, % ({100 * confidence:g} %, Student's t)"
    return intervals(rows, title, label, ends, ax=ax)
