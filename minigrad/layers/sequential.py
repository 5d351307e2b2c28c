"""Layers one after another: a network."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import nullcontext
from textwrap import indent
from typing import Any

import numpy as np

from minigrad.backend import Array, Tangent, array_module
from minigrad.checks import positive_int
from minigrad.layers.base import OWN, Layer
from minigrad.layers.flat import Flat
from minigrad.layers.summary import Summary
from minigrad.threads import one_blas_thread

NOTHING = nullcontext()
OF_A_CHAIN = ("forward", "backward", "jvp", "forward_jvp", "backward_params")


def _flat(kind: str) -> Any:
    """The property `params`, `grads` or `buffers` of a network."""
    return property(
        lambda net: Flat(net.layers, kind), lambda net, other: Flat(net.layers, kind).set(other)
    )


def _dtype(net: Any) -> np.dtype | None:
    return next((layer.dtype for layer in net.layers if layer.dtype is not None), None)


class Sequential(Layer):
    r"""y = f_L(... f_2(f_1(x))): layers one after another. A Sequential is itself a layer.

    `net(x)` is net.forward(x), `net[0]` a layer, `net[1:]` a Sequential of the same layers.
    `params`, `grads` and `buffers` have the arrays of all layers, named "0.W", "0.b", "2.W", ...
    Writing to them writes to the layers.
    To add a layer: Sequential(*net.layers, new). Then make a new optimiser.

    Backward:  dx = J_1ᵀ ... J_Lᵀ dy        the chain rule from the right: one vector, all grads
    Jvp:       y_dot = J_L ... J_1 x_dot    the chain rule from the left: one direction at a time
    Taught in: 01_gradients_by_hand.
    """

    cache: Any = None  # used by a derived class that writes its own forward
    is_part = False  # True: made by net[1:3]. An optimiser may then step it alone
    is_chain = True  # False if a class, or an object, has its own forward or derivative
    _own = OWN | {"_layers"}
    params: Any = _flat("params")
    grads: Any = _flat("grads")
    buffers: Any = _flat("buffers")
    dtype: Any = property(_dtype, doc="The dtype of the first layer that has one.")

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls.is_chain = all(getattr(cls, name) is getattr(Sequential, name) for name in OF_A_CHAIN)

    def __init__(self, *layers: Layer):
        """layers: x goes through them in this order."""
        self.layers = layers

    @property
    def frozen(self) -> bool:
        """Whether no optimiser moves any of the parameters. Setting it freezes all layers."""
        return all(leaf.frozen for _, leaf in self.leaves() if leaf.params)

    @frozen.setter
    def frozen(self, value: bool) -> None:
        for _, leaf in self.leaves():
            leaf.frozen = value

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers in order. After setting them, make a new optimiser."""
        return self._layers

    @layers.setter
    def layers(self, layers: Iterable[Layer]) -> None:
        layers = tuple(layers)
        for i, layer in enumerate(layers):
            if not isinstance(layer, Layer):
                raise TypeError(
                    f"Sequential(*layers) takes layers, got {type(layer).__name__} at {i}"
                    + ("; write Sequential(*layers)" if isinstance(layer, list | tuple) else "")
                )
        inner = [id(module) for layer in layers for module in layer.modules()]
        if len(set(inner)) < len(inner):
            raise ValueError(
                "the same layer stands in the net twice. It keeps the values of one forward only, "
                "so each place needs a layer of its own. Two layers may share an array: "
                "b.params['W'] = a.params['W']"
            )
        self._layers = layers
        self.uses_threads = any(layer.uses_threads for layer in layers)

    def __getitem__(self, index: Any) -> Any:
        """net[0], net[-1]: a layer; net[1:3]: a Sequential of the same layers."""
        if isinstance(index, slice):
            part = Sequential(*self.layers[index])
            part.is_part = True
            return part
        return self.layers[index]

    def __len__(self) -> int:
        return len(self.layers)

    def __iter__(self) -> Iterator[Layer]:
        return iter(self.layers)

    def modules(self) -> Iterator[Layer]:
        yield self
        for layer in self.layers:
            yield from layer.modules()

    def leaves(self, prefix: str = "") -> Iterator[tuple[str, Layer]]:
        self.check_attributes()
        for i, layer in enumerate(self.layers):
            yield from layer.leaves(f"{prefix}{i}.")

    def unregistered(self) -> dict[str, Array]:
        found = super().unregistered()
        for i, layer in enumerate(self.layers):
            found |= {f"{i}.{name}": array for name, array in layer.unregistered().items()}
        return found

    def forward(self, x: Array, train: bool = True) -> Array:
        with self._alone(x):
            for layer in self._layers:
                x = layer.forward(x, train)
        return x

    def backward(self, dy: Array) -> Array:
        with self._alone(dy):
            for layer in reversed(self._layers):
                dy = layer.backward(dy)
        return dy

    def backward_params(self, dy: Array) -> None:
        """Compute `grads` only. It stops at the first layer with parameters, without its dx."""
        layers = self._layers
        first = next((i for i, layer in enumerate(layers) if layer.params), None)
        if first is None:
            return
        with self._alone(dy):
            for layer in reversed(layers[first + 1 :]):
                dy = layer.backward(dy)
            layers[first].backward_params(dy)

    def jvp(self, x_dot: Tangent, params_dot: Mapping[str, Array] | None = None) -> Any:
        """The tangent of the output. Parameters that are not in `params_dot` are constant."""
        moving = self._split(params_dot or {})
        with self._alone(x_dot):
            for i, layer in enumerate(self._layers):
                if x_dot is not None or i in moving:  # else the tangent is still 0
                    x_dot = layer.jvp(x_dot, moving.get(i))
        return x_dot

    def forward_jvp(
        self,
        x: Array,
        x_dot: Array | None,
        params_dot: Mapping[str, Array] | None = None,
        train: bool = True,
    ) -> tuple[Array, Array | None]:
        """y and y_dot together, layer by layer. The memory does not grow with the depth."""
        moving = self._split(params_dot or {})
        with self._alone(x):
            for i, layer in enumerate(self._layers):
                x, x_dot = layer.forward_jvp(x, x_dot, moving.get(i), train)
        return x, x_dot

    def _alone(self, x: Tangent) -> Any:
        """A context in which BLAS uses one thread, if layers use threads of their own for x."""
        on_host = x is None or type(x) is np.ndarray
        return one_blas_thread() if self.uses_threads and on_host else NOTHING

    def _split(self, params_dot: Mapping[str, Array]) -> dict[int, dict[str, Array]]:
        """{"0.W": ..., "2.0.b": ...} as {0: {"W": ...}, 2: {"0.b": ...}}."""
        split: dict[int, dict[str, Array]] = {}
        for key, array in params_dot.items():
            number, _, name = key.partition(".")
            if not number.isdigit() or int(number) >= len(self.layers) or not name:
                raise KeyError(f"params_dot has {key!r}; the model's names are {list(self.params)}")
            split.setdefault(int(number), {})[name] = array
        return split

    def predict(self, x: Array, batch_size: int = 1000) -> Array:
        """The output in evaluation mode, computed `batch_size` examples at a time.

        It leaves no cache.
        """
        array_module(x)
        if x.ndim == 0:
            raise ValueError("predict expected x of shape (N, ...), got ()")
        parts = []
        for start in range(0, max(len(x), 1), positive_int("batch_size", batch_size)):
            parts.append(self.forward(x[start : start + batch_size], train=False))
        self.drop_cache()
        return array_module(*parts).concatenate(parts) if len(parts) > 1 else parts[0]

    def reseed(self, seed: int) -> None:
        for layer, sequence in zip(
            self.layers, np.random.SeedSequence(seed).spawn(len(self.layers)), strict=True
        ):
            layer.reseed(int(sequence.generate_state(1)[0]))

    def summary(self, input_shape: tuple[int, ...] | None = None) -> Summary:
        """Print each layer's output shape and number of parameters. Returns the table as text.

        input_shape: the shape of one example, without the batch: (1, 28, 28). It is not needed if
        the first layer with parameters is Linear. It is then (in_features,).
        """
        if input_shape is None:
            first = next((leaf for _, leaf in self.leaves() if leaf.params), None)
            in_features = getattr(first, "in_features", None)
            if in_features is None:
                raise ValueError("give summary the shape of one example: summary((1, 28, 28))")
            input_shape = (in_features,)
        text = Summary.of(self, list(chain(self)), input_shape)
        print(text)
        return text

    def __repr__(self) -> str:
        inner = "\n".join(f"{i}: {layer!r}" for i, layer in enumerate(self.layers))
        return f"{type(self).__name__}(\n{indent(inner, '  ')}\n)"


def chain(model: Layer, prefix: str = "") -> Iterator[tuple[str, Layer]]:
    """(prefix, layer) for each layer in the order in which x goes through them.

    A Sequential inside another gives its layers, unless it changes forward, backward or jvp.
    """
    if isinstance(model, Sequential) and model.is_chain:
        for i, layer in enumerate(model.layers):
            yield from chain(layer, f"{prefix}{i}.")
    else:
        yield prefix, model
