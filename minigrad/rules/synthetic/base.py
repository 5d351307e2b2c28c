"""The base of rules that cut a network into blocks: the blocks, their updates, the state."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, cast

import numpy as np

from minigrad.backend import Array
from minigrad.checks import check_state, count
from minigrad.generators import same_kind, set_to
from minigrad.layers import Layer
from minigrad.losses import Loss
from minigrad.rules.base import Rule
from minigrad.rules.loading import check_names, check_settings, counts, generator_from
from minigrad.rules.needs import no_backward
from minigrad.rules.renamed import old_attribute
from minigrad.rules.synthetic.blocks import Block
from minigrad.rules.synthetic.interfaces import InterfaceReport
from minigrad.rules.synthetic.modules import InputModule, Module, Trained
from minigrad.rules.synthetic.sweeps import DecoupledNetwork
from minigrad.streams import RandomStreams

Parts = dict[tuple[str, int], dict[str, Any]]  # a state by kind and number: {("module", 0): {...}}


class BlockRule(Rule):
    """A rule for one network, cut into blocks.

    steps        the number of estimates so far
    updates      for each block, how often it was updated
    last_update  for each block, the step in which its gradient was last computed
    """

    mode = ""
    _own_names: tuple[str, ...] = ()  # names in the state of a class, beside those of all

    def __init__(
        self,
        model: Layer,
        blocks: list[Block],
        modules: list[Module] | None = None,
        inputs: list[InputModule] | None = None,
        seed: int = 0,
    ):
        self.model = model
        self.decoupled = DecoupledNetwork(blocks, modules or [], inputs or [])
        draws = np.random.SeedSequence(seed).spawn(2)[1]  # the first is for the modules' start
        self.decoupled.rng = np.random.default_rng(draws)

    @property
    def blocks(self) -> list[Block]:
        return self.decoupled.blocks

    @property
    def modules(self) -> list[Module]:
        """The modules that predict gradients, one for each interface."""
        return self.decoupled.modules

    @property
    def inputs(self) -> list[InputModule]:
        """The modules that predict a block's input, one for each interface (mode "unlocked")."""
        return self.decoupled.inputs

    @property
    def interfaces(self) -> list[int]:
        """The numbers of the layers after which the model is cut."""
        return [block.stop - 1 for block in self.blocks[:-1]]

    @property
    def steps(self) -> int:
        return self.decoupled.steps

    @property
    def updates(self) -> list[int]:
        return self.decoupled.updates

    @property
    def last_update(self) -> list[int]:
        return self.decoupled.last_update

    net = old_attribute("net", "decoupled")

    def estimate(self, model: Layer, loss: Loss, x: Array, target: Array) -> float:
        self._check_model(model)
        self.decoupled.steps += 1
        return self._estimate(loss, x, target)

    def repeated(self) -> None:
        """Count a step that a CUDA graph has repeated: all blocks were updated in it."""
        net = self.decoupled
        net.steps += 1
        for i in range(len(net.blocks)):
            net.note(i)

    def _parts_inside(self) -> Iterator[tuple[str, RandomStreams]]:
        """The modules: their layers may draw, too. `state_dict` has the rule's own generator."""
        yield from super()._parts_inside()
        for kind, modules in self._kinds():
            for i, module in enumerate(modules):
                yield f"{kind}/{i}", module

    def _kinds(self) -> list[tuple[str, list[Any]]]:
        return [("module", self.modules), ("input", self.inputs)]

    def _estimate(self, loss: Loss, x: Array, target: Array) -> float:
        """Fill the blocks' `grads`. Returns the loss."""
        raise NotImplementedError(f"{type(self).__name__} has no _estimate(...) yet")

    def why_not(self, model: Layer, loss: Loss | None = None) -> str | None:
        return self._not_mine(model) or no_backward(self, self._learning(), loss)

    def _learning(self) -> Layer:
        """The part of the model whose gradients are computed."""
        return self.model

    def _check_model(self, model: Layer) -> None:
        if reason := self._not_mine(model):
            raise ValueError(reason)

    def _not_mine(self, model: Layer) -> str | None:
        """A sentence if the model, or one of its layers, is not the one this rule was made for."""
        if model is not self.model:
            return (
                "this rule's blocks are another model's; make a new rule: "
                f"{type(self).__name__}(model)"
            )
        own = [id(leaf) for block in self.blocks for _, leaf in block.leaves()]
        if own != [id(leaf) for _, leaf in model.leaves()]:
            return (
                "the model has other layers than when this rule was made, and the new ones would "
                f"never move; make a new rule: {type(self).__name__}(model)"
            )
        return None

    def report(self, loss: Loss, x: Array, target: Array) -> InterfaceReport:
        """How good each module is on this batch: R², cosine. It changes nothing."""
        return InterfaceReport.of(self.decoupled, loss, x, target, self._true_part())

    def _true_part(self) -> float:
        """λ in what the modules learn: 1 is the true gradient alone, 0 the prediction alone."""
        return 0.0

    def state_dict(self) -> dict[str, Any]:
        """Copies of all modules, their optimisers' state, counts and random state, flat."""
        net = self.decoupled
        state: dict[str, Any] = {"settings": self._settings(), "steps": net.steps}
        state |= {"updates": list(net.updates), "last_update": list(net.last_update)}
        state["rng"] = json.dumps(net.rng.bit_generator.state)
        for kind, modules in self._kinds():
            for i, module in enumerate(modules):
                state |= {f"{kind}/{i}/{key}": v for key, v in module.state_dict().items()}
        return state

    def load_state_dict(self, model: Layer, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave. The next step is then the same.

        KeyError: something is missing or fits no module. ValueError: made with other settings.
        After an error the rule is as it was before.
        """
        self._check_model(model)
        before = self.state_dict()
        try:
            self._load(state, finite=True)
        except BaseException:
            self._load(before, finite=False)
            raise

    def _load(self, state: Mapping[str, Any], finite: bool) -> None:
        """Take over a state. finite: NaN and infinite numbers are refused."""
        needed = ("settings", "steps", "updates", "last_update", "rng")
        check_state(type(self).__name__, state)
        own = {k: v for k, v in state.items() if "/" not in str(k)}
        check_names(type(self).__name__, own, needed, self._own_names)
        check_settings(state["settings"], self._settings())
        net = self.decoupled
        steps = count("steps", state["steps"])
        updates = counts("updates", state["updates"], len(net.blocks))
        last_update = counts("last_update", state["last_update"], len(net.blocks))
        rng = generator_from("rng", state["rng"])
        parts = self._parts_of(state)
        self._load_parts(parts, state, finite)
        for kind, modules in self._kinds():
            for i, module in enumerate(modules):
                part = parts.get((kind, i), {})
                if isinstance(module, Trained):
                    module.load_state_dict(part, finite=finite)
                else:
                    module.load_state_dict(part)
        net.steps = steps
        net.updates = updates
        net.last_update = last_update
        if same_kind(net.rng, rng):
            set_to(net.rng, rng)
        else:
            net.rng = cast("np.random.Generator", rng)

    def _parts_of(self, state: Mapping[str, Any]) -> Parts:
        """The entries "module/0/name", by kind and number. KeyError for what is not here."""
        sizes = {kind: len(modules) for kind, modules in self._kinds()} | self._more_parts()
        parts: Parts = {}
        for full, value in state.items():
            if "/" in full:
                kind, number, key = (*full.split("/", 2), "", "")[:3]
                if not key or not number.isdecimal() or int(number) >= sizes.get(kind, 0):
                    raise KeyError(f"{full!r} in the state fits no part of {type(self).__name__}")
                parts.setdefault((kind, int(number)), {})[key] = value
        return parts

    def _more_parts(self) -> dict[str, int]:
        """{kind: how many there are at most} of what a rule keeps beside its modules."""
        return {}

    def _load_parts(self, parts: Parts, state: Mapping[str, Any], finite: bool) -> None:
        """Take over what a rule keeps beside its modules."""

    def _settings(self) -> str:
        """The settings of a state, as text. Saved states contain it, so do not change its words."""
        return ", ".join(f"{name}={value!r}" for name, value in self._words().items())

    def _words(self) -> dict[str, Any]:
        return {"mode": self.mode, "interfaces": self.interfaces, "warm_up": 0}
