"""The names of the old module `minigrad.parallel`. They now live in other modules."""

from minigrad.kernels.memory import CACHE, in_memory_order, is_dense, keep_memory, scratch
from minigrad.kernels.parts import (
    DEVICE_CACHE,
    GROUPS,
    SHARES,
    WORTH_A_THREAD,
    by_batch,
    groups,
    over_batch,
    parts,
    pieces,
)
from minigrad.kernels.products import WORTH_A_PIECE, matmul
from minigrad.kernels.products import in_pieces as matmuls
from minigrad.kernels.updates import add_scaled

__all__ = [
    "CACHE",
    "DEVICE_CACHE",
    "GROUPS",
    "SHARES",
    "WORTH_A_PIECE",
    "WORTH_A_THREAD",
    "add_scaled",
    "by_batch",
    "groups",
    "in_memory_order",
    "is_dense",
    "keep_memory",
    "matmul",
    "matmuls",
    "over_batch",
    "parts",
    "pieces",
    "scratch",
]
