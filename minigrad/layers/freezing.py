"""Layers that are kept as they are while others learn, chosen by patterns of names."""

from __future__ import annotations

from fnmatch import fnmatchcase

from minigrad.layers.base import Layer
from minigrad.layers.patterns import checked_patterns, fits


def freeze(model: Layer, *patterns: str, statistics: bool = True) -> list[str]:
    """No optimiser moves the chosen layers, and their running statistics stay. Returns their names.

    freeze(net)             all layers
    freeze(net, "0", "2")   the layers net[0] and net[2], with all layers inside them
    freeze(net, "0.*")      a pattern may also fit all parameters of a layer: 0.W and 0.b

    A frozen batch norm normalises with its running statistics in training, too, as in evaluation.
    statistics=False: with those of each batch, and the running ones follow. `layer.frozen = True`
    does that for one layer. Gradients still go through frozen layers.
    """
    chosen = _chosen(model, patterns)
    for layer in chosen.values():
        layer.frozen = True
        layer.keeps_statistics = statistics and bool(layer.buffers)
    return list(chosen)


def unfreeze(model: Layer, *patterns: str) -> list[str]:
    """The chosen layers learn again, and their running statistics move. Returns their names."""
    chosen = _chosen(model, patterns)
    for layer in chosen.values():
        layer.frozen = False
        layer.keeps_statistics = False
    return list(chosen)


def _chosen(model: Layer, patterns: tuple[str, ...]) -> dict[str, Layer]:
    """{name: layer} for the layers that learn or count, and whose names fit."""
    if not isinstance(model, Layer):
        raise TypeError(f"freeze and unfreeze take a model, got a {type(model).__name__}")
    leaves = {p: leaf for p, leaf in model.leaves() if leaf.params or leaf.buffers}
    chosen: dict[str, Layer] = {}
    for pattern in checked_patterns("what to freeze", patterns or ("*",)):
        found = {p.removesuffix("."): leaf for p, leaf in leaves.items() if _fits(p, leaf, pattern)}
        if not found:
            partly = [
                p + n for p, leaf in leaves.items() for n in leaf.params if fits(p + n, [pattern])
            ]
            raise ValueError(
                f"{pattern!r} fits {partly}, and not all of a layer. A layer is frozen as a whole. "
                f"For single parameters: SGD(model, lr, groups={{{pattern!r}: {{'lr_factor': 0}}}})"
                if partly
                else f"{pattern!r} fits none of the layers "
                f"{[p.removesuffix('.') for p in leaves]}, nor all parameters of one"
            )
        chosen |= found
    return chosen


def _fits(prefix: str, leaf: Layer, pattern: str) -> bool:
    """Whether a pattern fits the name of a layer, or of one around it, or all its parameters."""
    parts = prefix.removesuffix(".").split(".") if prefix else []
    names = [".".join(parts[: i + 1]) for i in range(len(parts))]
    own = [prefix + name for name in (leaf.params or leaf.buffers)]
    return any(fnmatchcase(name, pattern) for name in names) or all(fits(n, [pattern]) for n in own)
