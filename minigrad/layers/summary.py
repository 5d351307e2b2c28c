"""A network as a table: what each layer puts out, how much it learns, what memory it takes."""

from __future__ import annotations

from math import prod
from typing import NamedTuple

import numpy as np

from minigrad import backend
from minigrad.layers.base import Layer


class Row(NamedTuple):
    """One layer: its name, its output's shape for one example, its parameters' number."""

    name: str
    shape: tuple[int, ...]
    parameters: int


class Summary(str):
    """The table as text, with its numbers: `rows`, `parameters`, and bytes of both kinds."""

    rows: tuple[Row, ...]
    parameters: int
    parameter_bytes: int
    activation_bytes: int  # one example's outputs of all layers, as forward leaves them

    @classmethod
    def of(cls, model: Layer, input_shape: tuple[int, ...]) -> Summary:
        """Send one all-zero example through the model in evaluation mode and note the shapes."""
        leaves = list(model.leaves())
        arrays = [array for _, layer in leaves for array in layer.params.values()]
        dtype = arrays[0].dtype if arrays else np.dtype("float32")
        x = backend.to_device(np.zeros((1, *input_shape), dtype), *arrays[:1])
        rows = []
        for prefix, layer in leaves:
            kept = layer.cache  # a derivative may still be wanted at the caller's own point
            try:
                x = layer.forward(x, train=False)
            finally:
                layer.cache = kept
            parameters = sum(array.size for array in layer.params.values())
            label = f"{type(layer).__name__}-{prefix.rstrip('.') or '0'}"
            rows.append(Row(label, tuple(x.shape[1:]), parameters))
        activations = sum(prod(row.shape) for row in rows) * dtype.itemsize
        total = sum(row.parameters for row in rows)
        summary = cls(_table(rows, input_shape, total, sum(a.nbytes for a in arrays), activations))
        summary.rows, summary.parameters = tuple(rows), total
        summary.parameter_bytes = sum(array.nbytes for array in arrays)
        summary.activation_bytes = activations
        return summary

    def __repr__(self) -> str:
        return f"<Summary of {len(self.rows)} layers, {self.parameters:,} parameters>"


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


def _shape(shape: tuple[int, ...]) -> str:
    return f"(N, {', '.join(map(str, shape))})"
