"""The networks, each described once: parts with sizes. And the work of a step, in FLOPs.

A part is a tuple: ("linear", in, out), ("linear", in, out, False) without biases,
("norm", features), ("conv", in, out, kernel), ("pool", size), ("flatten",), ("relu",),
("sigmoid",).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from math import prod

RELU, SIGMOID, FLATTEN = ("relu",), ("sigmoid",), ("flatten",)


def _perceptron(*sizes, between=(RELU,), norm=False):
    parts = []
    for i, (a, b) in enumerate(pairwise(sizes)):
        parts.append(("linear", a, b))
        if i < len(sizes) - 2:
            parts += [("norm", b)] if norm else []
            parts += between
    return parts


TOY = [("linear", 3, 2, False), SIGMOID, ("linear", 2, 1, False), SIGMOID]
SMALL = _perceptron(784, 100, 10)
FULL = _perceptron(784, 32, 10, between=(SIGMOID,))
NORMED = _perceptron(784, 256, 256, 256, 10, norm=True)
WIDE = _perceptron(784, 1024, 1024, 10)
LENET = [
    *(("conv", 1, 20, 5), RELU, ("pool", 2)),
    *(("conv", 20, 50, 5), RELU, ("pool", 2)),
    *(FLATTEN, ("linear", 800, 500), RELU, ("linear", 500, 10)),
]
CONVNET = [
    *(("conv", 1, 64, 3), RELU, ("conv", 64, 64, 3), RELU, ("pool", 2)),
    *(("conv", 64, 64, 3), RELU, ("conv", 64, 64, 3), RELU, ("pool", 2)),
    *(FLATTEN, ("linear", 1024, 1024), RELU, ("linear", 1024, 10)),
]


def shapes(net, shape) -> Iterator[tuple[tuple, tuple]]:
    """(part, shape of one example after it), part by part."""
    for part in net:
        kind = part[0]
        if kind == "linear":
            shape = (part[2],)
        elif kind == "conv":
            shape = (part[2], shape[1] - part[3] + 1, shape[2] - part[3] + 1)
        elif kind == "pool":
            shape = (shape[0], shape[1] // part[1], shape[2] // part[1])
        elif kind == "flatten":
            shape = (prod(shape),)
        yield part, shape


def products(net, shape) -> list[int]:
    """FLOPs of each layer's product in a forward pass of one example: 2 for each multiply-add."""
    found = []
    for part, after in shapes(net, shape):
        if part[0] == "linear":
            found.append(2 * part[1] * part[2])
        elif part[0] == "conv":
            found.append(2 * part[1] * part[3] ** 2 * prod(after))
    return found


def flops(net, shape, batch: int, rule: str, directions: int = 1) -> int:
    """FLOPs of the products of one step. Element-wise work is left out.

    backprop  y = x W, dW = xᵀ dy, dx = dy Wᵀ: 3 products a layer, 2 in the first (it needs no dx)
    forward   y = x W, and x W_dot + x_dot W for each direction: 1 + 2K, in the first 1 + K
    cdni      backprop's, where no block but a first layer lacks dx; and for each module, (h, label)
              to h: its product, and its dW
    """
    each = products(net, shape)
    first, total = each[0], sum(each)
    if rule == "forward":
        return batch * (total * (1 + 2 * directions) - first * directions)
    if rule == "cdni":
        hidden = [part[2] for part in net if part[0] == "linear"][:-1]
        classes = net[-1][2]
        modules = sum(2 * (width + classes) * width for width in hidden)
        return batch * (3 * total - first + 2 * modules)
    return batch * (3 * total - first)
