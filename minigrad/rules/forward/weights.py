"""Forward gradients by moving the weights: the slope of the loss along a random direction."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from functools import partial

from minigrad.backend import Array
from minigrad.kernels.updates import scale_all
from minigrad.layers import Layer, holding
from minigrad.losses import Loss
from minigrad.rules.chain import chain, replaced
from minigrad.rules.forward.base import Perturbation
from minigrad.rules.forward.directions import StepDirections, too_many
from minigrad.rules.forward.finite_differences import default_epsilon, quotient
from minigrad.rules.frozen import frozen, may_be_frozen
from minigrad.rules.needs import learning, missing

Share = Callable[[list[str]], Mapping[str, Array]]  # a direction's arrays for these names


class WeightPerturbation(Perturbation):
    r"""dW_hat = 1/K Σ_k d_k v_k,  d_k = <∇L, v_k>, for K random directions v_k with E[v vᵀ] = I.

    E[dW_hat] = E[v vᵀ] ∇L = ∇L: no bias. With n parameters the total variance is c |∇L|²: c is
    (n + 1)/K for normal v, (n - 1)/K for Rademacher and sphere, n/K - 1 for orthonormal ones.
    Cost: a slope takes two forward passes by jvp, one or two by a finite difference.
    Stable on a quadratic for lr < 2 / (tr H/K + (1 + 1/K) λ), λ the largest curvature.
    A layer with a `backward` of your own may be frozen: it may empty `grads`. One backward pass of
    zeros in each step shows it. A frozen layer does not move and gets no gradient.
    The original optimisers: ForwardSGD is this rule with SGD(momentum, nesterov, velocity="steps"),
    ForwardAdam with Adam(eps_inside=True), both with ExponentialLR(gamma=e^(-k), per="step").
    Source: Baydin et al. 2022, Alg. 1; Jabri, Flower 1992 for the name.
    Taught in: 11_forward_gradients, 12_forward_networks, 14_side_by_side.
    """

    perturb = "weights"

    def __init__(
        self,
        directions: int = 1,
        distribution: str = "normal",
        method: str = "jvp",
        clip: float | None = None,
        *,
        scheme: str = "central",
        epsilon: float | None = None,
        antithetic: bool = False,
        regenerate: bool = False,
        seed: int = 0,
    ):
        """
        directions    K
        distribution  "normal", "rademacher", "sphere" or "orthonormal"; see DirectionSampler
        method        "jvp", or "finite-difference": forward passes only
        clip          every d_k is cut off at ±clip: biased, but no step is large
        scheme        finite differences: "central", d = (L(θ + εv) - L(θ - εv)) / 2ε, or
                      "one-sided", d = (L(θ + εv) - L(θ)) / ε
        epsilon       ε; None: see finite_differences.default_epsilon
        antithetic    one-sided differences in pairs along v and -v; K must be even
        regenerate    draw the directions again when all d_k are known, and keep none: less memory,
                      more time
        seed          of all directions: step t's k-th is drawn from (seed, t, k)
        """
        super().__init__(directions, distribution, method, clip, scheme, epsilon, antithetic, seed)
        self.regenerate = bool(regenerate)
        if regenerate and distribution in ("sphere", "orthonormal"):
            raise ValueError(
                f"{distribution} directions cannot be drawn part by part, as regenerate=True "
                'would: use "normal" or "rademacher"'
            )
        if method == "jvp":
            self.cost = 1.0 + 2 * self.directions
        elif scheme == "central":
            self.cost = 2.0 * self.directions
        else:
            self.cost = 1.0 + self.directions

    def why_not(self, model: Layer, loss: Loss | None = None) -> str | None:
        reason = super().why_not(model, loss)
        if reason is None and self.distribution == "orthonormal":
            moving = [leaf for _, leaf in model.leaves() if not leaf.frozen]
            n = sum(p.size for leaf in moving for p in leaf.params.values())
            reason = too_many(self.directions, n) if n else None
        if reason is None and self.method == "jvp":
            several = self.directions > 1
            reason = missing(
                self, learning(model, moving=True), "jvp", "" if several else "forward_jvp"
            ) or missing(self, [loss], "jvp")
        return reason

    def _estimate(self, model: Layer, loss: Loss, x: Array, target: Array) -> float:
        ask = may_be_frozen(model)
        with holding(model) if ask else nullcontext():
            still = frozen(model, x) if ask else set()
            still |= {prefix for prefix, leaf in model.leaves() if leaf.frozen}
            moving = [(prefix, leaf) for prefix, leaf in model.leaves() if prefix not in still]
            params = {
                prefix + name: p for prefix, leaf in moving for name, p in leaf.params.items()
            }
            if not params:
                way = self._nothing_moves
            elif self.method == "finite-difference":
                way = self._by_differences
            elif self.directions == 1:
                way = self._one
            else:
                way = self._layer_by_layer if self.regenerate else self._one_by_one
            value, grads = way(self.sample_for(params), model, loss, x, target)
        for prefix, leaf in model.leaves():
            names = {} if prefix in still else leaf.params
            leaf.grads = {name: grads[prefix + name] for name in names}
        return value

    def _nothing_moves(
        self, sample: StepDirections, model: Layer, loss: Loss, x: Array, target: Array
    ) -> tuple[float, dict[str, Array]]:
        """All layers are frozen: the loss alone."""
        value = loss.forward(model.forward(x, train=True), target)
        model.drop_cache()
        return value, {}

    def _one(
        self, sample: StepDirections, model: Layer, loss: Loss, x: Array, target: Array
    ) -> tuple[float, dict[str, Array]]:
        """K = 1. One pass gives the loss and the slope d. d v is written in the place of v."""
        (v,) = sample
        output, output_dot = model.forward_jvp(x, None, v)
        value = loss.forward(output, target)
        slope = self.clipped(loss.jvp(output_dot))
        scale_all(list(v.values()), slope)
        return value, v

    def _one_by_one(
        self, sample: StepDirections, model: Layer, loss: Loss, x: Array, target: Array
    ) -> tuple[float, dict[str, Array]]:
        """K slopes at one point, by K jvps. One direction is in memory at a time."""
        value = loss.forward(model.forward(x, train=True), target)
        grads = sample.mean_along(lambda v: self.clipped(loss.jvp(model.jvp(None, v))))
        model.drop_cache()
        return value, grads

    def _layer_by_layer(
        self, sample: StepDirections, model: Layer, loss: Loss, x: Array, target: Array
    ) -> tuple[float, dict[str, Array]]:
        """K tangents go up through one layer after the other.

        Each layer's part of a direction is drawn for that layer alone. Then all parts are drawn
        again for the sum.
        """
        h = x
        tangents: list[Array | None] = [None] * self.directions
        for prefix, layer in chain(model):
            h = layer.forward(h, train=True)
            names = _names(layer, prefix, sample)
            for k, h_dot in enumerate(tangents):
                v = {key[len(prefix) :]: a for key, a in sample.part(k, names).items()}
                if h_dot is not None or v:
                    tangents[k] = layer.jvp(h_dot, v or None)
                del v  # before the next is drawn
            layer.drop_cache()
        value = loss.forward(h, target)
        return value, sample.mean([self.clipped(loss.jvp(h_dot)) for h_dot in tangents])

    def _by_differences(
        self, sample: StepDirections, model: Layer, loss: Loss, x: Array, target: Array
    ) -> tuple[float, dict[str, Array]]:
        r"""The loss: L(θ), or for central differences the mean of all L(θ ± εv).

        θ is not changed. θ + εv is made for one layer, used, and freed. No cache is kept.
        regenerate=True: v is not kept either. It is drawn again from its seed (Malladi et al. 2023,
        "MeZO"). MeZO moves θ itself there and back, which leaves rounding errors in θ.
        """
        params = sample.params
        epsilon = self.epsilon or default_epsilon(list(params.values()), self.scheme)
        values: list[float] = []

        def at(offset: float, share: Share) -> float:
            values.append(loss_at(sample, model, loss, x, target, offset, share))
            return values[-1]

        def slope(share: Share) -> float:
            return self.clipped(quotient(partial(at, share=share), epsilon, here))

        with holding(model):
            here = at(0.0, lambda names: {}) if self.scheme == "one-sided" else None
            if self.regenerate:
                slopes = [slope(partial(sample.part, k)) for k in range(self.directions)]
                grads = sample.mean(slopes)
            else:
                grads = sample.mean_along(
                    lambda v: slope(lambda names: {name: v[name] for name in names})
                )
        return sum(values) / len(values) if here is None else here, grads


def loss_at(
    sample: StepDirections,
    model: Layer,
    loss: Loss,
    x: Array,
    target: Array,
    offset: float,
    share: Share,
) -> float:
    """L(θ + offset v). share: gives v for the names of some parameters.

    θ stays as it is. No layer's cache is kept.
    """
    h = x
    for prefix, layer in chain(model):
        names = _names(layer, prefix, sample)
        v = share(names) if offset else {}
        moved = {name: sample.params[name] + offset * v[name] for name in v}
        del v
        with replaced(layer, prefix, moved):
            h = layer.forward(h, train=True)
        del moved  # before the next layer's is made
        layer.drop_cache()
    return loss.forward(h, target)


def _names(layer: Layer, prefix: str, sample: StepDirections) -> list[str]:
    """The names of a layer's parameters that move."""
    return [prefix + name for name in layer.params if prefix + name in sample.params]
