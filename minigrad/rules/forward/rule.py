"""Forward gradients: a gradient estimated from slopes along random directions, without backward."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from math import sqrt
from typing import Any

from minigrad.backend import Array, array_module
from minigrad.checks import not_negative, positive_int
from minigrad.kernels.parts import WORTH_A_THREAD
from minigrad.layers import Layer, holding
from minigrad.losses import Loss
from minigrad.rules.base import Rule
from minigrad.rules.chain import chain
from minigrad.rules.forward.activities import perturb_activities
from minigrad.rules.forward.directions import Directions, StepDirections, squared_norm
from minigrad.rules.forward.finite_differences import by_differences
from minigrad.threads import one_blas_thread


class ForwardGradient(Rule):
    r"""dW_hat = 1/K Σ_k d_k v_k,  d_k = <∇L, v_k>, for K random directions v_k with E[v vᵀ] = I.

    E[dW_hat] = E[v vᵀ] ∇L = ∇L: no bias. n parameters: the total variance is (n + 1)/K |∇L|² for
    normal v, (n - 1)/K for Rademacher and sphere, n/K - 1 for orthonormal ones: 0 at K = n.
    d_k costs two forward passes by jvp, or one by a finite difference; nothing runs backward.
    Stable on a quadratic for lr < 2 / (tr H/K + (1 + 1/K) λ), λ the largest curvature.
    perturb="activities": noise ε_n on each example's outputs z of the layers that have parameters,
    dz_n = d_n ε_n, d_n = <∇_z L_n, ε_n>, and dW from dz as in backprop: the variance grows with the
    number of units, not of weights, and is averaged over the batch.
    The seed's optimisers: ForwardSGD is this rule with SGD(momentum, nesterov, velocity="steps"),
    ForwardAdam with Adam(eps_inside=True), both with ExponentialLR(gamma=e^(-k), per="step").
    Source: Baydin et al. 2022, Alg. 1; activities: Ren et al. 2023.  Taught in:
    08_forward_gradients, 09_forward_networks.
    """

    def __init__(
        self,
        directions: int = 1,
        distribution: str = "normal",
        mode: str = "jvp",
        clip: float | None = None,
        *,
        perturb: str = "weights",
        scheme: str = "central",
        step: float | None = None,
        antithetic: bool = False,
        regenerate: bool = False,
        layerwise: bool = False,
        active: bool = True,
        guide: Rule | None = None,
        seed: int = 0,
    ):
        """
        directions    K
        distribution  "normal", "rademacher", "sphere" or "orthonormal"; see Directions
        mode          "jvp", or "finite-difference": d = (L(θ + εv) - L(θ - εv)) / 2ε, forward only
        clip          every d_k (activities: d_n) is cut off at ±clip: biased, but no step is large
        perturb       "weights": one v for the batch; "activities": an ε for each example
        scheme        finite differences: "central", or "one-sided": (L(θ + εv) - L(θ)) / ε
        step          ε; None: √u |θ|/|v|, or u^(1/3) |θ|/|v| for central ones in float64, with u
                      half a unit in the last place of 1: where truncation and rounding balance
        antithetic    one-sided differences in pairs along v and -v; K must be even
        regenerate    K > 1 directions are drawn again when d_k is known, none is kept: the memory
                      of one layer in place of a second copy of all parameters, for more time
        layerwise     activities: perturb one layer at a time, K directions each; d_n then has no
                      noise from other layers
        active        activities: no noise on units that no output depends on (ReLU's zeros)
        guide         a rule whose estimate u is the direction: dW_hat = <∇L, u> u / |u|², which
                      never points uphill, whatever u is; directions and distribution do not matter
        seed          of all directions: step t's k-th is drawn from (seed, t, k)
        """
        self.directions = positive_int("directions", directions)
        self._draws = Directions(distribution, seed)
        for name, value, allowed in (
            ("mode", mode, ("jvp", "finite-difference")),
            ("perturb", perturb, ("weights", "activities")),
            ("scheme", scheme, ("central", "one-sided")),
        ):
            if value not in allowed:
                raise ValueError(f"{name} must be one of {', '.join(allowed)}, got {value!r}")
        self.mode, self.perturb, self.scheme, self.guide = mode, perturb, scheme, guide
        self.clip = None if clip is None else not_negative("clip", clip)
        self.step = None if step is None else not_negative("step", step)
        self.antithetic, self.regenerate = bool(antithetic), bool(regenerate)
        self.layerwise, self.active = bool(layerwise), bool(active)
        self._check_options()
        self.steps = 0  # estimates made so far
        self.derivatives: list[Any] = []  # the last step's d_k, not clipped; d_n (N,) of activities

    def _check_options(self) -> None:
        """ValueError for what cannot go together."""
        differences = self.mode == "finite-difference"
        whole = self.distribution in ("sphere", "orthonormal")  # v's coordinates depend on another
        activities = self.perturb == "activities"
        if self.step == 0 or self.clip == 0:
            raise ValueError("step and clip must be above 0")
        if self.antithetic and not (differences and self.scheme == "one-sided"):
            raise ValueError(
                "antithetic pairs need one-sided finite differences: a jvp along -v says nothing "
                "new, and a central difference is such a pair already"
            )
        if not differences and (self.step is not None or self.scheme != "central"):
            raise ValueError('step and scheme are for mode="finite-difference"')
        if self.antithetic and self.directions % 2:
            raise ValueError(f"antithetic pairs need an even K, got directions={self.directions}")
        if self.regenerate and whole:
            raise ValueError(
                f"{self.distribution} directions cannot be drawn part by part, as regenerate=True "
                'would: use "normal" or "rademacher"'
            )
        if activities and whole:
            raise ValueError('noise on activities is "normal" or "rademacher", not one vector')
        if activities and self.regenerate:
            raise ValueError('regenerate=True is for directions of weights, perturb="weights"')
        if self.layerwise and not activities:
            raise ValueError('layerwise=True needs perturb="activities"')
        if self.guide is not None and not isinstance(self.guide, Rule):
            raise TypeError(f"guide must be a Rule, got {self.guide!r}")
        if self.guide is not None and (activities or differences or self.regenerate):
            raise ValueError("a guide's direction is one of weights, and its slope a jvp")

    @property
    def distribution(self) -> str:
        return self._draws.distribution

    @property
    def seed(self) -> int:
        return self._draws.seed

    @property
    def cost(self) -> float:
        """Products of a step, in those of a forward pass: 3 for backprop. layerwise: at least."""
        K, central = self.directions, self.scheme == "central"
        if self.guide is not None:
            return self.guide.cost + 3
        if self.mode == "finite-difference":
            passes = 2.0 * K if central else 1.0 + K
            return passes + (1 + central if self.perturb == "activities" else 0)
        return 2.0 + K if self.perturb == "activities" else 1.0 + 2 * K

    def estimate(self, model: Layer, loss: Loss, x: Array, target: Array) -> float:
        params = model.params
        if not params:
            raise ValueError("the model has no parameters: there is no direction to move in")
        self.steps += 1
        self.derivatives = []
        size = sum(p.nbytes for p in params.values())
        alone = model.uses_threads or size >= 2 * WORTH_A_THREAD  # BLAS's threads would spin
        with one_blas_thread() if alone else nullcontext():
            if self.guide is not None:
                return self._guided(model, loss, x, target)
            if self.perturb == "activities":
                return perturb_activities(self, model, loss, x, target)
            return self._weights(params, model, loss, x, target)

    def directions_for(self, arrays: Mapping[Any, Array]) -> StepDirections:
        """This step's K directions, for arrays like these."""
        return StepDirections(self._draws, self.steps, arrays, self.directions, self.antithetic)

    def _weights(
        self, params: Mapping[str, Array], model: Layer, loss: Loss, x: Array, target: Array
    ) -> float:
        v = self.directions_for(params)
        if self.mode == "finite-difference":
            value, grads = by_differences(self, v, model, loss, x, target)
        elif self.directions == 1:
            value, grads = self._one(v, model, loss, x, target)
        elif self.regenerate:
            value, grads = self._layer_by_layer(v, model, loss, x, target)
        else:
            value, grads = self._one_by_one(v, model, loss, x, target)
        for prefix, leaf in model.leaves():
            leaf.grads = {name: grads[prefix + name] for name in leaf.params}
        return value

    def _one(
        self, directions: StepDirections, model: Layer, loss: Loss, x: Array, target: Array
    ) -> tuple[float, dict[str, Array]]:
        """K = 1: value and slope go through the net together; v becomes the gradient in place."""
        (v,) = directions
        output, output_dot = model.forward_jvp(x, None, v)
        value = loss.forward(output, target)
        slope = self.clipped(loss.jvp(output_dot))
        for array in v.values():
            array *= slope
        return value, v

    def _one_by_one(
        self, directions: StepDirections, model: Layer, loss: Loss, x: Array, target: Array
    ) -> tuple[float, dict[str, Array]]:
        """K slopes at one linearisation, which is kept; one direction in memory at a time."""
        value = loss.forward(model.forward(x, train=True), target)
        grads = directions.mean_along(lambda v: self.clipped(loss.jvp(model.jvp(None, v))))
        model.drop_cache()
        return value, grads

    def _layer_by_layer(
        self, directions: StepDirections, model: Layer, loss: Loss, x: Array, target: Array
    ) -> tuple[float, dict[str, Array]]:
        """K tangents go up through one layer after the other, each layer's share of a direction
        drawn for it alone; then all are drawn again, for the sum."""
        h, tangents = x, [None] * self.directions
        for prefix, layer in chain(model):
            h = layer.forward(h, train=True)
            names = [prefix + name for name in layer.params]
            for k, h_dot in enumerate(tangents):
                v = {key[len(prefix) :]: a for key, a in directions.part(k, names).items()}
                if h_dot is not None or v:
                    tangents[k] = layer.jvp(h_dot, v or None)
                del v  # before the next is drawn
            layer.drop_cache()
        value = loss.forward(h, target)
        return value, directions.mean([self.clipped(loss.jvp(h_dot)) for h_dot in tangents])

    def _guided(self, model: Layer, loss: Loss, x: Array, target: Array) -> float:
        """The guide's estimate u, its length and sign put right by one jvp along it."""
        with holding(model):
            self.guide.estimate(model, loss, x, target)
            u = dict(model.grads)
            output, output_dot = model.forward_jvp(x, None, u)
            value = loss.forward(output, target)
        length = sqrt(sum(squared_norm(grad) for grad in u.values()))
        if length > 0:  # else it proposes nothing, and its zeros stay
            slope = self.clipped(loss.jvp(output_dot) / length)  # along a unit vector
            for prefix, leaf in model.leaves():
                leaf.grads = {name: (slope / length) * u[prefix + name] for name in leaf.grads}
        return value

    def clipped(self, slope: Any) -> Any:
        """The slope within ±clip; what it was is kept in `derivatives`. A number or an array."""
        self.derivatives.append(slope)
        if self.clip is None:
            return slope
        if isinstance(slope, float):
            return min(max(slope, -self.clip), self.clip)  # in this order a NaN stays one
        return array_module(slope).clip(slope, -self.clip, self.clip)

    def end_epoch(self) -> None:
        if self.guide is not None:
            self.guide.end_epoch()

    def rescale(self, factor: float) -> None:
        if self.guide is not None:
            self.guide.rescale(factor)

    def state_dict(self) -> dict[str, Any]:
        """Where the streams of directions stand: with it, a continued run draws what a whole one
        would have drawn; the guide's state too."""
        inner = {} if self.guide is None else self.guide.state_dict()
        return {"seed": self.seed, "steps": self.steps} | {
            f"guide/{k}": a for k, a in inner.items()
        }

    def load_state_dict(self, model: Layer, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave. KeyError: it is of another rule; ValueError: another
        seed's."""
        if missing := {"seed", "steps"} - state.keys():
            raise KeyError(f"this is no state of a ForwardGradient: {sorted(missing)} missing")
        if int(state["seed"]) != self.seed:
            raise ValueError(f"the state is of seed {int(state['seed'])}, this rule of {self.seed}")
        inner = {key[6:]: a for key, a in state.items() if key.startswith("guide/")}
        if self.guide is not None:
            self.guide.load_state_dict(model, inner)
        elif inner:
            raise KeyError("the state has a guide's part, this rule has no guide")
        self.steps = int(state["steps"])

    def __repr__(self) -> str:
        default = ForwardGradient.__init__.__kwdefaults__
        said = [f"directions={self.directions}, distribution={self.distribution!r}"]
        said += [f"mode={self.mode!r}"] + ([] if self.clip is None else [f"clip={self.clip:g}"])
        for name, usual in default.items():
            if getattr(self, name) != usual:
                said.append(f"{name}={getattr(self, name)!r}")
        return f"ForwardGradient({', '.join(said)})"
