"""A step of label-conditioned synthetic gradients in PyTorch, to compare numbers and times with.

784-256-256-256-10 with batch norm and ReLU, linear modules that start at zero and predict N times
the gradient. Two ways to the same numbers: block by block, as the sweep is written in the paper;
and `together`, with as few calls as autograd allows, one optimiser for all.
"""

from itertools import pairwise

import torch
from torch import nn


class TorchSweep:
    def __init__(self, sizes=(784, 256, 256, 256, 10), lr=1e-3, *, fused=False, together=False):
        hidden = list(pairwise(sizes[:-1]))
        self.blocks = [
            nn.Sequential(nn.Linear(a, b), nn.BatchNorm1d(b), nn.ReLU()) for a, b in hidden
        ]
        self.blocks.append(nn.Linear(sizes[-2], sizes[-1]))
        self.modules = [nn.Linear(b + sizes[-1], b) for _, b in hidden]
        for module in self.modules:
            nn.init.zeros_(module.weight)
            nn.init.zeros_(module.bias)
        self.loss, self.classes, self.together = nn.CrossEntropyLoss(), sizes[-1], together

        def adam(*parts):
            params = [p for part in parts for p in part.parameters()]
            return torch.optim.Adam(params, lr=lr, fused=fused)

        if together:
            self.all = adam(*self.blocks, *self.modules)
        else:
            self.block_steps = [adam(block) for block in self.blocks]
            self.module_steps = [adam(module) for module in self.modules]

    def double(self):
        for part in (*self.blocks, *self.modules):
            part.double()
        return self

    def step(self, x, y):
        return self._together(x, y) if self.together else self._one_by_one(x, y)

    def _told(self, h, y):
        return torch.cat([h.detach(), nn.functional.one_hot(y, self.classes).to(h.dtype)], 1)

    def _one_by_one(self, x, y):
        h, N, below = x, len(x), None
        for i, block in enumerate(self.blocks):
            h_in = h.detach().requires_grad_(i > 0)
            h = block(h_in)
            self.block_steps[i].zero_grad(set_to_none=True)
            if i < len(self.modules):
                predicted = self.modules[i](self._told(h, y))
                h.backward(predicted.detach() / N)
            else:
                loss = self.loss(h, y)
                loss.backward()
            self.block_steps[i].step()
            if below is not None:
                step = self.module_steps[i - 1]
                step.zero_grad(set_to_none=True)
                below.backward(below.detach() / N - h_in.grad)
                step.step()
            below = predicted
        return loss.detach()

    def _together(self, x, y):
        self.all.zero_grad(set_to_none=True)
        h, N, inputs, outputs, predictions = x, len(x), [], [], []
        for i, block in enumerate(self.blocks):
            inputs.append(h.detach().requires_grad_(i > 0))
            h = block(inputs[-1])
            outputs.append(h)
            if i < len(self.modules):
                predictions.append(self.modules[i](self._told(h, y)))
        loss = self.loss(h, y)
        dh_hats = [p.detach() / N for p in predictions]
        torch.autograd.backward([*outputs[:-1], loss], [*dh_hats, None])
        errors = [dh - h_in.grad for dh, h_in in zip(dh_hats, inputs[1:], strict=True)]
        torch.autograd.backward(predictions, errors)
        self.all.step()
        return loss.detach()
