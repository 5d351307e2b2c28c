"""Synthetic gradients: a block does not wait for its gradient. A module predicts it."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from minigrad.backend import Array
from minigrad.checks import positive_int
from minigrad.layers import Layer
from minigrad.losses import Loss
from minigrad.optim import Adam
from minigrad.rules.synthetic.base import BlockRule
from minigrad.rules.synthetic.baselines import StaleGradients, TopLayerOnly
from minigrad.rules.synthetic.blocks import Block, input_shape_of, shapes, split
from minigrad.rules.synthetic.modules import (
    GradientModule,
    InputModule,
    Make,
    Module,
    Trained,
    sizes_of,
)
from minigrad.rules.synthetic.sweeps import SWEEPS, warm_up

RANDOM = ("sequential", "unlocked")  # modes in which a block can be left out of a step
BASELINES = ("stale", "no-backprop")  # these modes make other rules, which have no modules


class _Family(type):
    """isinstance(rule, SyntheticGradients) holds for the two baselines, too."""

    def __instancecheck__(cls, instance: Any) -> bool:
        family = {SyntheticGradients, StaleGradients, TopLayerOnly}
        kinds = family if cls is SyntheticGradients else {cls}
        return not kinds.isdisjoint(type(instance).__mro__)


class SyntheticGradients(BlockRule, metaclass=_Family):
    r"""dW_hat of block i from dh_hat_i = M_i(h_i, label), a prediction of dh_i = ∂L/∂h_i.

    Blocks h_i = f_i(h_{i-1}), i = 1 ... L, with J_i = ∂h_i/∂h_{i-1}. One sweep upwards:
        h_i = f_i(h_{i-1}),  dh_hat_i = M_i(h_i, label),  dW_hat_i = (∂h_i/∂W_i)ᵀ dh_hat_i
        M_{i-1} learns J_iᵀ dh_hat_i. Block i computes it from its own prediction. The top block
        uses the loss's gradient ∂L/∂h_L.
    Once h_i is known, block i needs nothing from above. (It may step at once or after the sweep:
    h_i is computed before W_i moves.)
    Cost: that of backprop, and that of backprop in each module, but for the dx of its first layer.
    A layer counts by its weights.
    Source: Jaderberg et al. 2016 (DNI), §2 and appendix A; Czarnecki et al. 2017.
    Taught in: 09_synthetic_gradients, 10_decoupled_interfaces.
    """

    _old_arguments = ("every",)

    def __new__(cls, *given: Any, **options: Any) -> Any:
        """The modes "stale" and "no-backprop" make StaleGradients and TopLayerOnly."""
        mode = options.get("mode", given[4] if len(given) > 4 else "sequential")
        if mode not in BASELINES:
            return super().__new__(cls)
        if cls is not SyntheticGradients:
            raise TypeError(
                f"mode {mode!r} is a rule of its own, not one of {cls.__name__}: derive yours from "
                "StaleGradients or TopLayerOnly"
            )
        bound = inspect.signature(cls.__init__).bind(None, *given, **options)
        bound.apply_defaults()
        said = bound.arguments
        _check_probability(said["update_probability"], mode)
        if said["warm_up"] or said["modules"] is not None:
            raise ValueError(f"mode {mode!r} has no modules: leave out warm_up and modules")
        if mode == "stale":
            return StaleGradients(said["model"], said["every"], said["interfaces"])
        return TopLayerOnly(said["model"], said["interfaces"])

    def __init__(
        self,
        model: Layer,
        conditioned: bool = True,
        hidden: Sequence[int] = (),
        update_probability: float = 1.0,
        mode: str = "sequential",
        interfaces: Sequence[int] | None = None,
        *,
        lr: float = 1e-3,
        optimizer: Make | None = None,
        scaled: bool = True,
        mixture: float = 0.5,
        every: int = 10,
        warm_up: int = 0,
        input_hidden: Sequence[int] = (256,),
        input_shape: tuple[int, ...] | None = None,
        modules: Sequence[Module] | None = None,
        seed: int = 0,
    ):
        """
        The network and its blocks:
          model               a Sequential
          interfaces          numbers of the layers after which it is cut; None: after each
                              activation
          input_shape         of one example; needed where the first parameters are a convolution's
        The modules:
          conditioned         they get the label (cDNI), or not (DNI)
          hidden              sizes of their hidden layers; none: a linear module
          scaled              they predict N dh, see GradientModule; False: dh
          lr, optimizer       Adam with this lr, or what `optimizer(net)` makes. `fit` changes
                              their lr with its schedule
          input_hidden        hidden sizes of the modules that predict inputs (mode "unlocked")
          modules             one for each interface, instead of those made here
        How they are used:
          mode                "sequential"  the sweep above
                              "bp-lambda"   g_{i-1} = λ J_iᵀ g_i + (1 - λ) dh_hat_{i-1} with λ =
                                            `mixture`: backprop at 1, the sweep at 0
                              "locked"      modules learn the true dh_i from a full backward pass,
                                            blocks use dh_hat_i: shows how good modules can be
                              "unlocked"    a block's input is predicted from x: no block waits
                              "stale", "no-backprop"  StaleGradients(model, every), TopLayerOnly
          update_probability  each block is updated in a step with this probability
          warm_up             steps in which modules learn the true gradients and no block moves
          seed                of the modules' start and of which blocks are updated
        """
        if mode not in SWEEPS:
            modes = sorted([*SWEEPS, *BASELINES])
            raise ValueError(f"mode must be one of {modes}, got {mode!r}")
        _check_probability(update_probability, mode)
        if not 0 <= mixture <= 1:
            raise ValueError(f"mixture must be in [0, 1], got {mixture}")
        positive_int("every", every)
        self.mode = mode
        self.seed = seed
        self.conditioned = conditioned
        self.scaled = scaled
        self.lr = lr
        self.hidden = sizes_of("hidden", hidden)
        self.input_hidden = sizes_of("input_hidden", input_hidden)
        self.warm_up = positive_int("warm_up", warm_up, 0)
        blocks = split(model, interfaces)
        self.input_shape = input_shape_of(blocks, input_shape)
        found, classes = self._interfaces(blocks, self.input_shape)
        make = optimizer or (lambda net: Adam(net, lr))
        starts = np.random.SeedSequence(seed).spawn(2)[0]
        rng = np.random.default_rng(starts)
        if modules is None:
            modules = [
                GradientModule(
                    shape,
                    classes,
                    hidden,
                    scaled=scaled,
                    optimizer=make,
                    dtype=model.dtype,
                    rng=rng,
                )
                for shape in found
            ]
        elif wrong := [m for m in modules if not isinstance(m, Module)]:
            raise TypeError(f"modules must be of mg.rules.Module, got {wrong[0]!r}")
        elif len(modules) != len(found):
            raise ValueError(f"the model has {len(found)} interfaces, got {len(modules)} modules")
        inputs = []
        if mode == "unlocked":
            size = prod(self.input_shape)
            inputs = [
                InputModule(size, s, input_hidden, optimizer=make, dtype=model.dtype, rng=rng)
                for s in found
            ]
        super().__init__(model, blocks, list(modules), inputs, seed)
        self.decoupled.probability = float(update_probability)
        self.decoupled.mixture = float(mixture)
        passes = {"bp-lambda": 3.0, "locked": 5.0}  # locked: dx and dW twice
        nets = [part.net for part in (*modules, *inputs) if isinstance(part, Trained)]
        of_modules = sum(3 * sum(_weights(net)) - _weights(net)[0] for net in nets)
        own = sum(_weights(model))
        self.cost = passes.get(mode, 1 + 2 * self.update_probability) + of_modules / own

    def _interfaces(
        self, blocks: list[Block], input_shape: tuple[int, ...]
    ) -> tuple[list[tuple[int, ...]], int | None]:
        """The shapes of h at the interfaces, and the number of labels that modules get, or None."""
        *found, out = shapes(blocks, input_shape)
        if not self.conditioned:
            return found, None
        if len(out) != 1:
            raise ValueError(
                "conditioned modules take the number of labels from the model's output (N, C), "
                f"this one puts out (N, {', '.join(map(str, out))}); use conditioned=False"
            )
        return found, out[0]

    @property
    def update_probability(self) -> float:
        return self.decoupled.probability

    @property
    def mixture(self) -> float:
        return self.decoupled.mixture

    @property
    def optimizer(self) -> Any:
        """The first module's optimiser, if it has one."""
        return getattr(self.modules[0], "optimizer", None)

    def _estimate(self, loss: Loss, x: Array, target: Array) -> float:
        if self.steps <= self.warm_up:
            return warm_up(self.decoupled, loss, x, target)
        return SWEEPS[self.mode](self.decoupled, loss, x, target)

    def why_not(self, model: Layer, loss: Loss | None = None) -> str | None:
        reason = super().why_not(model, loss)
        reasons = [reason, *(module.why_not(loss) for module in self.modules)]
        return next((found for found in reasons if found), None)

    def rescale(self, factor: float) -> None:
        for module in [*self.modules, *self.inputs]:
            module.rescale(factor)

    def _true_part(self) -> float:
        return {"locked": 1.0, "bp-lambda": self.mixture}.get(self.mode, 0.0)

    def _words(self) -> dict[str, Any]:
        words = super()._words() | {"warm_up": self.warm_up}
        if self.mode in RANDOM:
            words["update_probability"] = self.update_probability
        if self.mode == "bp-lambda":
            words["mixture"] = self.mixture
        return words | {
            "conditioned": self.conditioned,
            "hidden": self.hidden,
            "scaled": self.scaled,
        }


def _weights(net: Layer) -> list[int]:
    """How many numbers each layer with parameters has."""
    return [sum(p.size for p in leaf.params.values()) for _, leaf in net.leaves() if leaf.params]


def _check_probability(update_probability: float, mode: str) -> None:
    if not 0 < update_probability <= 1:
        raise ValueError(f"update_probability must be in (0, 1], got {update_probability}")
    if update_probability < 1 and mode not in RANDOM:
        raise ValueError(
            f"mode {mode!r} updates all blocks in each step: update_probability goes with "
            + " and ".join(RANDOM)
        )
