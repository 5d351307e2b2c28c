"""Forward gradients by moving the activities. Each example has its own noise and its own slope."""

from __future__ import annotations

from functools import partial

from minigrad.backend import Array
from minigrad.layers import Layer, holding
from minigrad.losses import Loss
from minigrad.rules.chain import chain
from minigrad.rules.forward.base import Perturbation
from minigrad.rules.forward.evaluation import Evaluation
from minigrad.rules.forward.finite_differences import default_epsilon, quotient
from minigrad.rules.needs import missing, no_backward


class ActivityPerturbation(Perturbation):
    r"""dz_n = 1/K Σ_k d_nk ε_nk,  d_nk = <∂L_n/∂z_n, ε_nk>;  dW_hat = J_Wᵀ dz, as in backprop.

    z_n: the outputs of example n in all layers that have parameters. E[ε εᵀ] = I, so
    E[dz_n] = ∂L_n/∂z_n: no bias. The variance grows with the number of units, not of weights, and
    the mean over the batch lowers it. No gradient goes from layer to layer.
    The loss of an example must depend on that example alone: batch norm is refused.
    Cost: two forward passes, and one for each direction (central differences: two for each).
    Source: Ren et al. 2023.  Taught in: 12_forward_networks, 14_side_by_side.
    """

    perturb = "activities"

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
        layerwise: bool = False,
        active: bool = True,
        seed: int = 0,
    ):
        """
        directions    K
        distribution  "normal" or "rademacher"; see DirectionSampler
        method        "jvp", or "finite-difference": forward passes only
        clip          every d_nk is cut off at ±clip: biased, but no step is large
        scheme        finite differences: "central", d = (L(z + εv) - L(z - εv)) / 2ε with v the
                      noise, or "one-sided", d = (L(z + εv) - L(z)) / ε
        epsilon       ε; None: see finite_differences.default_epsilon
        antithetic    one-sided differences in pairs along v and -v; K must be even
        layerwise     move one layer's outputs at a time, in K directions each. Other layers' noise
                      is then not in the slope
        active        no noise where no output depends on a unit: its ReLU is off, or another pixel
                      won the pool. The gradient is 0 there. No bias, less variance
        seed          of all noise: step t's k-th is drawn from (seed, t, k)
        """
        super().__init__(directions, distribution, method, clip, scheme, epsilon, antithetic, seed)
        if distribution in ("sphere", "orthonormal"):
            raise ValueError(
                'noise on activities is "normal" or "rademacher": each example has its own, '
                "so it is not one vector"
            )
        self.layerwise = bool(layerwise)
        self.active = bool(active)
        if method == "jvp":
            self.cost = 2.0 + self.directions
        elif scheme == "central":  # layerwise costs more
            self.cost = 2.0 + 2 * self.directions
        else:
            self.cost = 2.0 + self.directions

    def _estimate(self, model: Layer, loss: Loss, x: Array, target: Array) -> float:
        evaluation = Evaluation(model, loss, target)
        dz: dict[int, Array] = {}
        with holding(model):
            value = evaluation.forward(x)
            masks = evaluation.active() if self.active else {}
            epsilon = self._epsilon(evaluation)
            sites = evaluation.sites
            groups = [[site] for site in sites] if self.layerwise else [sites]
            sample = self.sample_for(evaluation.outputs)
            for k in range(self.directions):
                noise = sample.part(k, sites)
                for site, mask in masks.items():
                    noise[site] *= mask
                for group in groups:
                    moving = {site: noise[site] for site in group}
                    slopes = self.clipped(self._slopes(evaluation, moving, epsilon))
                    # dz_n = 1/(K N) Σ_k d_nk ε_nk: the loss is the mean over N examples
                    slopes = slopes / (self.directions * len(x))
                    for site, part in moving.items():
                        part *= slopes.reshape(-1, *[1] * (part.ndim - 1))
                        dz[site] = dz[site] + part if site in dz else part
        for site, upstream in dz.items():
            evaluation.layers[site].backward_params(upstream)
        model.drop_cache()
        return value

    def _refusal(self, model: Layer) -> str | None:
        return super()._refusal(model) or _no_slopes_of_examples(model)

    def why_not(self, model: Layer, loss: Loss | None = None) -> str | None:
        jvp = self.method == "jvp"
        return (
            super().why_not(model, loss)
            or _no_jacobians(self, model, jvp)
            or missing(self, [loss], "each_jvp" if jvp else "each")
        )

    def _epsilon(self, evaluation: Evaluation) -> float | None:
        """The ε of finite differences; None for slopes by jvp."""
        if self.method == "jvp":
            return None
        return self.epsilon or default_epsilon(list(evaluation.outputs.values()), self.scheme)

    def _slopes(
        self, evaluation: Evaluation, noise: dict[int, Array], epsilon: float | None
    ) -> Array:
        """d_n (N,) along this noise."""
        if epsilon is None:
            return evaluation.jvp(noise)
        here = evaluation.values if self.scheme == "one-sided" else None
        return quotient(partial(evaluation.moved, noise), epsilon, here)


def _no_slopes_of_examples(model: Layer) -> str | None:
    """A sentence if an example's output depends on the other examples."""
    for _, leaf in model.leaves():
        if leaf.mixes_examples:
            return (
                f"{type(leaf).__name__} makes each example's loss depend on the whole batch: an "
                "example's slope would count what its noise does to the others. "
                'Use perturb="weights" (WeightPerturbation), or a net without this layer'
            )
    return None


def _no_jacobians(rule: ActivityPerturbation, model: Layer, jvp: bool) -> str | None:
    """A sentence if a layer with parameters has no backward, or one above them no jvp."""
    above = False
    for _, layer in chain(model):
        inside = [leaf for _, leaf in layer.leaves()]
        reason = missing(rule, inside, "jvp") if jvp and above else None
        if reason or (layer.params and (reason := no_backward(rule, layer, None))):
            return reason
        above = above or bool(layer.params)
    return None
