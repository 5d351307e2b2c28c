"""Rules that see nothing of a network but its loss: SPSA and evolution strategies."""

from __future__ import annotations

from functools import partial

import numpy as np

from minigrad.backend import Array
from minigrad.checks import positive_int
from minigrad.layers import Layer, holding
from minigrad.losses import Loss
from minigrad.rules.forward.base import one_of, positive
from minigrad.rules.forward.directions import StepDirections
from minigrad.rules.forward.weights import WeightPerturbation, loss_at

DISTRIBUTIONS = ("rademacher", "normal")  # those that can be drawn again part by part


class SPSA(WeightPerturbation):
    r"""dW_hat = 1/K Σ_k (L(θ + εv_k) - L(θ - εv_k)) / 2ε · v_k: all weights move at once.

    For ε → 0 it is the forward gradient (WeightPerturbation) along the same directions, which a jvp
    gives in one pass. Here there are forward passes only: no layer needs a derivative.
    v_k is kept nowhere. It is drawn from its seed for each pass and once more for the sum, so the
    memory is that of an evaluation. θ itself never moves; θ ± εv is made layer by layer.
    Spall divides by v_i. That is the same for v_i = ±1; for normal v it is MeZO's estimate.
    Cost: 2K forward passes (one-sided: K + 1).
    Source: Spall 1992; Malladi et al. 2023, "MeZO", Alg. 1-2.  Taught in: 14_side_by_side.
    """

    def __init__(
        self,
        epsilon: float | None = None,
        directions: int = 1,
        distribution: str = "rademacher",
        *,
        scheme: str = "central",
        clip: float | None = None,
        seed: int = 0,
    ):
        """
        epsilon       ε; None: see finite_differences.default_epsilon
        directions    K
        distribution  "rademacher" (Spall) or "normal" (MeZO)
        scheme        "central", as above, or "one-sided": (L(θ + εv) - L(θ)) / ε
        clip          every slope is cut off at ±clip
        seed          of all directions: step t's k-th is drawn from (seed, t, k)
        """
        super().__init__(
            directions,
            one_of("distribution", distribution, DISTRIBUTIONS),
            "finite-difference",
            clip,
            scheme=scheme,
            epsilon=epsilon,
            regenerate=True,
            seed=seed,
        )


class EvolutionStrategies(WeightPerturbation):
    r"""dW_hat = 1/(Pσ) Σ_i w_i v_i, w_i = rank of L(θ + σv_i) among all P, from -1/2 to 1/2.

    Without shaping w_i = L(θ + σv_i) - mean. On average dW_hat is then the gradient of
    E[L(θ + σv)], the loss with noise on its weights (times 1 - 1/P if not antithetic).
    Antithetic and without shaping it is SPSA's with ε = σ and P/2 directions.
    Ranks say which loss is larger, and not by how much: no loss can be so large that it alone
    decides. So dW_hat has no length of its own: choose lr anew, or Adam. Equal losses share a rank.
    Cost: P forward passes.
    Source: Salimans et al. 2017, Alg. 1-2; Wierstra et al. 2014 for the shaping.
    """

    def __init__(
        self,
        population: int = 20,
        sigma: float = 0.02,
        shaping: str | None = "ranks",
        antithetic: bool = True,
        distribution: str = "normal",
        *,
        seed: int = 0,
    ):
        """
        population    P >= 2; even if antithetic
        sigma         σ
        shaping       "ranks", or None: the losses themselves
        antithetic    v_2 = -v_1, v_4 = -v_3, ...: less variance
        distribution  "normal" or "rademacher"
        seed          of all directions: step t's i-th is drawn from (seed, t, i)
        """
        self.population = positive_int("population", population, least=2)
        if antithetic and population % 2:
            raise ValueError(f"antithetic pairs need an even population, got {population}")
        super().__init__(
            population,
            one_of("distribution", distribution, DISTRIBUTIONS),
            "finite-difference",
            epsilon=positive("sigma", sigma),
            scheme="one-sided",
            antithetic=antithetic,
            regenerate=True,
            seed=seed,
        )
        self.sigma = float(sigma)
        self.shaping = None if shaping is None else one_of("shaping", shaping, ("ranks",))
        self.cost = float(population)

    def _by_differences(
        self, sample: StepDirections, model: Layer, loss: Loss, x: Array, target: Array
    ) -> tuple[float, dict[str, Array]]:
        at = partial(loss_at, sample, model, loss, x, target, self.sigma)
        with holding(model):
            values = np.array([at(partial(sample.part, i)) for i in range(self.population)])
        weights = centred_ranks(values) if self.shaping else values - values.mean()
        self.derivatives = list(weights / self.sigma)
        return float(values.mean()), sample.mean([float(d) for d in self.derivatives])


def centred_ranks(values: np.ndarray) -> np.ndarray:
    """(P,) numbers as ranks from -1/2, the smallest, to 1/2. Equal ones share their mean rank."""
    below = (values[:, None] > values).sum(axis=1)
    equal = (values[:, None] == values).sum(axis=1)
    return (below + (equal - 1) / 2) / (len(values) - 1) - 0.5
