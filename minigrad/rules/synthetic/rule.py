"""Synthetic gradients: blocks of a network that do not wait for the gradient, but predict it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import numpy as np

from minigrad import backend
from minigrad.backend import Array
from minigrad.checks import positive_int
from minigrad.layers import Layer
from minigrad.losses import Loss
from minigrad.optim import Adam
from minigrad.rules.base import Rule
from minigrad.rules.synthetic.blocks import Block, input_shape_of, shapes, split
from minigrad.rules.synthetic.interfaces import InterfaceReport
from minigrad.rules.synthetic.modules import GradientModule, InputModule, Make, Module, sizes_of
from minigrad.rules.synthetic.sweeps import SWEEPS, Decoupled, warm_up

RANDOM = ("sequential", "unlocked")  # modes in which a block can be left out of a step
WITHOUT_MODULES = ("stale", "no-backprop")


class SyntheticGradients(Rule):
    r"""dW_hat of block i from dh_hat_i = M_i(h_i, label), a prediction of dh_i = ∂L/∂h_i.

    Blocks h_i = f_i(h_{i-1}), i = 1 ... L, with J_i = ∂h_i/∂h_{i-1}. One sweep upwards:
        h_i = f_i(h_{i-1}),  dh_hat_i = M_i(h_i, label),  dW_hat_i = (∂h_i/∂W_i)ᵀ dh_hat_i
        M_{i-1} learns J_iᵀ dh_hat_i, what the block above makes of its own prediction; the top
        block, which sees the loss, uses ∂L/∂h_L itself.
    Block i is done once h_i is: it waits for nothing above it. (To step after the sweep is the same
    as to step within it: h_i is computed before W_i moves.)
    `updates`, `last_update`: of each block, how often it was updated, and in which of the `steps`
    its gradient was last made.
    Source: Jaderberg et al. 2016 (DNI), §2 and appendix A; Czarnecki et al. 2017.
    Taught in: 06_synthetic_gradients, 07_decoupled_interfaces.
    """

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
        conditioned         modules are told the label (cDNI), or not (DNI)
        hidden              sizes of the modules' hidden layers; none: a linear module
        update_probability  each block is updated in a step with this probability, independently
        mode                "sequential"   the sweep above
                            "bp-lambda"    J_iᵀ g_i mixed with dh_hat_{i-1}, `mixture` to
                                           1 - `mixture`: backprop at 1, the sweep at 0
                            "locked"       modules learn the true dh_i from a full backward pass,
                                           blocks use dh_hat_i: shows how good modules can be
                            "unlocked"     a block's input, too, is predicted from x: no block waits
                            "stale"        the true gradient of every `every`-th step, used until
                                           the next: the honest baseline
                            "no-backprop"  the top block alone learns
        interfaces          numbers of the layers after which the model is cut; None: after each
                            activation
        lr, optimizer       of the modules: Adam with this lr, or what `optimizer(net)` makes. `fit`
                            moves their lr with its schedule
        scaled              modules predict N dh, see GradientModule; False: dh itself, the trap
        warm_up             steps in which modules learn the true gradients and no block moves
        input_hidden        hidden sizes of the modules that predict inputs ("unlocked")
        input_shape         of one example; needed where the first parameters are a convolution's
        modules             one for each interface, instead of those made here
        seed                of the modules' start and of which blocks are updated
        """
        if mode not in SWEEPS:
            raise ValueError(f"mode must be one of {sorted(SWEEPS)}, got {mode!r}")
        if not 0 < update_probability <= 1:
            raise ValueError(f"update_probability must be in (0, 1], got {update_probability}")
        if update_probability < 1 and mode not in RANDOM:
            raise ValueError(
                f"mode {mode!r} updates all blocks in each step: update_probability goes with "
                + " and ".join(RANDOM)
            )
        if mode in WITHOUT_MODULES and (warm_up or modules is not None):
            raise ValueError(f"mode {mode!r} has no modules: leave out warm_up and modules")
        if not 0 <= mixture <= 1:
            raise ValueError(f"mixture must be in [0, 1], got {mixture}")
        self.model, self.mode, self.seed = model, mode, seed
        self.conditioned, self.scaled = conditioned, scaled
        self.hidden = sizes_of("hidden", hidden)
        self.warm_up = positive_int("warm_up", warm_up, 0)
        starts, draws = np.random.SeedSequence(seed).spawn(2)
        blocks, rng = split(model, interfaces), np.random.default_rng(starts)
        given, modules, inputs = modules, [], []
        if mode not in WITHOUT_MODULES:
            make = optimizer or (lambda net: Adam(net, lr))
            input_shape = input_shape_of(blocks, input_shape)
            interface_shapes, classes = self._interfaces(blocks, input_shape)
            options = {"optimizer": make, "dtype": model.dtype, "rng": rng}
            modules = (
                given
                if given is not None
                else [
                    GradientModule(shape, classes, hidden, scaled=scaled, **options)
                    for shape in interface_shapes
                ]
            )
            if mode == "unlocked":
                inputs = [
                    InputModule(prod(input_shape), shape, input_hidden, **options)
                    for shape in interface_shapes
                ]
            if len(modules) != len(interface_shapes):
                raise ValueError(
                    f"the model has {len(interface_shapes)} interfaces, got {len(modules)} modules"
                )
            if wrong := [m for m in modules if not isinstance(m, Module)]:
                raise TypeError(f"modules must be of mg.rules.Module, got {wrong[0]!r}")
        self.net = Decoupled(blocks, list(modules), inputs)
        self.net.probability, self.net.mixture = float(update_probability), float(mixture)
        self.net.every, self.net.rng = positive_int("every", every), np.random.default_rng(draws)

    def _interfaces(
        self, blocks: list[Block], input_shape: tuple[int, ...]
    ) -> tuple[list[tuple[int, ...]], int | None]:
        """The shapes of h at the interfaces, and how many labels modules are told of."""
        *found, out = shapes(blocks, input_shape)
        if not self.conditioned:
            return found, None
        if len(out) != 1:
            raise ValueError(
                "conditioned modules take the number of labels from the model's output (N, C), "
                f"this one puts out (N, {', '.join(map(str, out))}); use conditioned=False"
            )
        return found, out[0]

    blocks = property(lambda self: self.net.blocks)
    modules = property(lambda self: self.net.modules)
    steps = property(lambda self: self.net.steps)
    updates = property(lambda self: self.net.updates)
    last_update = property(lambda self: self.net.last_update)

    def estimate(self, model: Layer, loss: Loss, x: Array, target: Array) -> float:
        if model is not self.model:
            raise ValueError(
                "this rule's modules are another model's; make it anew: SyntheticGradients(model)"
            )
        self.net.steps += 1
        if self.net.steps <= self.warm_up and self.mode not in WITHOUT_MODULES:
            return warm_up(self.net, loss, x, target)
        return SWEEPS[self.mode](self.net, loss, x, target)

    def rescale(self, factor: float) -> None:
        for module in [*self.net.modules, *self.net.inputs]:
            module.rescale(factor)

    def report(self, loss: Loss, x: Array, target: Array) -> InterfaceReport:
        """How good each module is on this batch: R², cosine; changes nothing."""
        from_above = {"locked": 1.0, "bp-lambda": self.net.mixture}.get(self.mode, 0.0)
        return InterfaceReport.of(self.net, loss, x, target, from_above)

    def state_dict(self) -> dict[str, Any]:
        """Copies of all modules, their optimisers' state, counts and random state, flat."""
        net = self.net
        state: dict[str, Any] = {"settings": self._settings(), "steps": net.steps}
        state |= {"updates": list(net.updates), "last_update": list(net.last_update)}
        state["rng"] = json.dumps(net.rng.bit_generator.state)
        for kind, modules in (("module", net.modules), ("input", net.inputs)):
            for i, module in enumerate(modules):
                state |= {f"{kind}/{i}/{key}": v for key, v in module.state_dict().items()}
        for i, grads in enumerate(net.kept):
            state |= {f"kept/{i}/{k}": backend.to_host(v).copy() for k, v in grads.items()}
        return state

    def load_state_dict(self, model: Layer, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave: the next step is then the same. All or nothing.

        KeyError: something is missing or fits no module; ValueError: made with other settings.
        """
        if model is not self.model:
            raise ValueError("this rule's modules are another model's")
        before = self.state_dict()
        try:
            self._load(state)
        except Exception:
            self._load(before)
            raise

    def _load(self, state: Mapping[str, Any]) -> None:
        needed = {"settings", "steps", "updates", "last_update", "rng"}
        if missing := needed - state.keys():
            raise KeyError(f"this is no state of SyntheticGradients: {sorted(missing)} missing")
        if (settings := str(state["settings"])) != self._settings():
            raise ValueError(f"the state was made with {settings}, not {self._settings()}")
        net = self.net
        parts: dict[tuple[str, int], dict[str, Any]] = {}
        for full, value in state.items():
            kind, number, key = (*full.split("/", 2), "", "")[:3]
            if key:
                parts.setdefault((kind, int(number)), {})[key] = value
        for kind, modules in (("module", net.modules), ("input", net.inputs)):
            for i, module in enumerate(modules):
                module.load_state_dict(parts.get((kind, i), {}))
        net.steps = int(state["steps"])
        net.kept = []
        if self.mode == "stale" and net.steps:
            leaves = [leaf for block in net.blocks for _, leaf in block.leaves()]
            net.kept = [_kept(parts.get(("kept", i), {}), leaf) for i, leaf in enumerate(leaves)]
        net.updates = [int(n) for n in state["updates"]]
        net.last_update = [int(n) for n in state["last_update"]]
        net.rng.bit_generator.state = json.loads(str(state["rng"]))

    def _settings(self) -> str:
        """What the state depends on, in words."""
        net = self.net
        words = {
            "mode": self.mode,
            "interfaces": [block.stop - 1 for block in net.blocks[:-1]],
            "warm_up": self.warm_up,
        }
        if self.mode in RANDOM:
            words["update_probability"] = net.probability
        if self.mode == "bp-lambda":
            words["mixture"] = net.mixture
        if self.mode == "stale":
            words["every"] = net.every
        if self.mode not in WITHOUT_MODULES:
            words |= {"conditioned": self.conditioned, "hidden": self.hidden, "scaled": self.scaled}
        return ", ".join(f"{name}={value!r}" for name, value in words.items())

    def __repr__(self) -> str:
        optimizer = getattr(self.net.modules[0], "optimizer", None) if self.net.modules else None
        by = f", optimizer={optimizer!r}" if optimizer is not None else ""
        return f"SyntheticGradients({self._settings()}, seed={self.seed}{by})"


def _kept(grads: Mapping[str, Any], leaf: Layer) -> dict[str, Array]:
    """A layer's stale gradients, copied to where its parameters are."""
    if grads.keys() != leaf.params.keys():
        raise KeyError(
            f"{leaf!r} needs kept gradients of {sorted(leaf.params)}, the state has {sorted(grads)}"
        )
    for name, param in leaf.params.items():
        if np.shape(grads[name]) != param.shape:
            raise ValueError(
                f"kept gradient of {name} of {leaf!r}: expected shape {param.shape}, got "
                f"{np.shape(grads[name])}"
            )
    return {k: backend.to_device(np.array(v), leaf.params[k]) for k, v in grads.items()}
