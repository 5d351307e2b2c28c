"""Each function here is one way for blocks and modules to learn from one batch.

The equations number the blocks from 1: h_i = f_i(h_{i-1}), i = 1 ... L, with modules M_i at the
L - 1 interfaces between them. The code numbers them from 0: `modules[i]` gets the output of
`blocks[i]`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from minigrad.backend import Array
from minigrad.losses import Loss
from minigrad.rules.reseeding import reseed_parts
from minigrad.rules.synthetic.blocks import Block
from minigrad.rules.synthetic.modules import InputModule, Module


class DecoupledNetwork:
    """A network in blocks, the modules between them, and counts of the blocks' updates.

    probability  of each block to be updated in a step
    mixture      λ of `bp_lambda`
    rng          draws which blocks are updated
    """

    def __init__(self, blocks: list[Block], modules: list[Module], inputs: list[InputModule]):
        self.blocks = blocks
        self.modules = modules
        self.inputs = inputs
        self.top = len(blocks) - 1
        self.probability = 1.0
        self.mixture = 0.5
        self.rng = np.random.default_rng(0)
        self.steps = 0
        self.updates = [0] * len(blocks)  # how often each block was updated
        self.last_update = [0] * len(blocks)  # the step in which its gradient was last computed

    def reseed(self, seed: int) -> None:
        """Restart the random numbers: which blocks are updated, and those of the modules."""
        reseed_parts(self, seed)

    def draw(self) -> list[bool]:
        """Which blocks are updated in this step."""
        return draw(self.rng, self.probability, len(self.blocks))

    def update(self, i: int, dh: Array) -> None:
        """dW_hat of block i from dh or dh_hat at its output. The module below learns J_iᵀ dh."""
        if i == 0:
            self.blocks[0].backward_params(dh)
        else:
            self.modules[i - 1].learn(self.blocks[i].backward(dh))
        self.note(i)

    def note(self, i: int) -> None:
        """Count an update of block i."""
        self.updates[i] += 1
        self.last_update[i] = self.steps

    def update_top(self, loss: Loss, h: Array, target: Array, drawn: bool = True) -> float:
        """The top block uses the loss's own gradient."""
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
        hs: list[Array] = []
        dh_hats: list[Array] = []
        for i, block in enumerate(self.blocks):
            hs.append(block.forward(hs[-1] if hs else x))
            if i < self.top:
                dh_hats.append(self.modules[i].predict(hs[-1], target))
        return loss.forward(hs[-1], target), hs, dh_hats


def draw(rng: np.random.Generator, probability: float, n: int) -> list[bool]:
    """Which of n are updated. With probability 1 nothing is drawn."""
    return (rng.random(n) < probability).tolist() if probability < 1 else [True] * n


def sequential(net: DecoupledNetwork, loss: Loss, x: Array, target: Array) -> float:
    """One sweep upwards: dW_hat_i from dh_hat_i; M_{i-1} learns J_iᵀ dh_hat_i. The standard."""
    h = x
    drawn = net.draw()
    for i, (block, module) in enumerate(zip(net.blocks, net.modules, strict=False)):
        h = block.forward(h)
        if drawn[i] or drawn[i + 1]:  # the block uses the prediction, the block above corrects it
            dh_hat = module.predict(h, target)
        if drawn[i]:
            net.update(i, dh_hat)
        else:
            block.drop_grads()
    return net.update_top(loss, h, target, drawn[net.top])


def unlocked(net: DecoupledNetwork, loss: Loss, x: Array, target: Array) -> float:
    """The input of block i + 1 is h_hat_i = I_i(x), not h_i. I_i learns h_i."""
    h_in = x
    drawn = net.draw()
    for i, (block, module) in enumerate(zip(net.blocks, net.modules, strict=False)):
        h = block.forward(h_in)
        h_in = net.inputs[i].predict(x)
        if drawn[i]:
            net.update(i, module.predict(h, target))
            net.inputs[i].learn(h)
        else:
            block.drop_grads()
        if drawn[i + 1]:  # the module learns the gradient at h_hat_i, so it must predict there
            module.predict(h_in, target)
    return net.update_top(loss, h_in, target, drawn[net.top])


def bp_lambda(net: DecoupledNetwork, loss: Loss, x: Array, target: Array) -> float:
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


def locked(net: DecoupledNetwork, loss: Loss, x: Array, target: Array) -> float:
    """Modules learn the true dh_i from a full backward pass; blocks use dh_hat_i."""
    value, _, dh_hats = net.forward(loss, x, target)
    dh = loss.backward()
    for i in range(net.top, -1, -1):
        below = net.blocks[i].backward(dh) if i else dh  # below block 0 nothing needs it
        if i < net.top:
            net.blocks[i].backward_params(dh_hats[i])  # replaces the true gradients in `grads`
            net.modules[i].learn(dh)
        dh = below
        net.note(i)
    return value


def warm_up(net: DecoupledNetwork, loss: Loss, x: Array, target: Array) -> float:
    """Modules learn the true gradients and inputs of a network whose weights stand still."""
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


SWEEPS: dict[str, Callable[[DecoupledNetwork, Loss, Array, Array], float]] = {
    "sequential": sequential,
    "bp-lambda": bp_lambda,
    "locked": locked,
    "unlocked": unlocked,
}
