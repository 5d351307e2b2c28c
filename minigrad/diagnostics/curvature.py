"""How steep the loss is: products with its Hessian, their trace and largest eigenvalue."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from minigrad.backend import Array, to_device
from minigrad.checks import positive, positive_int
from minigrad.diagnostics.surroundings import Surroundings, checked, surroundings
from minigrad.diagnostics.vectors import along, norm, product
from minigrad.layers import Layer
from minigrad.losses import Loss

Vector = dict[str, Array]
MATRICES: dict[str, Callable[[Surroundings, Vector], Vector]] = {
    "hessian": Surroundings.hessian,
    "gauss-newton": Surroundings.gauss_newton,
}
CONVERGED = 1e-4  # |H v - λ v|/|H v| at which the iteration ends: λ is then right to about 10⁻⁸


def hessian_product(
    model: Layer, loss: Loss, x: Array, target: Array, v: Mapping[str, Array]
) -> Vector:
    r"""H v by parameter, H = ∂²L/∂θ² on this batch: a central difference of gradients in float64.

        H v = (∇L(θ + ε v) - ∇L(θ - ε v)) / 2ε,   ε = 10⁻⁶ |θ|/|v|

    v   {"0.W": array, ...}; a parameter that it leaves out counts as 0. Frozen layers have no part
    in it. An array that layers share has its first name alone. Nothing changes.
    Cost: two gradients. Source: Pearlmutter 1994, who differentiates instead.
    """
    with surroundings(model, loss, x, target) as found:
        return found.hessian(checked(found, v))


def gauss_newton_product(
    model: Layer, loss: Loss, x: Array, target: Array, v: Mapping[str, Array]
) -> Vector:
    r"""G v by parameter, G = Jᵀ H_L J: the part of the Hessian that is never below 0.

        z_dot = J v (jvp),   dz = H_L z_dot,   G v = Jᵀ dz (backward)

    J is the Jacobian of the outputs z by θ, H_L the Hessian of the loss by z. H - G is the part
    with the network's own curvature. G has no eigenvalue below 0 if the loss is convex in z.
    v, and what it returns: as in `hessian_product`.
    Cost: five forward passes. Source: Schraudolph 2002.
    """
    with surroundings(model, loss, x, target) as found:
        return found.gauss_newton(checked(found, v))


@dataclass(frozen=True)
class Stability:
    """What limits a step: of plain descent on a quadratic with the Hessian H.

    trace        tr H, by Hutchinson's estimate
    trace_error  its standard error; NaN of one sample
    largest      λ, the largest eigenvalue
    matrix       "hessian" or "gauss-newton"
    """

    trace: float
    trace_error: float
    largest: float
    matrix: str

    @property
    def rank(self) -> float:
        """tr H/λ: how many directions are steep. NaN unless λ > 0."""
        return self.trace / self.largest if self.largest > 0 else math.nan

    def largest_lr(self, directions: int | None = None) -> float:
        """The lr below which the mean loss falls: 2/λ; for a forward gradient less.

            lr = 2 / (tr H/K + (1 + 1/K) λ),  K = `directions`, normal ones

        ∞ if there is no such limit. Source: E[gᵀ H g] of a forward gradient, see lesson 11.
        """
        steepness = self.largest
        if directions is not None:
            K = positive_int("directions", directions)
            steepness = self.trace / K + (1 + 1 / K) * self.largest
        return 2 / steepness if steepness > 0 else math.inf

    def margin(self, lr: float, directions: int | None = None) -> float:
        """lr/largest_lr: stable below 1."""
        return positive("lr", lr) / self.largest_lr(directions)

    def __str__(self) -> str:
        return (
            f"{self.matrix}: tr H = {self.trace:.4g} ± {self.trace_error:.2g}, λ = "
            f"{self.largest:.4g}, tr H/λ = {self.rank:.3g}\n"
            f"largest lr: {self.largest_lr():.4g}; of a forward gradient {self.largest_lr(1):.4g}"
        )


def stability(
    model: Layer,
    loss: Loss,
    x: Array,
    target: Array,
    samples: int = 40,
    steps: int = 100,
    matrix: str = "hessian",
    seed: int = 0,
) -> Stability:
    r"""The trace and the largest eigenvalue of the Hessian on this batch, as a `Stability`.

        tr H ≈ 1/m Σ_i v_iᵀ H v_i, v_i = ±1 in all places (exact if H is diagonal)
        λ:     v ← the v with the largest vᵀ H v/|v|² in span{v, H v, v's last step}

    samples  m
    steps    of the iteration at most; it ends when |H v - λ v| is less than 10⁻⁴ |H v|. λ is never
             too large, but may be too small if it has not ended
    matrix   "hessian", or "gauss-newton": see `gauss_newton_product`
    seed     of the v_i, and of the first v
    Cost: two gradients for each sample and each step. Nothing changes.
    Source: Hutchinson 1990; Knyazev 2001, "LOBPCG", of one vector and without preconditioning.
    """
    positive_int("samples", samples)
    positive_int("steps", steps)
    if matrix not in MATRICES:
        raise ValueError(f"matrix must be one of {', '.join(MATRICES)}, got {matrix!r}")
    rng = np.random.default_rng(positive_int("seed", seed, least=0))
    with surroundings(model, loss, x, target) as found:

        def times(v: Vector) -> Vector:
            return MATRICES[matrix](found, v)

        def drawn(draw: Callable[..., np.ndarray]) -> Vector:
            return {name: to_device(draw(p.shape), like=p) for name, p in found.params.items()}

        largest = _largest(times, drawn(rng.standard_normal), steps)
        values = []
        for _ in range(samples):
            v = drawn(lambda shape: rng.choice([-1.0, 1.0], shape))
            values.append(product(v, times(v)))
    error = float(np.std(values, ddof=1)) / math.sqrt(samples) if samples > 1 else math.nan
    return Stability(float(np.mean(values)), error, largest, matrix)


def _largest(times: Callable[[Vector], Vector], v: Vector, steps: int) -> float:
    """The largest eigenvalue of a symmetric matrix H, from products with it.

    Each step looks for the best v in a small space: v, the residual r = H v - λ v, and the step
    before. Power iteration alone would take long where another eigenvalue is about -λ.
    """
    v = along(1 / norm(v), v)
    Hv = times(v)
    value = product(v, Hv)
    last: list[tuple[Vector, Vector]] = []
    for _ in range(steps - 1):
        r = _sum([1.0, -value], [Hv, v])
        if not norm(r) > CONVERGED * norm(Hv):  # also where a NaN is
            break
        r = along(1 / norm(r), r)
        space = _orthonormal([(v, Hv), (r, times(r)), *last])
        T = np.array([[product(a, Hb) for _, Hb in space] for a, _ in space])
        if not np.isfinite(T).all():
            return math.nan
        values, vectors = np.linalg.eigh((T + T.T) / 2)
        value, c = float(values[-1]), vectors[:, -1]
        step = _sum(c[1:], [u for u, _ in space[1:]])
        H_step = _sum(c[1:], [Hu for _, Hu in space[1:]])
        v = _sum([c[0], 1.0], [v, step])
        Hv = _sum([c[0], 1.0], [Hv, H_step])
        last = [(step, H_step)]
    return value


def _orthonormal(pairs: Sequence[tuple[Vector, Vector]]) -> list[tuple[Vector, Vector]]:
    """The (u, H u) made orthonormal in u, by Gram and Schmidt. What is left of none is left out."""
    found: list[tuple[Vector, Vector]] = []
    for u, Hu in pairs:
        length = norm(u)
        for _ in range(2):  # the second time for what rounding has left
            c = [1.0, *(-product(u, other) for other, _ in found)]
            u = _sum(c, [u, *(other for other, _ in found)])
            Hu = _sum(c, [Hu, *(H_other for _, H_other in found)])
        if norm(u) > 1e-6 * length:
            found.append((along(1 / norm(u), u), along(1 / norm(u), Hu)))
    return found


def _sum(factors: Iterable[float], vectors: Sequence[Vector]) -> Vector:
    """Σ_i c_i v_i."""
    parts = [along(float(c), v) for c, v in zip(factors, vectors, strict=True)]
    return {name: sum((p[name] for p in parts[1:]), parts[0][name]) for name in parts[0]}
