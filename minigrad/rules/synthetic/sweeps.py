"""The ways in which blocks and modules can learn from one batch: a function a way.

Blocks h_i = f_i(h_{i-1}), i = 1 ... L, and modules M_i at the L - 1 interfaces between them. In the
code, as lists have it, block i is `blocks[i]`, from 0, and `modules[i]` sits on its output.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from minigrad.backend import Array
from minigrad.losses import Loss
from minigrad.rules.synthetic.blocks import Block
from minigrad.rules.synthetic.modules import InputModule, Module


class Decoupled:
    """A network in blocks, the modules between them, and who was updated when."""

    def __init__(self, blocks: list[Block], modules: list[Module], inputs: list[InputModule]):
        self.blocks, self.modules, self.inputs = blocks, modules, inputs
        self.top = len(blocks) - 1
        self.probability, self.mixture, self.every = 1.0, 0.5, 1
        self.rng = np.random.default_rng(0)
        self.steps = 0
        self.updates = [0] * len(blocks)  # how often each block was updated
        self.last_update = [0] * len(blocks)  # in which step its gradient was last made anew
        self.kept: list[dict[str, Array]] = []  # what "stale" uses again

    def draw(self) -> list[bool]:
        """Which blocks are updated in this step."""
        return draw(self.rng, self.probability, len(self.blocks))

    def update(self, i: int, dh: Array) -> None:
        """dW_hat of block i from dh or dh_hat at its output; J_iᵀ dh teaches the module below."""
        if i == 0:
            self.blocks[0].backward_params(dh)
        else:
            self.modules[i - 1].learn(self.blocks[i].backward(dh))
        self.note(i)

    def note(self, i: int) -> None:
        self.updates[i] += 1
        self.last_update[i] = self.steps

    def update_top(self, loss: Loss, h: Array, target: Array, drawn: bool = True) -> float:
        """The top block sees the loss, and uses its gradient."""
        value = loss.forward(self.blocks[-1].forward(h), target)
        if drawn:
            self.update(self.top, loss.backward())
        else:
            self.blocks[-1].drop_grads()
        return value

    def forward(
        self, loss: Loss, x: Array, target: Array
    ) -> tuple[float, list[Array], list[Array]]:
        """The loss, each block's h, and each module's dh_hat."""
        hs, dh_hats = [], []
        for i, block in enumerate(self.blocks):
            hs.append(block.forward(hs[-1] if hs else x))
            if i < self.top:
                dh_hats.append(self.modules[i].predict(hs[-1], target))
        return loss.forward(hs[-1], target), hs, dh_hats


def draw(rng: np.random.Generator, probability: float, n: int) -> list[bool]:
    """Which of n are updated; nothing is drawn where all are."""
    return (rng.random(n) < probability).tolist() if probability < 1 else [True] * n


def sequential(net: Decoupled, loss: Loss, x: Array, target: Array) -> float:
    """One sweep upwards: dW_hat_i from dh_hat_i; M_{i-1} learns J_iᵀ dh_hat_i. The standard."""
    h, drawn = x, net.draw()
    for i, (block, module) in enumerate(zip(net.blocks, net.modules, strict=False)):
        h = block.forward(h)
        if drawn[i] or drawn[i + 1]:  # else nobody uses the prediction, or corrects it
            dh_hat = module.predict(h, target)
        if drawn[i]:
            net.update(i, dh_hat)
        else:
            block.drop_grads()
    return net.update_top(loss, h, target, drawn[net.top])


def unlocked(net: Decoupled, loss: Loss, x: Array, target: Array) -> float:
    """Block i + 1 works on h_hat_i = I_i(x) and never sees h_i; I_i learns h_i."""
    h_in, drawn = x, net.draw()
    for i, (block, module) in enumerate(zip(net.blocks, net.modules, strict=False)):
        h = block.forward(h_in)
        h_in = net.inputs[i].predict(x)
        if drawn[i]:
            net.update(i, module.predict(h, target))
            net.inputs[i].learn(h)
        else:
            block.drop_grads()
        if drawn[i + 1]:  # the gradient that the block above finds is the one at h_hat_i
            module.predict(h_in, target)
    return net.update_top(loss, h_in, target, drawn[net.top])


def bp_lambda(net: Decoupled, loss: Loss, x: Array, target: Array) -> float:
    """g_L = ∂L/∂h_L;  g_{i-1} = λ J_iᵀ g_i + (1 - λ) dh_hat_{i-1};  M_{i-1} learns J_iᵀ g_i."""
    value, _, dh_hats = net.forward(loss, x, target)
    g = loss.backward()
    for i in range(net.top, 0, -1):
        back = net.blocks[i].backward(g)
        net.modules[i - 1].learn(back)
        net.note(i)
        g = net.mixture * back + (1 - net.mixture) * dh_hats[i - 1]
    net.update(0, g)
    return value


def locked(net: Decoupled, loss: Loss, x: Array, target: Array) -> float:
    """Modules learn the true dh_i from a full backward pass; blocks use dh_hat_i."""
    value, _, dh_hats = net.forward(loss, x, target)
    dh = loss.backward()
    for i in range(net.top, -1, -1):
        below = net.blocks[i].backward(dh) if i else None
        if i < net.top:
            net.blocks[i].backward_params(dh_hats[i])  # in the place of the true gradients
            net.modules[i].learn(dh)
        dh = below
        net.note(i)
    return value


def stale(net: Decoupled, loss: Loss, x: Array, target: Array) -> float:
    """The true gradient of every `every`-th step, used again until the next: honest baseline."""
    h = x
    for block in net.blocks:
        h = block.forward(h)
    value = loss.forward(h, target)
    leaves = [layer for block in net.blocks for _, layer in block.leaves()]
    if not net.kept or (net.steps - 1) % net.every == 0:
        dh = loss.backward()
        for block in reversed(net.blocks[1:]):
            dh = block.backward(dh)
        net.blocks[0].backward_params(dh)
        net.kept = [layer.grads for layer in leaves]
        net.last_update = [net.steps] * len(net.blocks)
    for layer, grads in zip(leaves, net.kept, strict=True):
        layer.grads = dict(grads)
    net.updates = [n + 1 for n in net.updates]
    return value


def no_backprop(net: Decoupled, loss: Loss, x: Array, target: Array) -> float:
    """The top block alone learns; those below stay as they started."""
    h = x
    for block in net.blocks[:-1]:
        h = block.forward(h)
        block.drop_grads()
    value = loss.forward(net.blocks[-1].forward(h), target)
    net.blocks[-1].backward_params(loss.backward())
    net.note(net.top)
    return value


def warm_up(net: Decoupled, loss: Loss, x: Array, target: Array) -> float:
    """Modules learn the true gradients, and inputs, of a network that stands still."""
    value, hs, _ = net.forward(loss, x, target)
    dh = loss.backward()
    for block, module in zip(net.blocks[:0:-1], net.modules[::-1], strict=True):
        dh = block.backward(dh)
        module.learn(dh)
    for module, h in zip(net.inputs, hs, strict=False):
        module.predict(x)
        module.learn(h)
    for block in net.blocks:
        block.drop_grads()
    return value


SWEEPS: dict[str, Callable[[Decoupled, Loss, Array, Array], float]] = {
    "sequential": sequential,
    "bp-lambda": bp_lambda,
    "locked": locked,
    "unlocked": unlocked,
    "stale": stale,
    "no-backprop": no_backprop,
}
