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
from minigrad.layers import Flatten, Layer, Linear, Sequential, Tanh
from minigrad.losses import CrossEntropyLoss, Loss
from minigrad.optim import SGD


# A loss
def _loss(method: str, targets: np.ndarray, **options: Any) -> Case:
    def case(cls: Any) -> Arrays:
        loss = cls(**options)
        logits = 3 * normal(6, 4)
        value = loss.forward(logits.copy(), targets)
        if method == "each":
            # Large logits must not overflow.
            return {"loss": value, "each": loss.each(logits + 800.0, targets)}
        if method == "backward":
            return {"dz": loss.backward()}
        return {"slope": loss.jvp(normal(6, 4, seed=2))}

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
        for t in range(4):
            net.grads = {
                "W": normal(3, 2, seed=30 + t),
                "b": normal(2, seed=40 + t),
            }
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


def _estimates(make: Callable[[Any], Any], steps: int = 1) -> Case:
    def case(cls: Any) -> Arrays:
        rule, net, loss = make(cls), _net(), CrossEntropyLoss()
        found: Arrays = {}
        optimizer = SGD(net, 0.1)
        for t in range(steps):
            found[f"loss {t + 1}"] = rule.estimate(net, loss, normal(6, 2, 3), _LABELS)
            found |= {f"d{name} {t + 1}": grad.copy() for name, grad in net.grads.items()}
            optimizer.step()
        return found

    return case


BACKPROP = {"estimate": [("a net of two layers", _estimates(lambda cls: cls(), 2))]}
FORWARD_GRADIENT = {
    "_one": [
        ("K = 1", _estimates(lambda cls: cls(seed=3), 2)),
        ("Rademacher", _estimates(lambda cls: cls(distribution="rademacher", seed=3))),
        ("clipped", _estimates(lambda cls: cls(clip=0.01, seed=3))),
    ],
    "_one_by_one": [
        ("K = 4", _estimates(lambda cls: cls(4, seed=3), 2)),
        ("clipped", _estimates(lambda cls: cls(4, clip=0.01, seed=3))),
    ],
}


def _module(learns: bool, shape: tuple[int, ...], classes: int | None, **options: Any) -> Case:
    def case(cls: Any) -> Arrays:
        options.setdefault("optimizer", lambda net: SGD(net, 0.1))
        module = cls(shape, classes, dtype="float64", rng=rng(7), **options)
        for k, param in enumerate(module.net.params.values()):  # it begins with zeros
            param += 0.1 * normal(*param.shape, seed=50 + k)
        h = normal(6, *shape)
        found: Arrays = {}
        for t in range(2):
            found[f"dh_hat {t + 1}"] = module.predict(h, _LABELS).copy()
            if not learns:
                break
            module.learn(0.1 * normal(6, *shape, seed=8))
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
