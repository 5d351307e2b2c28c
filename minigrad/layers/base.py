"""What every layer is: one function of x and its parameters, evaluated at one point at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np

from minigrad import backend
from minigrad.backend import Array, Tangent
from minigrad.checks import FLOATS, float_dtype

T = TypeVar("T")


class Layer:
    """y = f(x, params): `forward` keeps one linearisation, `jvp` and `backward` apply it.

    With J the Jacobian of f at the point where `forward` was last called,

        forward(x)                 y     = f(x, params)
        backward(dy)               dx    = J_xᵀ dy,  grads[name] = J_nameᵀ dy   (right to left)
        jvp(x_dot, params_dot)     y_dot = J_x x_dot + Σ J_name params_dot[name]  (left to right)
        forward_jvp(x, x_dot, ...) y, y_dot in one go, and nothing kept

    so that <dy, jvp(x_dot, W_dot)> = <dx, x_dot> + <dW, W_dot>: each is the other's transpose.

    To write a layer: call `super().__init__(dtype)`, put arrays into `params`, keep in
    `self.cache` whatever the derivatives need, and write the three methods. `backward` writes
    `grads` (it overwrites, never accumulates) and touches neither `dy` nor the parameters.
    `jvp` takes None for an input, or for parameters, that stand still (not both); `forward_jvp`
    is forward, then jvp, unless a class knows a faster way to both.
    A layer made of layers is a `Sequential`, or derived from it.
    """

    uses_threads = False  # the layer's work is shared out among minigrad.threads
    unit_axis: Mapping[str, int] = {}  # along which axis of a parameter the units lie; else 0
    mixes_examples = False  # an example's output depends on the other examples of the batch
    monotone = False  # no output falls when an input rises: the Jacobian has no entry below 0
    is_activation = False  # the non-linearity that follows a layer of weights
    _kept: dict[str, Any] | None = None  # within `holding`: what `once` has made so far

    def __init__(self, dtype: Any = None):
        self.dtype = None if dtype is None else float_dtype(dtype)
        self.params: dict[str, Array] = {}
        self.grads: dict[str, Array] = {}
        self.buffers: dict[str, Array] = {}  # state that is saved but not learned
        self.cache: Any = None

    def __init_subclass__(cls, **options: Any) -> None:
        """A class with a new forward or jvp does not inherit the forward_jvp of the old ones."""
        super().__init_subclass__(**options)
        names = ("forward_jvp", "forward", "jvp")
        fused, *plain = (
            next(i for i, base in enumerate(cls.__mro__) if name in vars(base)) for name in names
        )
        if fused > min(plain):
            cls.forward_jvp = Layer.forward_jvp

    def __getattr__(self, name: str) -> Any:
        """Only asked for what is not there."""
        if name in ("params", "grads", "buffers", "cache", "dtype"):
            raise AttributeError(
                f"{type(self).__name__} has no {name!r} yet: let its __init__ begin with "
                "super().__init__()"
            )
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

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

        None for x_dot, or for params_dot: it stands still. If both do, y_dot is None as well.
        """
        y = self.forward(x, train)
        y_dot = self.jvp(x_dot, params_dot) if x_dot is not None or params_dot else None
        self.drop_cache()
        return y, y_dot

    def backward_params(self, dy: Array) -> None:
        """Fill `grads` alone: the first layer of a net needs no dx, which may save much."""
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
        """make(): in each evaluation, or once for all of them within `holding(model)`.

        A rule may evaluate one function several times at one step: L(θ + εv) and L(θ - εv), say.
        What is random, or moves a statistic, must then happen once:

            mask = self.once("mask", lambda: self.draw_mask(x.shape))
        """
        if self._kept is None:
            return make()
        if name not in self._kept:
            self._kept[name] = make()
        return self._kept[name]

    def drop_cache(self) -> None:
        """Free what `forward` kept; `backward` and `jvp` then need a new forward."""
        for _, layer in self.leaves():
            layer.cache = None

    def reseed(self, seed: int) -> None:
        """Restart the layer's random stream, if it has one (dropout), from `seed`."""

    def leaves(self, prefix: str = "") -> Iterator[tuple[str, Layer]]:
        """(prefix, layer) for every layer that holds parameters itself: here, just this one."""
        inside = [name for name, value in vars(self).items() if isinstance(value, Layer)]
        if inside:
            raise TypeError(
                f"{type(self).__name__} holds layers of its own ({', '.join(inside)}), which no "
                "optimiser or checker would find: derive it from Sequential"
            )
        yield prefix, self

    def state_dict(self) -> dict[str, np.ndarray]:
        """Copies of parameters and buffers on the host, by flat name: "W", or "0.W" in a net."""
        return {
            prefix + name: backend.to_host(array).copy()
            for prefix, layer in self.leaves()
            for name, array in (layer.params | layer.buffers).items()
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over the arrays of `state`. All are checked first: nothing is half loaded.

        Raises KeyError for missing or unknown names, ValueError for a shape that differs,
        TypeError for a dtype that differs.
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
        for key, array in own.items():
            array[...] = backend.to_device(new[key], like=array)

    def check_input(
        self, x: Array, shape: str = "(N, ...)", fits: bool = True, hint: str = ""
    ) -> None:
        """Raise a student's error unless x `fits` the shape and is of this layer's dtype."""
        if not fits:
            raise ValueError(
                f"{type(self).__name__} expected x of shape {shape}, got {tuple(x.shape)}"
                + (f"; {hint}" if hint else "")
            )
        if self.dtype is None:
            if x.dtype not in FLOATS:
                raise TypeError(
                    f"{type(self).__name__} computes in float32 or float64, got x of {x.dtype}; "
                    "cast with x.astype('float32')"
                )
        elif x.dtype != self.dtype:
            raise TypeError(
                f"{type(self).__name__} computes in {self.dtype}, got x of {x.dtype}; cast with "
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


@contextmanager
def holding(model: Layer) -> Iterator[None]:
    """Within it all evaluations of the model are evaluations of one function.

    Each layer's `once` makes its random choices, and moves its running statistics, in the first
    one only. A `holding` within another changes nothing: the outer one counts.
    """
    leaves = [leaf for _, leaf in model.leaves() if leaf._kept is None]
    for leaf in leaves:
        leaf._kept = {}
    try:
        yield
    finally:
        for leaf in leaves:
            leaf._kept = None


def initial_uniform(
    rng: np.random.Generator, shape: tuple[int, ...], fan_in: int, dtype: np.dtype
) -> Array:
    """U(-1/√fan_in, 1/√fan_in), PyTorch's default start, drawn on the host, put on the backend."""
    bound = 1.0 / np.sqrt(fan_in)
    return backend.to_device(rng.uniform(-bound, bound, shape).astype(dtype))
