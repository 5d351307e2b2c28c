"""The base of all layers. A layer is a function of x and of its parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import numpy as np

from minigrad import backend
from minigrad.backend import Array, Tangent
from minigrad.checks import FLOATS, float_dtype
from minigrad.layers.attributes import SEQUENCES, held, is_float_array
from minigrad.layers.initial import initial_uniform as initial_uniform
from minigrad.layers.state import checked_state
from minigrad.siblings import prefer_own, prefer_plain
from minigrad.streams import RandomStreams

T = TypeVar("T")
SIBLINGS = {"forward_jvp": ("forward", "jvp"), "backward_params": ("backward",)}
PLAIN = frozenset(name for plain in SIBLINGS.values() for name in plain)
OWN = frozenset(("params", "grads", "buffers", "cache", "dtype", "_kept", "_inside"))


class Layer(RandomStreams):
    """y = f(x, params). `backward` and `jvp` are its derivative where `forward` was last called.

    J is the Jacobian of f at that point:

        forward(x)                 y     = f(x, params)
        backward(dy)               dx    = J_xᵀ dy,  grads[name] = J_nameᵀ dy   (right to left)
        jvp(x_dot, params_dot)     y_dot = J_x x_dot + Σ J_name params_dot[name]  (left to right)

    The two are each other's transpose: <dy, jvp(x_dot, W_dot)> = <dx, x_dot> + <dW, W_dot>.

    To write a layer: call `super().__init__(dtype)`. Put the arrays into `params`. Write the
    three methods. `forward` keeps in `self.cache` what the derivatives need. `backward` replaces
    `grads`. It changes neither `dy` nor the parameters. In `jvp` an x_dot of None means that x is
    constant, a params_dot of None that the parameters are. (Not both are None.)
    For random numbers see `once` and `reseed`. For a layer made of layers see `Sequential`.
    """

    is_activation = False  # True: a function of single numbers, used between other layers
    takes_numbers = False  # True: x is whole numbers, so y has no derivative by x
    uses_threads = False  # True: minigrad.threads share the layer's work
    unit_axis: Mapping[str, int] = {}  # {parameter: the axis that counts units}, if not 0
    mixes_examples = False  # True: an example's output depends on the rest of the batch
    monotone = False  # True: the Jacobian has no entry below 0 (no output falls as x grows)
    frozen = False  # True: no optimiser changes its parameters
    keeps_statistics = (
        False  # True: in training, too, it uses its running statistics, and they stay
    )
    min_batch = 1  # the fewest examples that forward(x, train=True) can take
    is_chain = False  # True: only layers one after another
    buffers_not_negative: tuple[str, ...] = ()  # a saved state has no number below 0 in these
    _own = OWN  # attributes that may hold arrays or layers
    _kept: dict[str, Any] | None = None  # what `once` has made so far within `holding`

    def __init__(self, dtype: Any = None):
        """dtype: float32 or float64. None: the dtype of the input."""
        self.dtype = None if dtype is None else float_dtype(dtype)
        self.params: dict[str, Array] = {}
        self.grads: dict[str, Array] = {}
        self.buffers: dict[str, Array] = {}  # state that is saved but not learned
        self.cache: Any = None

    def __init_subclass__(cls, **options: Any) -> None:
        """If a class changes a plain method, it does not inherit the faster form of it."""
        super().__init_subclass__(**options)
        prefer_plain(cls, Layer, SIBLINGS)
        if "forward" in vars(cls) and "monotone" not in vars(cls):
            cls.monotone = False  # another function: the class has to say it again

    def __getstate__(self) -> dict[str, Any]:
        """For copies, also in other processes. A copy is not within `holding`."""
        return {name: value for name, value in self.__dict__.items() if name != "_kept"}

    def __setattr__(self, name: str, value: Any) -> None:
        """The same for a method set on one object: layer.backward = mine."""
        if name in PLAIN and value is not None:
            value = prefer_own(self, name, value, Layer, SIBLINGS)
            object.__setattr__(self, "is_chain", False)
        object.__setattr__(self, name, value)

    def __getattr__(self, name: str) -> Any:
        """Python calls this if an attribute does not exist."""
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
        """y = f(x, params). train: dropout and batch norm compute something else in training."""
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
        """(y, y_dot): forward(x, train), then jvp(x_dot, params_dot). It leaves no cache.

        x_dot is None: x is constant. params_dot is None: the parameters are. If both are None,
        y_dot is None. A class may compute both faster in its own forward_jvp.
        """
        y = self.forward(x, train)
        y_dot = self.jvp(x_dot, params_dot) if x_dot is not None or params_dot else None
        self.drop_cache()
        return y, y_dot

    def backward_params(self, dy: Array) -> None:
        """Compute `grads` only, for a net's first layer. A class may leave out dx to be faster."""
        self.backward(dy)

    def recall(self) -> Any:
        """What `forward` kept for the derivatives. RuntimeError if it has not been called."""
        if self.cache is None:
            raise RuntimeError(
                f"{type(self).__name__}: call forward(x) before backward or jvp. They compute "
                "the derivative at the x of the last forward"
            )
        return self.cache

    def once(self, name: str, make: Callable[[], T]) -> T:
        """make(), called in each forward; within `holding(model)` only in the first one.

        A rule may evaluate the network several times in one step, for example L(θ + εv) and
        L(θ - εv). They must be values of the same function L. Random numbers must then be drawn
        only once, and running statistics must move only once. A layer that adds noise writes:

            def forward(self, x, train=True):
                self.check_input(x)
                self.cache = True
                if not train:
                    return x.copy()
                return x + self.once(f"noise {x.shape}", lambda: self.draw(x))

        The name contains the shape, because batches may have several sizes.
        """
        if self._kept is None:
            return make()
        if name not in self._kept:
            self._kept[name] = make()
        return self._kept[name]

    def drop_cache(self) -> None:
        """Free what `forward` kept. `backward` and `jvp` then need a new forward."""
        for layer in self.modules():
            layer.cache = None

    def reseed(self, seed: int) -> None:
        """Restart the layer's random numbers from `seed`. Most layers have none and do nothing.

        A layer that draws random numbers must override this. After each `reseed(s)` its forward
        must draw the same numbers. Without this its derivatives cannot be checked.

            def reseed(self, seed):
                self.rng = np.random.default_rng(seed)
        """

    def modules(self) -> Iterator[Layer]:
        """This layer, and all layers inside it."""
        yield self

    def leaves(self, prefix: str = "") -> Iterator[tuple[str, Layer]]:
        """(prefix, layer) for every layer that has parameters of its own. Here it is this one.

        Raises TypeError if an attribute, or a list or dict in one, holds another layer. No
        optimiser would move its parameters, and no checker would see them.
        """
        self.check_attributes()
        yield prefix, self

    def check_attributes(self) -> None:
        """TypeError if an attribute holds a layer: no optimiser would find it there."""
        for name, value in self.__dict__.items():  # a quick test first: this is called often
            if isinstance(value, HOLDERS) and name not in self._own:
                break
        else:
            return
        found = dict(held(self, lambda value: isinstance(value, Layer), self._own))
        known = {id(layer) for layer in self.modules()} if found else set()
        inside = [name for name, layer in found.items() if id(layer) not in known]
        if inside:
            raise TypeError(
                f"{type(self).__name__} holds layers of its own ({', '.join(inside)}). No "
                "optimiser or checker would find them: derive it from Sequential and give all "
                "layers to super().__init__(*layers)"
            )

    def unregistered(self) -> dict[str, Array]:
        """Arrays of floats in attributes that are neither in `params` nor in `buffers`.

        No optimiser moves them, and no `state_dict` contains them.
        """
        known = {id(array) for array in (*self.params.values(), *self.buffers.values())}
        return {
            name: array
            for name, array in held(self, is_float_array, self._own)
            if id(array) not in known
        }

    def state_dict(self) -> dict[str, np.ndarray]:
        """Copies of parameters and buffers on the host. Names: "W", or "0.W" in a net."""
        return {
            prefix + name: backend.to_host(array).copy()
            for prefix, layer in self.leaves()
            for name, array in (layer.params | layer.buffers).items()
        }

    def load_state_dict(self, state: Mapping[str, Any], *, finite: bool = False) -> None:
        """Copy the arrays of `state` into the model. If one does not fit, none is copied.

        Raises KeyError for missing or unknown names, ValueError for a wrong shape, TypeError for
        a wrong dtype, and ValueError if `state` has two values for one shared array. finite=True:
        also ValueError for numbers that are NaN or infinite.
        """
        own = {
            prefix + name: array
            for prefix, layer in self.leaves()
            for name, array in (layer.params | layer.buffers).items()
        }
        no_less_than_0 = {
            prefix + name for prefix, layer in self.leaves() for name in layer.buffers_not_negative
        }
        new = checked_state(own, state, finite, no_less_than_0)
        # Everything that can fail for lack of memory comes before the first copy.
        ready = [(array, backend.to_device(new[key], like=array)) for key, array in own.items()]
        for array, value in ready:
            array[...] = value

    def check_input(
        self, x: Array, shape: str = "(N, ...)", fits: bool = True, hint: str = ""
    ) -> None:
        """Raise unless x has the right shape and this layer's dtype."""
        name = type(self).__name__
        if not fits or x.ndim == 0:
            raise ValueError(
                f"{name} expected x of shape {shape}, got {tuple(x.shape)}"
                + (f"; {hint}" if hint else "")
                + ("; for a single number write x.reshape(1, 1), a batch of one" * (x.ndim == 0))
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
        """Raise unless dy has y's shape, and the dtype and the device of the parameters."""
        param = next(iter(self.params.values()), dy)
        backend.array_module(dy, param)
        if dy.shape != shape:
            raise ValueError(
                f"{type(self).__name__}.backward expected dy of y's shape {tuple(shape)}, got "
                f"{tuple(dy.shape)}"
            )
        if dy.dtype is not param.dtype and dy.dtype != param.dtype:
            raise TypeError(
                f"{type(self).__name__}.backward expected dy in {param.dtype}, got {dy.dtype}; "
                "gradients need the dtype of the parameters"
            )

    def check_tangent(self, x_dot: Array, shape: tuple[int, ...]) -> None:
        """Raise unless x_dot has x's shape."""
        if x_dot.shape != shape:
            raise ValueError(
                f"{type(self).__name__}.jvp expected x_dot of shape {tuple(shape)}, the shape of "
                f"the last forward's x, got {tuple(x_dot.shape)}"
            )

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


HOLDERS = (Layer, dict, *SEQUENCES)  # these may be layers, or contain layers
