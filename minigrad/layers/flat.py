"""One dict for a whole network's parameters or gradients, with names "0.W", "0.b", "2.W"."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any

from minigrad.backend import Array, array_module

if TYPE_CHECKING:
    from collections.abc import ItemsView, KeysView, Sequence, ValuesView


class Flat(MutableMapping[str, Array]):
    """The dicts of all layers as one dict. Writing to it writes to the layers.

        net.params["1.W"] = W        is    net.layers[1].params["W"] = W
        net.grads["1.W"] *= 0.5      halves that gradient
        net.grads.clear()            empties the grads of all layers

    It has no arrays of its own: it always shows the layers' present ones. It raises KeyError for
    an unknown name, ValueError for a wrong shape, TypeError for a wrong dtype.
    """

    def __init__(self, layers: Sequence[Any], kind: str):
        """kind: "params", "grads" or "buffers"."""
        self._layers = layers
        self._kind = kind

    def set(self, other: Mapping[str, Array]) -> None:
        """`net.grads = other`: the entries of `other` replace all present ones."""
        if isinstance(other, Flat) and other._layers is self._layers:
            return  # `net.params |= ...` has written everything already
        if self._kind != "grads" and other.keys() != set(self):
            raise KeyError(f"{self._kind} needs {list(self)}, got {list(other)}")
        places = [(*self._place(key, value), value) for key, value in other.items()]
        if self._kind == "grads":
            self.clear()
        for own, name, value in places:  # only after all of them fit
            own[name] = value

    def _place(self, key: Any, value: Any) -> tuple[Any, str]:
        """(the layer's dict, the name in it). Raises unless the value fits."""
        layer, name = self._find(key)
        like = getattr(layer, self._named())[name]
        if value is not like:
            _check(f"{self._kind}[{key!r}]", value, like)
        return getattr(layer, self._kind), name

    def _gather(self) -> dict[str, Array]:
        return {
            f"{i}.{name}": array
            for i, layer in enumerate(self._layers)
            for name, array in getattr(layer, self._kind).items()
        }

    def _find(self, key: Any) -> tuple[Any, str]:
        """(the layer, its own name for the entry). Raises KeyError, with the known names."""
        layers = self._layers
        rest = key
        while isinstance(rest, str):
            number, _, rest = rest.partition(".")
            if not rest or not number.isdecimal() or int(number) >= len(layers):
                break
            layer = layers[int(number)]
            inner = getattr(layer, self._kind)
            if not isinstance(inner, Flat):
                if rest in getattr(layer, self._named()):
                    return layer, rest
                break
            layers = inner._layers
        known = list(Flat(self._layers, self._named()))
        raise KeyError(f"{self._kind} has no {key!r}; the model's names are {known}")

    def _named(self) -> str:
        """The kind whose names are allowed. Gradients have the names of the parameters."""
        return "params" if self._kind == "grads" else self._kind

    def __getitem__(self, key: str) -> Array:
        number, _, name = key.partition(".") if isinstance(key, str) else ("", "", "")
        if number.isdecimal() and int(number) < len(self._layers):
            found = getattr(self._layers[int(number)], self._kind).get(name)
            if found is not None:
                return found
        self._find(key)  # KeyError for an unknown name
        raise KeyError(f"{key!r} has no gradient yet: the layer's grads are empty")

    def __setitem__(self, key: str, value: Array) -> None:
        own, name = self._place(key, value)
        own[name] = value

    def __delitem__(self, key: str) -> None:
        self[key]  # this KeyError says more than the layer's own would
        layer, name = self._find(key)
        del getattr(layer, self._kind)[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._gather())

    def __len__(self) -> int:
        return sum(len(getattr(layer, self._kind)) for layer in self._layers)

    def keys(self) -> KeysView[str]:
        return self._gather().keys()

    def values(self) -> ValuesView[Array]:
        return self._gather().values()

    def items(self) -> ItemsView[str, Array]:
        return self._gather().items()

    def copy(self) -> dict[str, Array]:
        """A plain dict of the same arrays. Setting its entries changes no layer."""
        return self._gather()

    def __or__(self, other: Mapping[str, Array]) -> dict[str, Array]:
        return self._gather() | dict(other)

    def __ror__(self, other: Mapping[str, Array]) -> dict[str, Array]:
        return dict(other) | self._gather()

    def __ior__(self, other: Mapping[str, Array]) -> Flat:
        self.update(other)
        return self

    def clear(self) -> None:
        for layer in self._layers:
            getattr(layer, self._kind).clear()

    def __repr__(self) -> str:
        return repr(self._gather())


def _check(what: str, value: Any, like: Array) -> None:
    """Raise unless the value is an array like `like`: same device, shape and dtype."""
    array_module(value, like)
    if value.shape != like.shape:
        raise ValueError(f"{what}: expected shape {like.shape}, got {value.shape}")
    if value.dtype != like.dtype:
        raise TypeError(
            f"{what}: expected {like.dtype}, got {value.dtype}; cast with .astype('{like.dtype}')"
        )
