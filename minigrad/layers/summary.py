"""A network as a table: each layer's output shape and parameters, and the memory."""

from __future__ import annotations

from math import prod
from typing import Any, NamedTuple

import numpy as np

from minigrad import backend
from minigrad.backend import Array
from minigrad.layers.base import Layer


class Row(NamedTuple):
    """One layer: its name, the shape of its output for one example, its number of parameters."""

    name: str
    shape: tuple[int, ...]
    parameters: int


class Summary(str):
    """The table as text. Its numbers are attributes.

    If two layers share an array, it counts in the first of them only.
    """

    rows: tuple[Row, ...]
    parameters: int
    parameter_bytes: int
    activation_bytes: int  # the outputs of all layers, for one example

    @classmethod
    def of(
        cls, model: Layer, layers: list[tuple[str, Layer]], input_shape: tuple[int, ...]
    ) -> Summary:
        """The summary, from one forward with an example of zeros, in evaluation mode.

        layers: (prefix, layer) in the order in which x goes through them.
        """
        found = {id(a): a for _, leaf in model.leaves() for a in leaf.params.values()}
        arrays = list(found.values())
        dtype = arrays[0].dtype if arrays else np.dtype("float32")
        x = backend.to_device(np.zeros((1, *input_shape), dtype), *arrays[:1])
        caches = [(module, module.cache) for module in model.modules()]
        try:
            rows = _rows(layers, x, set())
        finally:  # the caller may still want derivatives of an earlier forward
            for module, cache in caches:
                module.cache = cache
        activations = sum(prod(row.shape) for row in rows) * dtype.itemsize
        total = sum(row.parameters for row in rows)
        weights = sum(array.nbytes for array in arrays)
        summary = cls(_table(rows, input_shape, total, weights, activations))
        summary.rows = tuple(rows)
        summary.parameters = total
        summary.parameter_bytes = weights
        summary.activation_bytes = activations
        return summary

    def __repr__(self) -> str:
        return f"<Summary of {len(self.rows)} layers, {self.parameters:,} parameters>"


def _rows(layers: list[tuple[str, Layer]], x: Array, counted: set[int]) -> list[Row]:
    """A row for each layer, as x goes through them.

    A Residual comes after the layers inside it. counted: the ids of the arrays of earlier rows.
    """
    rows: list[Row] = []
    for prefix, layer in layers:
        if hasattr(layer, "inside"):
            for branch in layer.inside(prefix):
                rows += _rows(branch, x, counted)
        x = layer.forward(x, train=False)
        own = {id(a): a.size for _, leaf in layer.leaves() for a in leaf.params.values()}
        parameters = sum(size for key, size in own.items() if key not in counted)
        counted.update(own)
        label = f"{type(layer).__name__}-{prefix.rstrip('.') or '0'}"
        rows.append(Row(label, tuple(x.shape[1:]), parameters))
    return rows


def _table(
    rows: list[Row], input_shape: tuple[int, ...], total: int, weights: int, activations: int
) -> str:
    rule = "-" * 58
    lines = [rule, f"{'layer':<18}{'output shape':>22}{'parameters':>18}", rule]
    lines.append(f"{'input':<18}{_shape(input_shape):>22}{'':>18}".rstrip())
    lines += [f"{row.name:<18}{_shape(row.shape):>22}{row.parameters:>18,}" for row in rows]
    lines += [
        rule,
        f"parameters: {total:,} ({weights / 2**20:.2f} MiB)",
        f"activations of one example: {activations / 2**20:.3f} MiB",
        rule,
    ]
    return "\n".join(lines)


def _shape(shape: tuple[Any, ...]) -> str:
    return f"(N, {', '.join(map(str, shape))})"
