"""Modules that predict: the gradient at an interface, or the activation there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from math import prod
from typing import Any

import numpy as np

from minigrad.backend import Array, array_module
from minigrad.checks import not_negative, positive_int
from minigrad.kernels.device.labels import with_label
from minigrad.layers import (
    BatchNorm1d,
    BatchNorm2d,
    Conv2d,
    Flatten,
    Layer,
    Linear,
    ReLU,
    Sequential,
)
from minigrad.losses import ElementLoss, Loss
from minigrad.optim import Adam, Optimizer
from minigrad.streams import StreamsOfParts

NEEDS_LABELS = "a module that gets the label needs integer labels (N,)"
ADVICE = "use conditioned=False"
Make = Callable[[Layer], Optimizer]


class Module(StreamsOfParts):
    """Predicts the gradient at an interface. To make one of your own, write `predict` and `learn`.

    Also write `state_dict` and `load_state_dict`. Then what the module has learned can be
    saved, and sent to another process.
    """

    _holds_layers = True

    def predict(self, h: Array, target: Array) -> Array:
        """dh_hat for activations h and labels."""
        raise NotImplementedError(f"{type(self).__name__} has no predict(h, target) yet")

    def learn(self, dh: Array) -> None:
        """One optimiser step towards dh, for the h of the last `predict`."""
        raise NotImplementedError(f"{type(self).__name__} has no learn(dh) yet")

    def why_not(self, loss: Loss | None) -> str | None:
        """Why the module cannot learn with this loss: one sentence. None: it can."""
        return None

    def rescale(self, factor: float) -> None:
        """Set the learning rate to `factor` times its first value: a schedule has changed it."""

    def state_dict(self) -> dict[str, Any]:
        """What the module has learned: a flat dict, on the host."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave. After an error the module must be as it was."""
        if state:
            raise KeyError(
                f"{type(self).__name__} has no load_state_dict(state) of its own, and keeps "
                f"nothing; this state has {sorted(map(str, state))[:5]}"
            )


class Trained(Module):
    """A module made of the library's layers, with an optimiser of its own."""

    def __init__(self, net: Sequential, optimizer: Make):
        self.net = net
        self.optimizer = optimizer(net)
        self.lr = self.optimizer.lr

    def rescale(self, factor: float) -> None:
        self.optimizer.lr = factor * self.lr

    def state_dict(self) -> dict[str, Any]:
        state = _prefixed("net/", self.net.state_dict())
        return state | _prefixed("optimizer/", self.optimizer.state_dict()) | {"lr": self.lr}

    def load_state_dict(self, state: Mapping[str, Any], *, finite: bool = False) -> None:
        """Take over what `state_dict` gave. After an error the module is as it was.

        finite=True: refuse numbers that are NaN or infinite.
        """
        known = ("net/", "optimizer/")
        unknown = [name for name in state if name != "lr" and not str(name).startswith(known)]
        if unknown or "lr" not in state:
            what = f"no {unknown[:5]}" if unknown else "an lr, which is missing"
            raise KeyError(f"this is no state of a {type(self).__name__}: it has {what}")
        lr = not_negative("lr", state["lr"])
        before = self.net.state_dict()
        self.net.load_state_dict(_below("net/", state), finite=finite)
        options = {} if finite else {"finite": False}  # a class of one's own may not know it
        try:
            self.optimizer.load_state_dict(_below("optimizer/", state), **options)
        except BaseException:
            self.net.load_state_dict(before)
            raise
        self.lr = lr


class GradientModule(Trained):
    r"""dh_hat = M(h, label)/N: a prediction of dh, the gradient of the loss at a block's output h.

    Shapes: h (N, D) or (N, C, H, W), target (N,) labels, dh_hat like h.
    M:      features: h [and the label, one-hot] → [Linear, BatchNorm1d, ReLU] of each size in
            `hidden` → Linear, which starts at zero: the first predictions are 0
            images: h [and a plane Linear(label) as one more channel] → [Conv2d 5x5, BatchNorm2d,
            ReLU] → Conv2d 5x5, which starts at zero
    Learns: L = 1/(2N) Σ_n ‖M_n - N dh_n‖², with dh from the block above (a constant), so that
            ∂L/∂M = dh_hat - dh
    Scale:  the loss is a mean, so dh is 1/N times a small number. M predicts N dh, whose size does
            not depend on N. `scaled=False` predicts dh itself: L = mean (dh_hat - dh)². Then SGD
            hardly moves, and Adam overshoots. L sums over features and pixels, so SGD needs a
            smaller lr for large images.
    With `hidden`, batch norm needs batches of two or more.
    Source: Jaderberg et al. 2016, §2.1, appendix A; scale: measured in cases/decoupled_notebook.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        classes: int | None,
        hidden: Sequence[int] = (),
        *,
        optimizer: Make = lambda net: Adam(net, 1e-3),
        scaled: bool = True,
        kernel_size: int = 5,
        dtype: Any = "float32",
        rng: np.random.Generator | None = None,
    ):
        """
        shape        of h for one example
        classes      the number of labels; None for a module that does not get the label
        hidden       sizes of the hidden layers
        optimizer    makes the module's optimiser
        scaled       predict N dh; False: dh
        kernel_size  of the convolutions, for images
        """
        self.shape = shape
        self.classes = classes
        self.scaled = scaled
        hidden = sizes_of("hidden", hidden)
        make = {"dtype": dtype, "rng": rng}
        self.plane: Linear | None = None
        if len(shape) == 1:
            sizes = [shape[0] + (classes or 0), *hidden, shape[0]]
            layers = _stack(sizes, lambda n_in, n_out: Linear(n_in, n_out, **make), BatchNorm1d)
        elif len(shape) == 3:
            if kernel_size % 2 == 0:
                raise ValueError(f"kernel_size must be odd, to keep the size, got {kernel_size}")
            sizes = [shape[0] + (classes is not None), *hidden, shape[0]]
            pad = kernel_size // 2
            layers = _stack(
                sizes, lambda a, b: Conv2d(a, b, kernel_size, padding=pad, **make), BatchNorm2d
            )
            if classes is not None:
                self.plane = Linear(classes, shape[1] * shape[2], **make)
        else:
            raise ValueError(
                f"an interface must carry features (D,) or images (C, H, W), this one has {shape}; "
                "put it elsewhere"
            )
        for param in layers[-1].params.values():
            param[...] = 0
        self.trunk = Sequential(*layers)
        super().__init__(Sequential(*([self.plane] if self.plane else []), self.trunk), optimizer)

    def why_not(self, loss: Loss | None) -> str | None:
        """A module that gets the label cannot learn with a loss whose targets are numbers."""
        if self.classes is None or not isinstance(loss, ElementLoss):
            return None
        return f"{NEEDS_LABELS}, and {type(loss).__name__} has targets like its output; {ADVICE}"

    def predict(self, h: Array, target: Array, train: bool = True) -> Array:
        """dh_hat; `learn` then trains on this h."""
        self._dh_hat = self.trunk.forward(self._told(h, target), train)
        if self.scaled:
            self._dh_hat *= 1 / len(h)
        return self._dh_hat

    def learn(self, dh: Array) -> None:
        """One optimiser step towards dh, for the h of the last `predict`."""
        error = self._dh_hat - dh
        if not self.scaled:
            error *= 2 / error.size
        if self.plane is None:
            self.trunk.backward_params(error)
        else:
            dx = self.trunk.backward(error)
            self.plane.backward_params(dx[:, -1].reshape(len(dx), -1))
        self.optimizer.step()

    def _told(self, h: Array, target: Array) -> Array:
        """h, with the label beside it if the module gets the label."""
        if self.classes is None:
            return h
        xp = array_module(h, target)
        N = len(h)
        if target.shape != (N,) or target.dtype.kind not in "iu":
            raise TypeError(
                f"{NEEDS_LABELS}, got {target.dtype} of shape {tuple(target.shape)}; {ADVICE}"
            )
        if self.plane is None and (told := with_label(h, target, self.classes)) is not None:
            return told
        onehot = (target[:, None] == xp.arange(self.classes)).astype(h.dtype)
        if self.plane is None:
            return _beside(h, onehot)
        plane = self.plane.forward(onehot).reshape(N, 1, *self.shape[1:])
        return _beside(h, plane)


class InputModule(Trained):
    r"""h_hat = I(x): a prediction of a block's input h from the network's input x.

    With it a block need not wait for the block below.

    Shapes: x (N, ...), h and h_hat (N, *shape).
    I:      Flatten → [Linear, ReLU] of each size in `hidden` → Linear
    Learns: L = 1/(2N) Σ_n ‖I(x_n) - h_n‖²
    Source: Jaderberg et al. 2016, §2.2.
    """

    def __init__(
        self,
        n_in: int,
        shape: tuple[int, ...],
        hidden: Sequence[int],
        *,
        optimizer: Make,
        dtype: Any = "float32",
        rng: np.random.Generator | None = None,
    ):
        self.shape = shape
        sizes = [n_in, *sizes_of("input_hidden", hidden), prod(shape)]
        layers = _stack(sizes, lambda a, b: Linear(a, b, dtype=dtype, rng=rng), None)
        super().__init__(Sequential(Flatten(), *layers), optimizer)

    def predict(self, x: Array, target: Array | None = None) -> Array:
        """h_hat. The label is not used."""
        if x.dtype.kind != "f":  # the numbers of words
            x = x.astype(self.net.dtype)
        self._h_hat = self.net.forward(x)
        return self._h_hat.reshape(len(x), *self.shape)

    def learn(self, h: Array) -> None:
        """One optimiser step towards h, for the x of the last `predict`."""
        self.net.backward_params((self._h_hat - h.reshape(self._h_hat.shape)) / len(h))
        self.optimizer.step()


def sizes_of(name: str, sizes: Sequence[int]) -> tuple[int, ...]:
    """The sizes of hidden layers, or a ValueError that names the argument."""
    if isinstance(sizes, int | str) or not hasattr(sizes, "__iter__"):
        raise ValueError(f"{name} is a list of sizes, such as [256] or []; got {sizes!r}")
    return tuple(positive_int(name, n) for n in sizes)


def _stack(
    sizes: Sequence[int],
    weights: Callable[[int, int], Layer],
    norm: Callable[..., Layer] | None,
) -> list[Layer]:
    """[weights, norm, ReLU] for each hidden size, then weights; without norm if it is None."""
    layers = [weights(sizes[0], sizes[1])]
    for n_in, n_out in pairwise(sizes[1:]):
        if norm is not None:
            layers.append(norm(n_in, dtype=layers[0].dtype))
        layers += [ReLU(), weights(n_in, n_out)]
    return layers


def _beside(h: Array, more: Array) -> Array:
    """h and more, joined along axis 1."""
    xp = array_module(h, more)
    if xp is np:
        return np.concatenate([h, more], axis=1)
    # CuPy's own may bring a list of addresses from the host. A CUDA graph cannot repeat that.
    D = h.shape[1]
    both = xp.empty((len(h), D + more.shape[1], *h.shape[2:]), h.dtype)
    both[:, :D] = h
    both[:, D:] = more
    return both


def _prefixed(prefix: str, state: Mapping[str, Any]) -> dict[str, Any]:
    return {prefix + key: value for key, value in state.items()}


def _below(prefix: str, state: Mapping[str, Any]) -> dict[str, Any]:
    return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
