"""A table of vectors, one for each word."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from minigrad.backend import Array, Tangent, array_module, host_generator, to_device
from minigrad.checks import positive_int
from minigrad.kernels.rows import rows_by_number
from minigrad.layers.base import Layer


class Embedding(Layer):
    r"""y = table[x]: for each number of x, its row of the table. The first layer for words.

    Shapes: x (N, ...) whole numbers from 0 to V - 1, table (V, D), y (N, ..., D), with
    V = num_embeddings, D = embedding_dim. x may be of integers or of floats, as in a Dataset.
    It is a Linear layer without bias on one-hot rows, without the product with so many zeros.
    Backward:  dtable[k] = Σ dy over all places where x is k.  dx = 0: x moves in whole steps only
    Jvp:       y_dot = table_dot[x].  x_dot adds nothing
    Start:     table ~ N(0, 1), as in PyTorch.
    Source: Bengio, Ducharme, Vincent, Jauvin 2003, §2.
    """

    takes_numbers = True

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        *,
        dtype: Any = "float32",
        rng: np.random.Generator | None = None,
        seed: int | None = None,
    ):
        """
        num_embeddings  V, how many different numbers x may have, an integer >= 1
        embedding_dim   D, the size of each vector, an integer >= 1
        dtype           float32 or float64
        rng, seed       a numpy.random.Generator, or an integer, not both: the source of the random
                        start. Without them the start differs from run to run
        """
        super().__init__(dtype)
        self.num_embeddings = positive_int("num_embeddings", num_embeddings)
        self.embedding_dim = positive_int("embedding_dim", embedding_dim)
        shape = self.num_embeddings, self.embedding_dim
        drawn = host_generator(rng, seed).standard_normal(shape)
        self.params["table"] = to_device(drawn.astype(self.dtype))

    def forward(self, x: Array, train: bool = True) -> Array:
        index = self._index(x)
        self.cache = index, x.dtype
        # y = table[x]
        return self.params["table"][index]

    def backward(self, dy: Array) -> Array:
        index, dtype = self.recall()
        self.backward_params(dy)
        # dx = 0
        return array_module(dy).zeros(index.shape, dtype if dtype.kind == "f" else dy.dtype)

    def backward_params(self, dy: Array) -> None:
        """The gradient of the table alone."""
        index, _ = self.recall()
        V, D = self.params["table"].shape
        self.check_upstream(dy, (*index.shape, D))
        # dtable[k] = Σ dy over the places where x is k
        self.grads["table"] = rows_by_number(dy.reshape(-1, D), index.reshape(-1), V)

    def jvp(self, x_dot: Tangent, params_dot: Mapping[str, Array] | None = None) -> Array:
        index, _ = self.recall()
        table = self.params["table"]
        if x_dot is not None:
            self.check_tangent(x_dot, index.shape)
        # y_dot = table_dot[x]
        if not params_dot:
            return array_module(table).zeros((*index.shape, table.shape[1]), table.dtype)
        return params_dot["table"][index]

    def _index(self, x: Array) -> Array:
        """x as integers. Raises unless they are whole numbers from 0 to V - 1."""
        array_module(x, self.params["table"])
        V = self.num_embeddings
        if x.dtype.kind not in "iuf":
            raise TypeError(f"Embedding takes whole numbers from 0 to {V - 1}, got x of {x.dtype}")
        if x.ndim == 0:
            raise ValueError("Embedding expected x of shape (N, ...), got ()")
        if not x.size:
            return x.astype("int64")
        low, high = x.min(), x.max()
        inside = bool((low >= 0) & (high <= V - 1))  # False for NaN, too
        index = x.astype("int64") if inside else None
        if index is None or (x.dtype.kind == "f" and not bool((index == x).all())):
            what = (
                f"some from {float(low):g} to {float(high):g}"
                if index is None
                else "some that are not whole"
            )
            raise ValueError(f"Embedding takes whole numbers from 0 to {V - 1}, got {what}")
        return index

    def __repr__(self) -> str:
        return f"Embedding({self.num_embeddings}, {self.embedding_dim})"
