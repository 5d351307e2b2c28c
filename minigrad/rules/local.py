"""Local losses: each block learns by a loss of its own, at its output."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from minigrad.backend import Array, array_module
from minigrad.checks import finite, positive_int
from minigrad.kernels.products import matmul
from minigrad.layers import Conv2d, Flatten, Layer, Linear, Sequential
from minigrad.losses import CrossEntropyLoss, ElementLoss, Loss
from minigrad.optim import Adam
from minigrad.rules.needs import no_backward_of_blocks
from minigrad.rules.synthetic.base import BlockRule
from minigrad.rules.synthetic.blocks import input_shape_of, shapes, split
from minigrad.rules.synthetic.modules import Make, Trained

KINDS = ("pred", "sim", "predsim")
SMALLEST = 1e-8  # a row of numbers that is shorter has no direction
LABELS = "LocalLosses needs integer labels (N,)"
UNUSED = ("weight", "ignore_index")  # arguments of a loss that the heads do not have


class LocalLosses(BlockRule):
    r"""dW_hat of block i = ∂L_i/∂W_i, L_i a loss of h_i by a small head of its own.

    pred     L_i = cross-entropy of A_i h_i, a linear layer
    sim      L_i = mean (S(R_i h_i) - S(onehot))², S the cosines between all examples of the batch
    predsim  (1 - β) pred + β sim
    Nothing goes from block to block but h_i. So this is the baseline for rules that cut a network
    into blocks. The top block has the network's own loss, and `estimate` returns that. The heads
    learn inside, by their own optimiser, from the same L_i. A_i starts at zero.
    R_i is linear, without a bias; for images a 3x3 convolution, then each channel's standard
    deviation over the pixels. (The authors pool images before A_i; here A_i sees them whole.)
    `report` compares the local gradients with the true ones. Its column "R² taught" means nothing
    here.
    Cost: two forward passes, and three times the heads', counted by their weights.
    Source: Nøkland, Eidnes 2019, §2 (predsim, β = 0.99).  Taught in: 14_side_by_side.
    """

    mode = "local"

    def __init__(
        self,
        model: Layer,
        loss: str = "predsim",
        beta: float = 0.99,
        interfaces: Sequence[int] | None = None,
        *,
        lr: float = 5e-4,
        optimizer: Make | None = None,
        input_shape: tuple[int, ...] | None = None,
        seed: int = 0,
    ):
        """
        model          the network to train, a Sequential
        loss           "pred", "sim" or "predsim"
        beta           β, from 0 to 1: how much sim counts in predsim
        interfaces     numbers of the layers after which the model is cut; None: after each
                       activation
        lr, optimizer  of the heads: Adam with this lr, or what `optimizer(net)` makes. `fit`
                       changes their lr with its schedule
        input_shape    of one example; needed where the first parameters are a convolution's
        seed           of the heads' start
        """
        if loss not in KINDS:
            raise ValueError(f"loss must be one of {', '.join(KINDS)}, got {loss!r}")
        self.beta = finite("beta", beta)
        if not 0 <= self.beta <= 1:
            raise ValueError(f"beta must be from 0 to 1, got {beta!r}")
        self.loss = loss
        self.lr = lr
        self.seed = positive_int("seed", seed, least=0)
        if optimizer is not None and not callable(optimizer):
            raise TypeError(
                "optimizer must be a function that makes one, as lambda net: SGD(net, lr=0.1), got "
                f"{optimizer!r}"
            )
        blocks = split(model, interfaces)
        self.input_shape = input_shape_of(blocks, input_shape)
        *found, out = shapes(blocks, self.input_shape)
        if len(out) != 1:
            raise ValueError(
                "LocalLosses takes the number of labels from the model's output (N, C), this one "
                f"puts out (N, {', '.join(map(str, out))})"
            )
        part = {"pred": (1.0, 0.0), "sim": (0.0, 1.0)}.get(loss, (1 - self.beta, self.beta))
        rng = np.random.default_rng(np.random.SeedSequence(seed).spawn(2)[0])
        make = optimizer or (lambda net: Adam(net, lr))
        heads = [LocalHead(h, out[0], part, make, model.dtype, rng) for h in found]
        super().__init__(model, blocks, list(heads), seed=seed)
        own, of_heads = (
            sum(p.size for p in of.params.values())
            for of in (model, Sequential(*[head.net for head in heads]))
        )
        self.cost = 2.0 + 3.0 * of_heads / own

    def _estimate(self, loss: Loss, x: Array, target: Array) -> float:
        net = self.decoupled
        h = x
        for i, (block, head) in enumerate(zip(net.blocks, net.modules, strict=False)):
            h = block.forward(h)
            dh = head.predict(h, target)
            block.backward_params(dh)
            head.learn(dh)
            net.note(i)
        value = loss.forward(net.blocks[-1].forward(h), target)
        net.blocks[-1].backward_params(loss.backward())
        net.note(net.top)
        return value

    def why_not(self, model: Layer, loss: Loss | None = None) -> str | None:
        if isinstance(loss, ElementLoss):
            return f"{LABELS}, and {type(loss).__name__} has targets like its output"
        options = [name for name in UNUSED if getattr(loss, name, None) is not None]
        if getattr(loss, "reduction", "mean") == "sum":
            options.append("reduction")
        if options:
            return (
                "LocalLosses counts every label the same, and its losses are means: leave "
                f"{' and '.join(options)} out of the network's loss, or take another rule"
            )
        return self._not_mine(model) or no_backward_of_blocks(self, self.blocks, loss)

    @property
    def optimizer(self) -> Any:
        """The first head's optimiser."""
        return self.decoupled.modules[0].optimizer  # type: ignore[attr-defined]

    def rescale(self, factor: float) -> None:
        for head in self.modules:
            head.rescale(factor)

    def _words(self) -> dict[str, Any]:
        return super()._words() | {"loss": self.loss, "beta": self.beta}


class LocalHead(Trained):
    """L_i = a · (cross-entropy of A h) + b · mean (S(R h) - S(onehot))², and its gradient dh."""

    def __init__(
        self,
        shape: tuple[int, ...],
        classes: int,
        part: tuple[float, float],
        optimizer: Make,
        dtype: Any,
        rng: np.random.Generator,
    ):
        """
        shape    of h for one example
        classes  C
        part     (a, b)
        """
        self.classes = classes
        self.parts: list[tuple[float, Layer, Loss]] = []
        a, b = part
        if a > 0:
            A = Linear(prod(shape), classes, dtype=dtype, rng=rng)
            for param in A.params.values():
                param[...] = 0
            self.parts.append((a, Sequential(Flatten(), A), CrossEntropyLoss()))
        if b > 0:
            make = {"bias": False, "dtype": dtype, "rng": rng}
            if len(shape) == 3:
                R: Layer = Conv2d(shape[0], shape[0], 3, padding=1, **make)
            else:
                R = Sequential(Flatten(), Linear(prod(shape), prod(shape), **make))
            self.parts.append((b, R, SimilarityLoss()))
        super().__init__(Sequential(*[layer for _, layer, _ in self.parts]), optimizer)

    def predict(self, h: Array, target: Array) -> Array:
        """dh = ∂L_i/∂h, and the gradients of A and R."""
        if target.ndim != 1 or target.dtype.kind not in "iu":
            raise TypeError(f"{LABELS}, got {target.dtype} of shape {tuple(target.shape)}")
        onehot = target[:, None] == array_module(h, target).arange(self.classes)
        dh: Any = 0
        for weight, layer, loss in self.parts:
            similar = isinstance(loss, SimilarityLoss)
            loss.forward(layer.forward(h), onehot.astype(h.dtype) if similar else target)
            dh = dh + layer.backward(weight * loss.backward())
        return dh

    def learn(self, dh: Array) -> None:
        """One step of A and R down the L_i of the last `predict`. dh is not used."""
        self.optimizer.step()


class SimilarityLoss(Loss):
    r"""L = 1/N² Σ_mn (S(z)_mn - S(t)_mn)², S the cosines between the examples: S = X Xᵀ.

    Shapes: z (N, D) or images (N, C, H, W), t (N, M) one-hot labels.
    X_n = c_n/|c_n|, c_n = z_n - mean of z_n; 0 for a row of equal numbers. Images with more than 3
    channels: z_n is the standard deviation of each channel over its pixels.
    Backward:  dX = 4/N² (S(z) - S(t)) X,  dc_n = (dX_n - <dX_n, X_n> X_n)/|c_n|,
               dz_n = dc_n - mean of dc_n
    Source: Nøkland, Eidnes 2019, §2.2.
    """

    def forward(self, z: Array, t: Array) -> float:
        rows, spread = _features(z)
        X, per_length = _directions(rows)
        T = _directions(t)[0]
        error = matmul(X, X.T) - matmul(T, T.T)
        self.cache = z.shape, X, per_length, error, spread
        # L = 1/N² Σ (S(z) - S(t))²
        return float((error**2).sum()) / len(z) ** 2

    def backward(self) -> Array:
        shape, X, per_length, error, spread = self.recall()
        # dX = 4/N² (S(z) - S(t)) X
        dX = (4 / len(X) ** 2) * matmul(error, X)
        # dc = (dX - <dX, X> X)/|c|
        dc = (dX - (dX * X).sum(axis=1, keepdims=True) * X) * per_length
        # dz = dc - mean dc
        dz = dc - dc.mean(axis=1, keepdims=True)
        if spread is None:
            return dz.reshape(shape)
        # of a channel: s = √(Σ_p (z_p - mean z)²/(P - 1)),  dz_p = ds (z_p - mean z)/((P - 1) s)
        return (dz[:, :, None] * spread).reshape(shape)


def _features(z: Array) -> tuple[Array, Array | None]:
    """(rows (N, D), ∂row/∂pixel (N, C, P)); None in place of the second where rows are z itself."""
    if z.ndim != 4 or z.shape[1] <= 3 or z.shape[2] * z.shape[3] == 1:
        return z.reshape(len(z), -1), None
    pixels = z.reshape(*z.shape[:2], -1)
    away = pixels - pixels.mean(axis=2, keepdims=True)
    last = away.shape[2] - 1
    s = array_module(z).sqrt((away**2).sum(axis=2) / last)
    return s, away * (_inverse(s) / last)[:, :, None]


def _directions(z: Array) -> tuple[Array, Array]:
    """(X, 1/|c| (N, 1)): each row without its mean, and in length 1."""
    c = z - z.mean(axis=1, keepdims=True)
    per_length = _inverse(array_module(z).sqrt((c**2).sum(axis=1, keepdims=True)))
    return c * per_length, per_length


def _inverse(lengths: Array) -> Array:
    """1/length; 0 where there is none, so that such a row has the gradient 0."""
    xp = array_module(lengths)
    return xp.where(lengths > SMALLEST, 1 / xp.maximum(lengths, SMALLEST), 0).astype(lengths.dtype)
