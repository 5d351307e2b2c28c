"""What every metric checks: two arrays, with as many examples."""

from __future__ import annotations

from typing import Any

from minigrad.backend import Array, array_module


def check_pair(name: str, output: Array, y: Array) -> Any:
    """The array module. Raises unless both are arrays, not empty, with as many examples."""
    for what, array in (("output", output), ("y", y)):
        if not hasattr(array, "dtype") or not hasattr(array, "ndim"):
            raise TypeError(
                f"{name} takes arrays, got {type(array).__name__} for {what}; convert it with "
                f"numpy.asarray({what})"
            )
    xp = array_module(output, y)
    if output.ndim == 0 or y.ndim == 0 or len(output) != len(y) or output.size == 0:
        raise ValueError(
            f"{name} needs as many outputs as targets, one or more, got shapes "
            f"{tuple(output.shape)} and {tuple(y.shape)}"
        )
    return xp


def check_same_shape(name: str, output: Array, y: Array) -> None:
    if output.shape != y.shape:
        hint = "; write y.reshape(-1, 1)" if output.shape == (*y.shape, 1) else ""
        raise ValueError(
            f"{name} needs output and y of one shape, got {tuple(output.shape)} and "
            f"{tuple(y.shape)}{hint}"
        )
