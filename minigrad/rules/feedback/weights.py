"""The weights of a network by which its layers send gradients down."""

from __future__ import annotations

from collections.abc import Iterator

from minigrad.backend import Array
from minigrad.layers import Layer, Sequential

DERIVATIVES = ("backward", "backward_params")


def sent_through(model: Layer) -> dict[str, Array]:
    """{name: W} for every W through which a backward pass of the model sends a gradient down.

    A layer has such a W if its class says so: `sends_through = "W"` means that `backward` uses W
    for dx alone, so that another array in its place changes dx and no gradient of a parameter.
    A class that changes `backward` has to say it again. The first layer with parameters is not
    among them: its dx is not computed.
    """
    found = dict(_weights(model, ""))
    first = next((prefix for prefix, leaf in model.leaves() if leaf.params), None)
    return {
        prefix + name: leaf.params[name]
        for prefix, (leaf, name) in found.items()
        if prefix != first
    }


def fans_in(model: Layer) -> dict[str, int]:
    """{name: the number of weights that each unit has}, for every parameter."""
    return {
        prefix + name: W.size // W.shape[leaf.unit_axis.get(name, 0)]
        for prefix, leaf in model.leaves()
        for name, W in leaf.params.items()
        if W.size and W.ndim
    }


def _weights(layer: Layer, prefix: str) -> Iterator[tuple[str, tuple[Layer, str]]]:
    """(prefix, (layer, name of its W)), also inside networks whose backward is the library's."""
    if isinstance(layer, Sequential):
        if all(_is_from_here(layer, method) for method in DERIVATIVES):
            for i, inner in enumerate(layer.layers):
                yield from _weights(inner, f"{prefix}{i}.")
    elif (name := _said(layer)) in layer.params:
        yield prefix, (layer, name)


def _said(layer: Layer) -> str:
    """`sends_through`, if no class below the one that says it, and no object, changes backward."""
    says = next((c for c in type(layer).__mro__ if "sends_through" in vars(c)), None)
    if says is None or any(method in vars(layer) for method in DERIVATIVES):
        return ""
    plain = all(issubclass(says, _writer(type(layer), method)) for method in DERIVATIVES)
    return str(vars(says)["sends_through"]) if plain else ""


def _is_from_here(layer: Layer, method: str) -> bool:
    inside = _writer(type(layer), method).__module__.startswith("minigrad.")
    return inside and method not in vars(layer)


def _writer(kind: type, method: str) -> type:
    """The class that writes the method."""
    return next(c for c in kind.__mro__ if method in vars(c))
