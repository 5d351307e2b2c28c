"""Networks by name. Each function returns a new Sequential.

The output is logits unless the docstring says otherwise. All functions take `dtype`, and `rng` or
`seed`. All layers draw their initial weights from one generator. One seed thus fixes all weights.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad import layers
from minigrad.backend import host_generator, to_device
from minigrad.checks import positive_int
from minigrad.layers import (
    AvgPool2d,
    BatchNorm1d,
    BatchNorm2d,
    Conv2d,
    Dropout,
    Flatten,
    Layer,
    Linear,
    MaxPool2d,
    ReLU,
    Residual,
    Sequential,
    Sigmoid,
    Softmax,
    Subsample,
)

# {"relu": ReLU, "tanh": Tanh, ...}: the layers with is_activation = True
ACTIVATIONS: dict[str, type[Layer]] = {
    name.lower(): item
    for name, item in vars(layers).items()
    if getattr(item, "is_activation", False)
}


def mlp(
    sizes: Sequence[int],
    activation: str = "relu",
    *,
    batch_norm: bool = False,
    bias: bool = True,
    dtype: Any = "float32",
    rng: np.random.Generator | None = None,
    seed: int | None = None,
) -> Sequential:
    """Flatten, then Linear layers sizes[0]-sizes[1]-..., with an activation between them.

    activation  "relu", "sigmoid", "tanh", "leakyrelu", "gelu", "silu" or "softplus"
    batch_norm  whether there is a BatchNorm1d before each activation
    bias        whether the Linear layers have a bias
    """
    if activation not in ACTIVATIONS:
        raise ValueError(f"activation must be one of {sorted(ACTIVATIONS)}, got {activation!r}")
    if len(sizes) < 2:
        raise ValueError(f"sizes needs an input and an output size, got {list(sizes)}")
    rng = host_generator(rng, seed)
    stack: list[Layer] = [Flatten()]
    for n_in, n_out in itertools.pairwise(sizes):
        if len(stack) > 1:
            if batch_norm:
                stack.append(BatchNorm1d(n_in, dtype=dtype))
            stack.append(ACTIVATIONS[activation]())
        stack.append(Linear(n_in, n_out, bias, dtype=dtype, rng=rng))
    return Sequential(*stack)


def ds4420_toy(*, dtype: Any = "float32", **start: Any) -> Sequential:
    """DS 4420's worked example: 3-2-1, sigmoids, no biases. Its output is a probability."""
    rng = host_generator(**start)
    return Sequential(
        Linear(3, 2, bias=False, dtype=dtype, rng=rng),
        Sigmoid(),
        Linear(2, 1, bias=False, dtype=dtype, rng=rng),
        Sigmoid(),
    )


def ds4420_mlp(double_softmax: bool = False, *, dtype: Any = "float32", **start: Any) -> Sequential:
    """DS 4420's network for digits: 784-32-10, sigmoids.

    double_softmax: whether it ends in a Softmax, as in the seed. CrossEntropyLoss has another one.
    """
    net = mlp((784, 32, 10), "sigmoid", dtype=dtype, **start)
    return Sequential(*net.layers, Softmax()) if double_softmax else net


def lenet(p1: float = 0.0, p2: float = 0.0, *, dtype: Any = "float32", **start: Any) -> Sequential:
    """The well-tempered seed's LeNet for 28x28 images, 431,080 parameters.

    p1, p2: p of the two Dropout layers. The seed ends in log-softmax and uses NLLLoss. Here the
    output is logits. With CrossEntropyLoss the loss is the same.
    """
    rng = host_generator(**start)
    return Sequential(
        Conv2d(1, 20, 5, dtype=dtype, rng=rng),
        ReLU(),
        MaxPool2d(2),
        Conv2d(20, 50, 5, dtype=dtype, rng=rng),
        ReLU(),
        MaxPool2d(2),
        Flatten(),
        Dropout(p1, rng=rng),
        Linear(800, 500, dtype=dtype, rng=rng),
        ReLU(),
        Dropout(p2, rng=rng),
        Linear(500, 10, dtype=dtype, rng=rng),
    )


def wtb_mlp(**options: Any) -> Sequential:
    """The well-tempered authors' MLP of 2018: 784-100-100-10, tanh (89,610 parameters)."""
    return mlp((784, 100, 100, 10), "tanh", **options)


def gist_mlp(**options: Any) -> Sequential:
    """The synthetic-gradients gist's network: 784-100-10, ReLU (here with no ReLU at the end)."""
    return mlp((784, 100, 10), **options)


def dni_mlp(hidden: int = 3, **options: Any) -> Sequential:
    """The decoupled-interfaces notebook's network: `hidden` x [256, batch norm, ReLU], then 10."""
    return mlp((784, *[256] * hidden, 10), batch_norm=True, **options)


def forward_mlp(**options: Any) -> Sequential:
    """The forward-gradient seed's network: 784-1024-1024-10, ReLU (1,863,690 parameters)."""
    return mlp((784, 1024, 1024, 10), **options)


def forward_convnet(*, dtype: Any = "float32", **start: Any) -> Sequential:
    """The forward-gradient seed's ConvNet: four 3x3 convolutions of 64, two poolings, 1024-10."""
    rng = host_generator(**start)
    stack: list[Layer] = []
    for channels in (1, 64):
        stack += [
            Conv2d(channels, 64, 3, dtype=dtype, rng=rng),
            ReLU(),
            Conv2d(64, 64, 3, dtype=dtype, rng=rng),
            ReLU(),
            MaxPool2d(2),
        ]
    return Sequential(
        *stack,
        Flatten(),
        Linear(1024, 1024, dtype=dtype, rng=rng),
        ReLU(),
        Linear(1024, 10, dtype=dtype, rng=rng),
    )


def logistic(**options: Any) -> Sequential:
    """Softmax regression: 784-10 (7,850 parameters)."""
    return mlp((784, 10), **options)


def resnet(
    n: int = 3,
    channels: Sequence[int] = (16, 32, 64),
    *,
    in_channels: int = 3,
    classes: int = 10,
    size: int = 32,
    shortcut: str = "identity",
    dtype: Any = "float32",
    rng: np.random.Generator | None = None,
    seed: int | None = None,
) -> Sequential:
    """A residual network for small images: 6n + 2 layers with weights, as for CIFAR-10.

    A 3x3 convolution, then n blocks for each number of channels, then the mean over all pixels and
    a Linear layer. A block is y = ReLU(s(x) + f(x)), f = 3x3 convolution, batch norm, ReLU, 3x3
    convolution, batch norm. The first block of each further number of channels has stride 2.

    n            blocks for each number of channels, an integer >= 1
    channels     of the stages, each at least as many as of the one before
    in_channels  of the images
    classes      the number of logits
    size         the side of the images, which are square
    shortcut     s where the shape changes: "identity", Subsample, without parameters (the paper's
                 option A, which it takes for CIFAR), or "convolution", 1x1 with batch norm (B)
    Start: convolutions have W ~ N(0, 2/fan_in), as in He et al. 2015, "Delving deep into
    rectifiers", §2.2, which the paper takes. The Linear layer starts as all others here.
    Source: He, Zhang, Ren, Sun 2015, "Deep residual learning", §4.2.
    """
    positive_int("n", n)
    positive_int("size", size)
    if not channels:
        raise ValueError("channels needs at least one number, such as (16, 32, 64)")
    if shortcut not in ("identity", "convolution"):
        raise ValueError(f'shortcut must be "identity" or "convolution", got {shortcut!r}')
    rng = host_generator(rng, seed)

    def convolution(C: int, O: int, kernel_size: int = 3, stride: int = 1) -> list[Layer]:
        """A convolution that keeps the size (with stride 2: halves it), and batch norm."""
        padding = kernel_size // 2
        layer = Conv2d(C, O, kernel_size, stride, padding, bias=False, dtype=dtype, rng=rng)
        W = layer.params["W"]
        start = rng.standard_normal(W.shape) * np.sqrt(2 / (C * kernel_size**2))
        W[...] = to_device(start.astype(W.dtype), like=W)
        return [layer, BatchNorm2d(O, dtype=dtype)]

    stack: list[Layer] = [*convolution(in_channels, channels[0]), ReLU()]
    C = channels[0]
    for stage, O in enumerate(channels):
        for block in range(n):
            stride = 2 if stage and not block else 1
            f = [*convolution(C, O, 3, stride), ReLU(), *convolution(O, O)]
            s: Layer | None = None
            if shortcut == "convolution" and stride == 2:
                s = Sequential(*convolution(C, O, 1, stride))
            elif stride == 2:
                s = Subsample(C, O, stride)
            stack += [Residual(*f, shortcut=s), ReLU()]
            C = O
            size = -(-size // stride)
    linear = Linear(C, classes, dtype=dtype, rng=rng)
    return Sequential(*stack, AvgPool2d(size), Flatten(), linear)


def resnet20(**options: Any) -> Sequential:
    """ResNet-20 for CIFAR-10: 3x32x32 images, 269,722 parameters (with option B 272,474)."""
    return resnet(3, **options)
