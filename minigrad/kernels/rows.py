"""Sums of rows that have the same number, and one number of each row."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from minigrad.backend import Array, array_module
from minigrad.kernels import device
from minigrad.kernels.device import losses
from minigrad.kernels.recording import dot
from minigrad.kernels.switch import kernel

AT_ONCE = 2**24  # numbers of the one-hot matrix that is made at a time on a GPU


@kernel
def rows_by_number(rows: Array, number: Array, count: int) -> Array:
    """total (count, D): total[k] = Σ of the rows (R, D) whose number (R,) is k."""
    xp = array_module(rows, number)
    total = xp.zeros((count, rows.shape[1]), rows.dtype)
    if xp is not np:  # no sum of a GPU's rows is both fast and in a fixed order but a product
        step = max(1, AT_ONCE // count)
        for i in range(0, len(rows), step):
            total += rows_by_number_plain(rows[i : i + step], number[i : i + step], count)
    elif len(rows):
        # Sorted by their numbers, the rows of one number are neighbours.
        order = np.argsort(number, kind="stable")
        found, starts = np.unique(number[order], return_index=True)
        total[found] = np.add.reduceat(rows[order], starts, axis=0)
    return total


@rows_by_number.plain
def rows_by_number_plain(rows: Array, number: Array, count: int) -> Array:
    # one_hot[r, k] = 1 where row r has the number k
    one_hot = number[:, None] == array_module(rows, number).arange(count)
    return dot(one_hot.T.astype(rows.dtype), rows)


def arange(rows: Array) -> Array:
    """0 ... N - 1 for (N, ...), where the rows are. On the host it is not to be changed."""
    return _arange(len(rows)) if type(rows) is np.ndarray else array_module(rows).arange(len(rows))


@lru_cache(maxsize=8)
def _arange(N: int) -> Array:
    found = np.arange(N)
    found.flags.writeable = False
    return found


def pick(rows: Array, target: Array) -> Array:
    """rows[n, target_n] (N,). It is NaN where target_n is not a class.

    A wrong label thus makes the loss NaN. The loss is copied to the host anyway. To check the
    labels themselves would need another copy. (CuPy accepts indices that are out of range.)
    """
    N, C = rows.shape
    if type(rows) is np.ndarray:
        if not N or (np.minimum.reduce(target) >= 0 and np.maximum.reduce(target) < C):
            return rows[_arange(N), target]  # all of them are classes
    elif device.ready(rows):
        return losses.pick(rows, target)
    xp = array_module(rows)
    inside = target % C
    return xp.where(inside == target, rows[xp.arange(N), inside], np.nan)
