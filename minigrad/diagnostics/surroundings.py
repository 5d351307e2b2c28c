"""The loss around the parameters of a network, in float64: values, gradients, products with H."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from minigrad.backend import Array, array_module
from minigrad.diagnostics.copies import as_before, check_parts, copied, moving
from minigrad.diagnostics.vectors import along, norm
from minigrad.gradcheck.precision import in_dtype
from minigrad.layers import Layer, holding
from minigrad.losses import Loss
from minigrad.rules import Backprop
from minigrad.rules.needs import check_trainable
from minigrad.rules.sharing import shared, summed

Vector = dict[str, Array]  # by the names of parameters
STEP = 1e-6  # of a difference: |ε v| is this part of |θ|


class Surroundings:
    """L(θ) on one batch: of the parameters that move, each array once, with the masks held."""

    def __init__(self, model: Layer, loss: Loss, x: Array, target: Array):
        self.model = model
        self.loss = loss
        self.x = x
        self.target = target
        self.groups = shared(model)
        others = {name for names in self.groups.values() for name in names[1:]}
        self.params = {
            prefix + name: param
            for prefix, leaf in moving(model)
            for name, param in leaf.params.items()
            if prefix + name not in others
        }
        self.start = {name: param.copy() for name, param in self.params.items()}

    def value(self, step: float = 0.0, v: Mapping[str, Array] | None = None) -> float:
        """L(θ + step v). Parameters that v leaves out stay."""
        with self._at(step, v or {}):
            return self.loss.forward(self.model.forward(self.x), self.target)

    def gradient(self, step: float = 0.0, v: Mapping[str, Array] | None = None) -> Vector:
        """∇L at θ + step v."""
        with self._at(step, v or {}):
            Backprop().estimate(self.model, self.loss, self.x, self.target)
        return self._grads()

    def hessian(self, v: Mapping[str, Array]) -> Vector:
        """H v = (∇L(θ + ε v) - ∇L(θ - ε v)) / 2ε, ε = 10⁻⁶ |θ|/|v|."""
        epsilon = _step(self.start, v)
        above = self.gradient(epsilon, v)
        below = self.gradient(-epsilon, v)
        return {name: (above[name] - below[name]) / (2 * epsilon) for name in above}

    def gauss_newton(self, v: Mapping[str, Array]) -> Vector:
        """G v = Jᵀ H_L J v. J is the Jacobian of the outputs z by θ, H_L the Hessian of L by z.

        J v by jvp, H_L by a central difference of the loss's gradients, Jᵀ by backward.
        """
        z = self.model.forward(self.x)
        z_dot = self.model.jvp(None, self._tangent(v))
        if not bool((z_dot != 0).any()):
            return along(0.0, self.params)
        epsilon = _step({"z": z}, {"z": z_dot})
        slopes = []
        for sign in (1, -1):
            self.loss.forward(z + sign * epsilon * z_dot, self.target)
            slopes.append(self.loss.backward())
        self.model.backward_params((slopes[0] - slopes[1]) / (2 * epsilon))
        return self._grads()

    @contextmanager
    def _at(self, step: float, v: Mapping[str, Array]) -> Iterator[None]:
        for name, direction in v.items():
            self.params[name][...] = self.start[name] + step * direction
        try:
            yield
        finally:
            for name in v:
                self.params[name][...] = self.start[name]

    def _grads(self) -> Vector:
        grads = summed(self.model.grads, self.groups)
        return {
            name: grads[name] if name in grads else array_module(p).zeros_like(p)
            for name, p in self.params.items()
        }

    def _tangent(self, v: Mapping[str, Array]) -> Vector:
        """v for a jvp: every parameter that moves, and a shared array in all its layers."""
        tangent = along(0.0, self.params) | dict(v)
        for first, names in self.groups.items():
            if first in tangent:
                tangent |= dict.fromkeys(names, tangent[first])
        return tangent


@contextmanager
def surroundings(
    model: Layer, loss: Loss, x: Array, target: Array, like: Layer | None = None
) -> Iterator[Surroundings]:
    """The loss around this model's parameters, of copies in float64. Inputs are cast, too.

    like: a copy of the model whose masks are used; None: the model's own
    """
    check_parts(model, loss)
    check_trainable(Backprop(), model, loss)
    moving(model)
    with as_before(model, loss):
        own, its_loss = copied(model, loss)
        with (
            in_dtype(own, "float64"),
            in_dtype(its_loss, "float64"),
            holding(own, like=like or model),
        ):
            yield Surroundings(own, its_loss, _wide(x), _wide(target))


def checked(found: Surroundings, v: Mapping[str, Array]) -> Vector:
    """v in float64, if it fits. KeyError for unknown names, ValueError for other shapes."""
    if not isinstance(v, Mapping):
        raise TypeError(f'v is a dict {{"0.W": array, ...}}, got a {type(v).__name__}')
    others = {name for names in found.groups.values() for name in names[1:]}
    vector = {name: array for name, array in v.items() if name not in others}
    for name, array in vector.items():
        if name not in found.params:
            raise KeyError(f"v has {name!r}; the parameters that move are {list(found.params)}")
        array_module(array, found.params[name])
        if array.shape != found.params[name].shape:
            shape = tuple(found.params[name].shape)
            raise ValueError(f"v[{name!r}]: expected shape {shape}, got {tuple(array.shape)}")
    return {name: array.astype("float64") for name, array in vector.items()}


def _step(at: Mapping[str, Array], v: Mapping[str, Array]) -> float:
    """ε, so that the step is short beside the place, and long beside rounding."""
    return STEP * (norm(at) or 1.0) / (norm(v) or 1.0)


def _wide(array: Array) -> Array:
    """Floating-point numbers in float64; labels and None as they are."""
    kind = getattr(getattr(array, "dtype", None), "kind", "")
    return array.astype("float64") if kind == "f" else array
