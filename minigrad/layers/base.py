"""What every layer is: one function of x and its parameters, evaluated at one point at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import numpy as np

from minigrad import backend
from minigrad.backend import Array, Tangent
from minigrad.checks import FLOATS, float_dtype
from minigrad.layers.attributes import SEQUENCES, held, is_float_array
from minigrad.layers.initial import initial_uniform as initial_uniform
from minigrad.layers.random_streams import RandomStreams
from minigrad.siblings import prefer_own, prefer_plain

T = TypeVar("T")
SIBLINGS = {"forward_jvp": ("forward", "jvp"), "backward_params": ("backward",)}
PLAIN = frozenset(name for plain in SIBLINGS.values() for name in plain)
OWN = frozenset(("params", "grads", "buffers", "cache", "dtype", "_kept", "_inside"))


class Layer(RandomStreams):
    """y = f(x, params): `forward` keeps one linearisation, `jvp` and `backward` apply it.

    With J the Jacobian of f at the point where `forward` was last called,

        forward(x)                 y     = f(x, params)
        backward(dy)               dx    = J_xᵀ dy,  grads[name] = J_nameᵀ dy   (right to left)
        jvp(x_dot, params_dot)     y_dot = J_x x_dot + Σ J_name params_dot[name]  (left to right)

    so that <dy, jvp(x_dot, W_dot)> = <dx, x_dot> + <dW, W_dot>: each is the other's transpose.

    To write a layer: call `super().__init__(dtype)`, put arrays into `params`, keep in
    `self.cache` what the derivatives need, and write the three methods. `backward` overwrites
    `grads`, and changes neither `dy` nor the parameters. `jvp` takes None for an input, or for
    parameters, that do not move (not both). Random numbers: see `once` and `reseed`.
    A layer made of layers is a `Sequential`, or derived from it.
    """

    is_activation = False  # a function of single numbers that a network has between its layers
    uses_threads = False  # the layer's work is shared out among minigrad.threads
    unit_axis: Mapping[str, int] = {}  # along which axis of a parameter the units lie; else 0
    mixes_examples = False  # an example's output depends on the other examples of the batch
    monotone = False  # no output falls when an input rises: the Jacobian has no entry below 0
    frozen = False  # True: no optimiser moves its parameters, whatever the rule
    min_batch = 1  # the fewest examples that forward(x, train=True) can take
    is_chain = False  # a network that is its layers one after another, and nothing else
    _own = OWN  # attributes that may hold arrays or layers
    _kept: dict[str, Any] | None = None  # within `holding`: what `once` has made so far

    def __init__(self, dtype: Any = None):
        """dtype: float32 or float64, the numbers it computes in; None: those of its input."""
        self.dtype = None if dtype is None else float_dtype(dtype)
        self.params: dict[str, Array] = {}
        self.grads: dict[str, Array] = {}
        self.buffers: dict[str, Array] = {}  # state that is saved but not learned
        self.cache: Any = None

    def __init_subclass__(cls, **options: Any) -> None:
        """A class that changes a plain method does not inherit its faster sibling."""
        super().__init_subclass__(**options)
        prefer_plain(cls, Layer, SIBLINGS)
        if "forward" in vars(cls) and "monotone" not in vars(cls):
            cls.monotone = False  # another function: the class has to say it again

    def __getstate__(self) -> dict[str, Any]:
        """For copies, also in other processes. A copy is not within `holding`."""
        return {name: value for name, value in self.__dict__.items() if name != "_kept"}

    def __setattr__(self, name: str, value: Any) -> None:
        """A method may also be set on one object: layer.backward = mine."""
        if name in PLAIN and value is not None:
            value = prefer_own(self, name, value, Layer, SIBLINGS)
            object.__setattr__(self, "is_chain", False)
        object.__setattr__(self, name, value)

    def __getattr__(self, name: str) -> Any:
        """Python calls this for attributes that are not there."""
        if name in ("params", "grads", "buffers", "cache", "dtype"):
            raise AttributeError(
                f"{type(self).__name__} has no {name!r} yet: let its __init__ begin with "
                "super().__init__()"
            )
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __call__(self, x: Array, train: bool = True) -> Array:
        """layer(x) is layer.forward(x)."""
        return self.forward(x, train)

    def forward(self, x: Array, train: bool = True) -> Array:
        """f(x, params); `train` tells dropout and batch norm which of their two modes to use."""
        raise NotImplementedError(f"{type(self).__name__} has no forward(x, train=True) yet")

    def backward(self, dy: Array) -> Array:
        """dx = J_xᵀ dy, and grads[name] = J_nameᵀ dy for every parameter."""
        raise NotImplementedError(f"{type(self).__name__} has no backward(dy) yet")

    def jvp(self, x_dot: Tangent, params_dot: Mapping[str, Array] | None = None) -> Array:
        """y_dot = J_x x_dot + Σ J_name params_dot[name]."""
        raise NotImplementedError(f"{type(self).__name__} has no jvp(x_dot, params_dot) yet")

    def forward_jvp(
        self,
        x: Array,
        x_dot: Array | None,
        params_dot: Mapping[str, Array] | None = None,
        train: bool = True,
    ) -> tuple[Array, Array | None]:
        """(y, y_dot): forward(x, train), then jvp(x_dot, params_dot), and no cache afterwards.

        None for x_dot, or for params_dot: it does not move. If neither moves, y_dot is None.
        A class may know a faster way to both.
        """
        y = self.forward(x, train)
        y_dot = self.jvp(x_dot, params_dot) if x_dot is not None or params_dot else None
        self.drop_cache()
        return y, y_dot

    def backward_params(self, dy: Array) -> None:
        """`backward` for `grads` alone: nothing uses the dx of a net's first layer.

        A class may leave dx out, and be faster.
        """
        self.backward(dy)

    def recall(self) -> Any:
        """What `forward` kept for the derivatives; RuntimeError when there is nothing yet."""
        if self.cache is None:
            raise RuntimeError(
                f"{type(self).__name__}: call forward(x) before backward or jvp; they are the "
                "derivative at the point where forward was evaluated"
            )
        return self.cache

    def once(self, name: str, make: Callable[[], T]) -> T:
        """make(): made in each evaluation, or once for all of them within `holding(model)`.

        A rule may evaluate the network several times in one step: L(θ + εv) and L(θ - εv), say.
        All of them must be evaluations of one function. What is random, or moves a statistic,
        must then happen once. A layer that adds noise draws it this way:

            def forward(self, x, train=True):
                self.check_input(x)
                self.cache = True
                if not train:
                    return x.copy()
                return x + self.once(f"noise {x.shape}", lambda: self.draw(x))

        The name has the shape in it, because a rule may also evaluate other batches.
        """
        if self._kept is None:
            return make()
        if name not in self._kept:
            self._kept[name] = make()
        return self._kept[name]

    def drop_cache(self) -> None:
        """Free what `forward` kept; `backward` and `jvp` then need a new forward."""
        for layer in self.modules():
            layer.cache = None

    def reseed(self, seed: int) -> None:
        """Restart the random numbers of the layer from `seed`; a layer without them does nothing.

        A layer that draws random numbers must overwrite this, or no derivative can be checked:
        after `reseed(s)` its forward must draw what it drew after an earlier `reseed(s)`.

            def reseed(self, seed):
                self.rng = np.random.default_rng(seed)
        """

    def modules(self) -> Iterator[Layer]:
        """This layer, and all layers inside it."""
        yield self

    def leaves(self, prefix: str = "") -> Iterator[tuple[str, Layer]]:
        """(prefix, layer) for every layer that has parameters of its own: here, this one.

        TypeError for a layer in an attribute, also in a list or a dict: no optimiser would move
        its parameters, and no checker would look at them.
        """
        self.check_attributes()
        yield prefix, self

    def check_attributes(self) -> None:
        """TypeError for a layer in an attribute, where no optimiser would find it."""
        for name, value in self.__dict__.items():  # often called: a quick look first
            if isinstance(value, HOLDERS) and name not in self._own:
                break
        else:
            return
        found = dict(held(self, lambda value: isinstance(value, Layer), self._own))
        known = {id(layer) for layer in self.modules()} if found else set()
        inside = [name for name, layer in found.items() if id(layer) not in known]
        if inside:
            raise TypeError(
                f"{type(self).__name__} holds layers of its own ({', '.join(inside)}), which no "
                "optimiser or checker would find: derive it from Sequential and give all layers "
                "to super().__init__(*layers)"
            )

    def unregistered(self) -> dict[str, Array]:
        """Arrays of floats in attributes: not in `params`, so that no optimiser moves them, and
        not in `buffers`, so that no `state_dict` has them."""
        known = {id(array) for array in (*self.params.values(), *self.buffers.values())}
        return {
            name: array
            for name, array in held(self, is_float_array, self._own)
            if id(array) not in known
        }

    def state_dict(self) -> dict[str, np.ndarray]:
        """Copies of parameters and buffers on the host, by flat name: "W", or "0.W" in a net."""
        return {
            prefix + name: backend.to_host(array).copy()
            for prefix, layer in self.leaves()
            for name, array in (layer.params | layer.buffers).items()
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over the arrays of `state`. All are checked first: nothing is half loaded.

        Raises KeyError for missing or unknown names, ValueError for a shape that differs or two
        values for one shared array, TypeError for a dtype that differs.
        """
        own = {
            prefix + name: array
            for prefix, layer in self.leaves()
            for name, array in (layer.params | layer.buffers).items()
        }
        missing, unknown = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
        if missing or unknown:
            raise KeyError(f"state does not fit the model: missing {missing}, unknown {unknown}")
        new = {key: backend.to_host(value) for key, value in state.items()}
        for key, array in own.items():
            if new[key].shape != array.shape:
                raise ValueError(f"{key}: expected shape {array.shape}, got {new[key].shape}")
            if new[key].dtype != array.dtype:
                raise TypeError(
                    f"{key}: expected {array.dtype}, got {new[key].dtype}; cast it with "
                    f".astype('{array.dtype}') if you mean it"
                )
        first: dict[int, str] = {}
        for key, array in own.items():
            other = first.setdefault(id(array), key)
            if other != key and not np.array_equal(new[key], new[other], equal_nan=True):
                raise ValueError(
                    f"{other} and {key} are one array in this model, and two different ones in "
                    "the state: give both the same values"
                )
        for key, array in own.items():
            array[...] = backend.to_device(new[key], like=array)

    def check_input(
        self, x: Array, shape: str = "(N, ...)", fits: bool = True, hint: str = ""
    ) -> None:
        """Raise an error for a student unless x fits the shape and has this layer's dtype."""
        name = type(self).__name__
        if not fits or x.ndim == 0:
            raise ValueError(
                f"{name} expected x of shape {shape}, got {tuple(x.shape)}"
                + (f"; {hint}" if hint else "")
                + ("; a single number becomes a batch of one by x.reshape(1, 1)" * (x.ndim == 0))
            )
        if x.dtype not in FLOATS:
            expected = "float32 or float64" if self.dtype is None else str(self.dtype)
            raise TypeError(
                f"{name} computes in {expected}, got x of {x.dtype}; cast with "
                f"x.astype('{self.dtype or 'float32'}')"
            )
        if self.dtype is not None and x.dtype != self.dtype:
            raise TypeError(
                f"{name} computes in {self.dtype}, got x of {x.dtype}; cast with "
                f"x.astype('{self.dtype}') or build the layer with dtype='{x.dtype}'"
            )

    def check_upstream(self, dy: Array, shape: tuple[int, ...]) -> None:
        """Raise unless dy is of y's shape, in the dtype of the parameters and where they are."""
        params = list(self.params.values())[:1]
        backend.array_module(dy, *params)
        if dy.shape != shape:
            raise ValueError(
                f"{type(self).__name__}.backward expected dy of y's shape {tuple(shape)}, got "
                f"{tuple(dy.shape)}"
            )
        for param in params:
            if dy.dtype != param.dtype:
                raise TypeError(
                    f"{type(self).__name__}.backward expected dy in {param.dtype}, got {dy.dtype}; "
                    "its gradients are of its parameters' dtype"
                )

    def check_tangent(self, x_dot: Array, shape: tuple[int, ...]) -> None:
        """Raise unless x_dot is of x's shape."""
        if x_dot.shape != shape:
            raise ValueError(
                f"{type(self).__name__}.jvp expected x_dot of shape {tuple(shape)}, as the last "
                f"forward's x, got {tuple(x_dot.shape)}"
            )

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


HOLDERS = (Layer, dict, *SEQUENCES)  # attributes of these kinds may be layers, or have some inside
