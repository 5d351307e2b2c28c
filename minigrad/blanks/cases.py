"""What is computed with a class to see whether it is right: once with the library's, once yours.

Each case is a function of the class. It returns arrays by name, which must be the same for both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from minigrad.blanks.cases_of_layers import (
    BATCH_NORM1D,
    CONV2D,
    LINEAR,
    MAX_POOL2D,
    RELU,
    Arrays,
    Case,
    normal,
    rng,
    scaled,
    spread,
)
from minigrad.layers import BatchNorm1d, Flatten, Layer, Linear, Sequential, Tanh
from minigrad.losses import CrossEntropyLoss, Loss
from minigrad.optim import SGD


# A loss
def _loss(method: str, targets: np.ndarray, **options: Any) -> Case:
    def case(cls: Any) -> Arrays:
        loss = cls(**options)
        logits = 3 * normal(6, 4)
        given = logits.copy(), targets.copy()
        found: Arrays = {"loss": loss.forward(*given)}
        if method == "each":
            # Large logits must not overflow, small ones not vanish, wherever they are.
            rows = np.array([800.0, -800.0, 0.0, 800.0, -800.0, 0.0])[:, None]
            found["each, with 800 or -800 added to rows"] = loss.each(logits + rows, targets)
            found["each, of 300 z"] = loss.each(300 * logits, targets)
        elif method == "backward":
            found["dz"] = loss.backward()
            found["dz, once more"] = loss.backward()
        else:
            output_dot = normal(6, 4, seed=2)
            found["slope"] = loss.jvp(output_dot)
            found["the tangent, which must stay as it is,"] = output_dot
        found["z, which must stay as it is,"], found["the target, which must stay as it is,"] = (
            given
        )
        return found

    return case


_LABELS = np.array([0, 3, 1, 1, 2, 0])
_SHARES = np.abs(normal(6, 4, seed=5))
_SHARES /= _SHARES.sum(axis=1, keepdims=True)
CROSS_ENTROPY = {
    method: [
        ("labels", _loss(method, _LABELS)),
        ("weights of classes", _loss(method, _LABELS, weight=np.array([1.0, 2, 0.5, 1]))),
        ("smoothed", _loss(method, _LABELS, label_smoothing=0.1)),
        ("probabilities", _loss(method, _SHARES)),
    ]
    for method in ("each", "backward", "each_jvp")
}


# Optimisers
def _steps(**options: Any) -> Case:
    def case(cls: Any) -> Arrays:
        net = Linear(3, 2, dtype="float64", seed=0)
        optimizer = cls(net, 0.1, **options)
        found: Arrays = {}
        net.grads = {"W": np.zeros((3, 2)), "b": np.zeros(2)}
        for t in range(4):
            # The same arrays with other numbers: a layer may use them again.
            net.grads["W"][...] = normal(3, 2, seed=30 + t)
            net.grads["b"][...] = normal(2, seed=40 + t)
            optimizer.lr = 0.1 / (1 + t)  # as a schedule does
            before = {name: grad.copy() for name, grad in net.grads.items()}
            optimizer.step()
            for name in before:
                found[f"{name} after step {t + 1}"] = net.params[name].copy()
                found[f"d{name}, which must stay, in step {t + 1}"] = net.grads[name] - before[name]
        return found

    return case


SGD_CASES = {
    "_update": [
        ("plain", _steps()),
        ("momentum", _steps(momentum=0.9)),
        ("Nesterov", _steps(momentum=0.9, nesterov=True)),
        ("weight decay", _steps(weight_decay=0.1, momentum=0.5)),
        ('velocity="steps"', _steps(momentum=0.9, velocity="steps")),
        ('Nesterov, velocity="steps"', _steps(momentum=0.9, nesterov=True, velocity="steps")),
    ]
}
ADAM_CASES = {
    "_update": [
        ("plain", _steps()),
        ("weight decay", _steps(weight_decay=0.1)),
        ("other betas", _steps(betas=(0.5, 0.9), eps=1e-3)),
        ("eps inside", _steps(eps=1e-3, eps_inside=True)),
    ]
}


# Rules
def _net() -> Sequential:
    source = rng(6)
    make: dict[str, Any] = {"dtype": "float64", "rng": source}
    return Sequential(Flatten(), Linear(6, 5, **make), Tanh(), Linear(5, 4, **make))


def _with_averages() -> Sequential:
    """A net that is another one in training: of the batch it takes averages, and keeps them."""
    flatten, first, *rest = _net().layers
    return Sequential(flatten, first, BatchNorm1d(5, dtype="float64"), *rest)


def _estimates(
    make: Callable[[Any], Any], steps: int = 1, network: Callable[[], Sequential] = _net
) -> Case:
    def case(cls: Any) -> Arrays:
        rule, net, loss = make(cls), network(), CrossEntropyLoss()
        found: Arrays = {}
        optimizer = SGD(net, 0.1)
        for t in range(steps):
            x, labels = normal(6, 2, 3), _LABELS.copy()
            found[f"loss {t + 1}"] = rule.estimate(net, loss, x, labels)
            found |= {f"d{name} {t + 1}": grad.copy() for name, grad in net.grads.items()}
            for _, leaf in net.leaves():
                found |= {f"{name} {t + 1}": array.copy() for name, array in leaf.buffers.items()}
            found |= {
                "x, which must stay as it is,": x,
                "the target, which must stay as it is,": labels,
            }
            optimizer.step()
        return found

    return case


BACKPROP = {
    "estimate": [
        ("a net of two layers", _estimates(lambda cls: cls(), 2)),
        ("with batch normalisation", _estimates(lambda cls: cls(), 2, _with_averages)),
    ]
}
FORWARD_GRADIENT = {
    "_one": [
        ("K = 1", _estimates(lambda cls: cls(seed=3), 2)),
        ("Rademacher", _estimates(lambda cls: cls(distribution="rademacher", seed=3))),
        ("clipped", _estimates(lambda cls: cls(clip=0.01, seed=3))),
        ("with batch normalisation", _estimates(lambda cls: cls(seed=3), 2, _with_averages)),
    ],
    "_one_by_one": [
        ("K = 4", _estimates(lambda cls: cls(4, seed=3), 2)),
        ("clipped", _estimates(lambda cls: cls(4, clip=0.01, seed=3))),
        ("with batch normalisation", _estimates(lambda cls: cls(4, seed=3), 2, _with_averages)),
    ],
}


def _module(learns: bool, shape: tuple[int, ...], classes: int | None, **options: Any) -> Case:
    def case(cls: Any) -> Arrays:
        options.setdefault("optimizer", lambda net: SGD(net, 0.1))
        module = cls(shape, classes, dtype="float64", rng=rng(7), **options)
        for k, param in enumerate(module.net.params.values()):  # it begins with zeros
            param += 0.1 * normal(*param.shape, seed=50 + k)
        h = normal(6, *shape)
        found: Arrays = {"h, which must stay as it is,": h}
        for t in range(2):
            found[f"dh_hat {t + 1}"] = module.predict(h, _LABELS).copy()
            if not learns:
                break
            dh = 0.1 * normal(6, *shape, seed=8)
            module.learn(dh)
            found["dh, which must stay as it is,"] = dh
            found |= {f"{name} {t + 1}": p.copy() for name, p in module.net.params.items()}
        return found

    return case


def _modules(learns: bool) -> list[tuple[str, Case]]:
    return [
        ("with labels", _module(learns, (5,), 4)),
        ("without labels", _module(learns, (5,), None)),
        ("a hidden layer", _module(learns, (5,), 4, hidden=(7,))),
        ("scaled=False", _module(learns, (5,), 4, scaled=False)),
        ("images", _module(learns, (2, 4, 4), 4, kernel_size=3)),
    ]


GRADIENT_MODULE = {"predict": _modules(False), "learn": _modules(True)}

CASES: dict[str, Mapping[str, list[tuple[str, Case]]]] = {
    "linear": LINEAR,
    "sgd": SGD_CASES,
    "adam": ADAM_CASES,
    "relu": RELU,
    "cross_entropy": CROSS_ENTROPY,
    "backprop": BACKPROP,
    "conv2d": CONV2D,
    "max_pool2d": MAX_POOL2D,
    "gradient_module": GRADIENT_MODULE,
    "batch_norm1d": BATCH_NORM1D,
    "forward_gradient": FORWARD_GRADIENT,
}

# For the checker: a layer or a loss of the class, and its inputs.
CHECKED: dict[str, Callable[[Any], tuple[Layer | Loss, list[Any]]]] = {
    "linear": lambda cls: (cls(4, 3, seed=0), [normal(5, 4)]),
    "relu": lambda cls: (cls(), [normal(6, 7)]),
    "cross_entropy": lambda cls: (cls(), [normal(6, 4), _LABELS]),
    "conv2d": lambda cls: (cls(2, 3, 3, padding=1, seed=0), [normal(2, 2, 5, 4)]),
    "max_pool2d": lambda cls: (cls(2), [spread(normal(2, 2, 4, 4))]),
    "batch_norm1d": lambda cls: (scaled(cls(3)), [normal(8, 3)]),
}
