"""A network as one row of layers: taken apart, with other parameters, without frozen layers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from minigrad.backend import Array, array_module
from minigrad.layers import Layer, Sequential, holding


def chain(model: Layer, prefix: str = "") -> Iterator[tuple[str, Layer]]:
    """(prefix, layer) for each layer that x goes through, one after the other.

    A Sequential inside another is taken apart. One with methods of its own stays whole.
    """
    if isinstance(model, Sequential) and is_plain(model):
        for i, layer in enumerate(model.layers):
            yield from chain(layer, f"{prefix}{i}.")
    else:
        yield prefix, model


def is_plain(model: Sequential) -> bool:
    """Whether it is its layers one after another: forward, backward and jvp are Sequential's."""
    return all(
        getattr(type(model), name) is getattr(Sequential, name)
        for name in ("forward", "backward", "jvp")
    )


@contextmanager
def replaced(layer: Layer, prefix: str, params: Mapping[str, Array]) -> Iterator[None]:
    """The layer has other parameters inside this block. Its own arrays are not changed.

    A parameter that `params` leaves out stays. Each layer has its own dict of parameters, so this
    is right also where two layers share an array.
    """
    leaves = list(layer.leaves(prefix))
    own = [leaf.params for _, leaf in leaves]
    try:
        for start, leaf in leaves:
            leaf.params = {name: params.get(start + name, p) for name, p in leaf.params.items()}
        yield
    finally:
        for (_, leaf), before in zip(leaves, own, strict=True):
            leaf.params = before


def may_be_frozen(model: Layer) -> bool:
    """Whether a class changes `backward` alone, and inherits forward and jvp.

    Such a `backward` may empty `grads`, which freezes the layer. Rules that never call backward
    cannot see that, and must ask `frozen`.
    """
    if isinstance(model, Sequential) and any(may_be_frozen(layer) for layer in model.layers):
        return True
    forward, backward, jvp = (
        next(i for i, base in enumerate(type(model).__mro__) if name in vars(base))
        for name in ("forward", "backward", "jvp")
    )
    return backward < min(forward, jvp)


def frozen(model: Layer, x: Array) -> set[str]:
    """The prefixes of the layers whose parameters have no gradient after a backward pass.

    The pass is for dy = 0 and is made within `holding`, so the next forward is the same function.
    """
    with holding(model):
        y = model.forward(x, train=True)
        model.backward(array_module(y).zeros_like(y))
    return {prefix for prefix, leaf in model.leaves() if leaf.params and not leaf.grads}


def summed(grads: Mapping[str, Array], groups: Mapping[str, list[str]]) -> dict[str, Array]:
    """Gradients by array: those of layers that share one are added, under its first name.

    groups: as `shared` gives them.
    """
    total = dict(grads)
    for first, names in groups.items():
        found = [total.pop(name) for name in names if name in total]
        if found:
            total[first] = sum(found[1:], found[0])
    return total


def shared(model: Layer) -> dict[str, list[str]]:
    """{the first name of an array: all its names}, for arrays that several layers have."""
    names: dict[int, list[str]] = {}
    for name, param in model.params.items():
        names.setdefault(id(param), []).append(name)
    return {group[0]: group for group in names.values() if len(group) > 1}
