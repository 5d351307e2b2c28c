"""Two baselines for synthetic gradients: old true gradients, and no gradient below the top."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from minigrad import backend
from minigrad.backend import Array
from minigrad.checks import positive_int
from minigrad.layers import Layer
from minigrad.losses import Loss
from minigrad.rules.loading import check_finite, counts, fitting_array
from minigrad.rules.synthetic.base import BlockRule, Parts
from minigrad.rules.synthetic.blocks import split, split_or_whole


class StaleGradients(BlockRule):
    """dW_hat = dW of the last step t with t = 1, 1 + k, 1 + 2k, ..., k = `every`.

    The true gradient of every k-th step is used again until the next. Synthetic gradients
    must be better than this to be of use.
    Cost: a forward pass a step, a backward pass every k-th step.
    Source: the gist "Trains an MNIST classifier using Synthetic Gradients", greydanus 2017.
    Taught in: 09_synthetic_gradients.
    """

    mode = "stale"
    _own_names = ("frozen",)

    def __init__(self, model: Layer, every: int = 10, interfaces: Sequence[int] | None = None):
        """
        model       the network to train; any
        every       k: how many steps use the same gradient
        interfaces  numbers of layers after which blocks are counted apart; None: after each
                    activation, where there is one. The gradient does not depend on it
        """
        super().__init__(model, split_or_whole(model, interfaces))
        self.every = positive_int("every", every)
        self.kept: list[dict[str, Array]] = []  # each layer's last true gradient
        self.cost = 1 + 2 / self.every

    def _estimate(self, loss: Loss, x: Array, target: Array) -> float:
        net = self.decoupled
        value = loss.forward(self.model.forward(x, train=True), target)
        leaves = self._leaves()
        if not self.kept or (net.steps - 1) % self.every == 0:
            self.model.backward_params(loss.backward())
            self.kept = [leaf.grads for leaf in leaves]
            net.last_update = [net.steps] * len(net.blocks)
        for leaf, grads in zip(leaves, self.kept, strict=True):
            leaf.grads = {name: grad.copy() for name, grad in grads.items()}
        net.updates = [n + 1 for n in net.updates]
        return value

    def _leaves(self) -> list[Layer]:
        return [leaf for _, leaf in self.model.leaves()]

    def state_dict(self) -> dict[str, Any]:
        """The counts, and copies of the gradients that are kept."""
        state = super().state_dict()
        for i, grads in enumerate(self.kept):
            state |= {f"kept/{i}/{k}": backend.to_host(v).copy() for k, v in grads.items()}
        pairs = zip(self.kept, self._leaves(), strict=bool(self.kept))
        if frozen := [i for i, (grads, leaf) in enumerate(pairs) if leaf.params and not grads]:
            state["frozen"] = frozen  # layers whose backward leaves no gradient
        return state

    def _more_parts(self) -> dict[str, int]:
        return {"kept": len(self._leaves())}

    def _load_parts(self, parts: Parts, state: Mapping[str, Any], finite: bool) -> None:
        leaves = self._leaves()
        frozen = set(counts("frozen", state["frozen"])) if "frozen" in state else set()
        given = {i for kind, i in parts if kind == "kept"}
        if frozen & given or any(i >= len(leaves) or not leaves[i].params for i in frozen):
            raise ValueError(f"frozen: {sorted(frozen)} are not layers without a kept gradient")
        if not any(counts("last_update", state["last_update"])):  # none was computed so far
            if frozen or given:
                raise KeyError("the state has kept gradients, but no step in which they were made")
            self.kept = []
            return
        self.kept = [
            {} if i in frozen else _kept(parts.get(("kept", i), {}), leaf, finite)
            for i, leaf in enumerate(leaves)
        ]

    def _words(self) -> dict[str, Any]:
        return super()._words() | {"every": self.every}


class TopLayerOnly(BlockRule):
    """dW of the block above the last interface; the layers below stay as they started.

    The top block learns on random features. A rule for the layers below must be better than this.
    Cost: a forward pass, and a backward pass through the top block.
    Source: Jaderberg et al. 2016, "no backprop".  Taught in: 09_synthetic_gradients.
    """

    mode = "no-backprop"

    def __init__(self, model: Layer, interfaces: Sequence[int] | None = None):
        """
        model       the network to train, a Sequential
        interfaces  numbers of the layers after which it is cut. Only the last cut matters.
                    None: after each activation
        """
        super().__init__(model, split(model, interfaces))
        weights = [sum(p.size for p in block.params.values()) for block in self.blocks]
        self.cost = 1 + 2 * weights[-1] / sum(weights)

    def _learning(self) -> Layer:
        return self.blocks[-1]

    def _estimate(self, loss: Loss, x: Array, target: Array) -> float:
        net = self.decoupled
        h = x
        for block in net.blocks[:-1]:
            h = block.forward(h)
            block.drop_grads()
        value = loss.forward(net.blocks[-1].forward(h), target)
        net.blocks[-1].backward_params(loss.backward())
        net.note(net.top)
        return value


def _kept(grads: Mapping[str, Any], leaf: Layer, finite: bool) -> dict[str, Array]:
    """A layer's kept gradients, copied to where its parameters are."""
    if grads.keys() != leaf.params.keys():
        raise KeyError(
            f"{leaf!r} needs kept gradients of {sorted(leaf.params)}, the state has {sorted(grads)}"
        )
    kept = {}
    for name, param in leaf.params.items():
        what = f"kept gradient of {name} of {leaf!r}"
        array = fitting_array(what, grads[name], param.shape, param.dtype)
        if finite:
            check_finite(what, array)
        kept[name] = backend.to_device(array.copy(), param)
    return kept
