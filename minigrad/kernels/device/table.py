"""A table of arrays for one launch: the addresses and sizes of up to 64 rows of arrays.

A row is, for example, a parameter, its gradient and its two moments. The table goes to the kernel
by value, as one of the launch's arguments: nothing is copied to the GPU before it, and the host may
change the table at once after it. One block of threads works on 1024 numbers of one row.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np

from minigrad.backend import Array
from minigrad.kernels.device import kernel
from minigrad.kernels.memory import is_dense

ROWS = 64  # of a table. An argument of this size is allowed on every GPU: 4 KiB
COLUMNS = 5  # arrays of a row
CHUNK = 1024  # numbers of one block
NUMBERS = 8  # that a kernel takes besides the arrays

# To be put in front of a kernel. In the kernel `row` is the block's row, `first` and `end` are the
# block's numbers in it, and ARRAY(c) is the row's array in column c.
SOURCE = f"""
struct Table {{
    long long cells[{COLUMNS + 2}][{ROWS}];  // addresses; sizes; blocks of all rows up to this one
}};
struct Numbers {{
    double x[{NUMBERS}];
}};
#define ARRAY(c) ((T*)table.cells[c][row])
#define CHUNK {CHUNK}LL
#define FIND_ROW                                                                       \\
    int row = 0;                                                                       \\
    while (blockIdx.x >= table.cells[{COLUMNS + 1}][row]) ++row;                       \\
    const long long before = row ? table.cells[{COLUMNS + 1}][row - 1] : 0;            \\
    const long long first = (blockIdx.x - before) * CHUNK;                             \\
    const long long size = table.cells[{COLUMNS}][row];                                \\
    const long long end = first + CHUNK < size ? first + CHUNK : size;
"""


class Table:
    """Rows of arrays of one dtype, each row's arrays of one size and in one order in memory.

    `put` fills a column. The caller keeps the arrays alive while the table is used.
    """

    def __init__(self, likes: Sequence[Array]):
        """likes: one array of each row, at most 64 rows."""
        self.like = likes[0]
        self.rows = len(likes)
        sizes = [array.size for array in likes]
        ends = list(accumulate(-(-size // CHUNK) for size in sizes))
        self.blocks = ends[-1]
        self.cells = np.zeros((COLUMNS + 2, ROWS), np.int64)
        self.cells[COLUMNS, : self.rows] = sizes
        self.cells[COLUMNS + 1, : self.rows] = ends
        self._argument = by_value(self.cells)  # the same memory

    def put(self, column: int, arrays: Sequence[Array]) -> None:
        """Write the arrays' addresses into a column."""
        self.cells[column, : self.rows] = [array.data.ptr for array in arrays]  # type: ignore[attr-defined]

    def launch(self, name: str, source: str, *arguments: Any, threads: int = 256) -> None:
        """Run a kernel whose first argument is the table. No numbers at all: no launch."""
        if self.blocks:
            run = kernel(name, source, self.like)
            run((self.blocks,), (threads,), (self._argument, *arguments))


def by_value(array: np.ndarray) -> np.ndarray:
    """The array's memory as one number: so CuPy hands it to a kernel as a struct."""
    return array.reshape(-1).view(f"V{array.nbytes}")


def alike(*arrays: Array) -> bool:
    """Whether one index finds the same place in all of them: same shape, same order, no gaps."""
    first = arrays[0]
    shape = first.shape
    dense = first.flags.c_contiguous
    layout = None if dense else first.strides
    for array in arrays[1:]:
        if array.shape != shape:
            return False
        if not (array.flags.c_contiguous if dense else array.strides == layout):
            return False
    return dense or is_dense(first)
