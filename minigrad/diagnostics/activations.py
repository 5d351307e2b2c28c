"""What the layers of a network put out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from minigrad.backend import Array, array_module
from minigrad.checks import positive_int
from minigrad.diagnostics.copies import as_before, check_model, copied
from minigrad.layers import Layer

Use = Callable[[str, Layer, Array], None]  # name of a layer, a copy of it, its output


def activations(model: Layer, x: Array, batch_size: int = 1000) -> dict[str, Array]:
    """{flat name: its output y (N, ...)} of each activation and of each layer with parameters.

    In evaluation mode: without dropout, and with running statistics. Nothing changes.
    """
    found: dict[str, list[Array]] = {}

    def use(name: str, leaf: Layer, y: Array) -> None:
        if leaf.is_activation or leaf.params:
            found.setdefault(name, []).append(y)

    each_output(model, x, batch_size, use)
    return {name: array_module(*parts).concatenate(parts) for name, parts in found.items()}


def each_output(model: Layer, x: Array, batch_size: int, use: Use) -> None:
    """A copy of the model goes forward batch by batch. `use` gets each layer's output."""
    check_model(model)
    with as_before(model):
        (own,) = copied(model)
        found: dict[str, tuple[Layer, Array]] = {}
        for prefix, leaf in own.leaves():
            leaf.forward = _noting(found, prefix.removesuffix("."), leaf)
        for part in batches(x, batch_size):
            own.forward(part, train=False)
            for name, (leaf, y) in found.items():
                use(name, leaf, y)


def batches(x: Array, batch_size: int) -> Iterator[Array]:
    """x in parts of `batch_size`."""
    n = positive_int("batch_size", batch_size)
    array_module(x)
    if x.ndim == 0 or len(x) == 0:
        raise ValueError(f"expected examples (N, ...), got x of shape {tuple(x.shape)}")
    return (x[i : i + n] for i in range(0, len(x), n))


def _noting(found: dict[str, tuple[Layer, Array]], name: str, leaf: Layer) -> Callable[..., Array]:
    """The layer's forward, which also notes the output."""
    forward = leaf.forward

    def noting(x: Any, train: bool = True) -> Array:
        y = forward(x, train)
        found[name] = leaf, y.copy()  # a layer above may write into it
        return y

    return noting
