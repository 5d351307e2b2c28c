"""What is compared, and how: the same network, weights, batches and budget for every rule."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from minigrad import data, models
from minigrad.compare.own import absolute, is_own, made
from minigrad.compare.rules import RULES
from minigrad.data import Dataset
from minigrad.layers import Layer, Sequential
from minigrad.losses import CrossEntropyLoss, Loss
from minigrad.optim import SGD, Adam, Optimizer
from minigrad.rules import Rule

ASSUMED = 3.0  # forward-equivalents of a step, for a rule that does not say: those of backprop
SHARE = 1 / 3  # of backprop's training: what each trial of a learning rate has
VALIDATION = 1 / 10  # of the training set
MOST_VALIDATION = 5000
OPTIMIZERS: dict[str, tuple[Callable[[Layer, float], Optimizer], tuple[float, ...]]] = {
    "adam": (Adam, (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2)),
    "sgd": (lambda model, lr: SGD(model, lr, momentum=0.9), (1e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1)),
}
MODELS = ("mlp", "deep", "logistic", "lenet")


@dataclass(frozen=True)
class Plan:
    """What every run of a comparison needs, in any process. See `comparison.compare`.

    rules  {name: name in RULES, FILE:NAME, or a function (model, seed) -> Rule}
    data   a name, or (train, validation, test)
    """

    rules: Mapping[str, Any]
    model: Any
    data: Any
    epochs: int
    batch_size: int
    seeds: tuple[int, ...]
    optimizer: str
    rates: tuple[float, ...]
    reference: str
    probe: int
    replicates: int
    hidden: int = 256
    confidence: float = 0.95
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def search_seed(self) -> int:
        """The seed of the search: none of those that are compared."""
        return max(self.seeds) + 1

    def sets(self) -> tuple[Dataset, Dataset, Dataset]:
        """(train, validation, test). Each process reads and splits a set of a name once."""
        return _named(self.data) if isinstance(self.data, str) else self.data

    def network(self, seed: int) -> Layer:
        """The network with the first weights of this seed."""
        if is_own(self.model):
            return made(self.model, Layer, "Layer", seed=seed)
        if callable(self.model):
            return self.model(seed)
        train = self.sets()[0]
        return by_name(self.model, train.x.shape[1:], int(train.classes or 0), self.hidden, seed)

    def rule(self, name: str, model: Layer, seed: int) -> Rule:
        """The rule of this name, for this model."""
        make = self.rules[name]
        if is_own(make):
            return made(make, Rule, "Rule", model=model, seed=seed)
        return make(model, seed) if callable(make) else RULES[make].make(model, seed)

    def title(self, name: str) -> str:
        make = self.rules[name]
        return RULES[make].title if isinstance(make, str) and make in RULES else name

    def loss(self) -> Loss:
        return CrossEntropyLoss()

    def steps_of_training(self) -> int:
        return self.epochs * math.ceil(len(self.sets()[0]) / self.batch_size)

    def examples_after(self, steps: int) -> int:
        """How many examples the first `steps` steps have seen: an epoch's last batch is smaller."""
        N = len(self.sets()[0])
        epochs, more = divmod(steps, math.ceil(N / self.batch_size))
        return epochs * N + more * self.batch_size

    def budget(self) -> float:
        """Forward-equivalents that each rule has for the search of its learning rate."""
        return len(self.rates) * SHARE * ASSUMED * self.steps_of_training()

    def steps_of_trial(self, cost: float) -> int:
        """Steps with each learning rate: the budget, shared out evenly, over the cost of a step."""
        return max(1, round(self.budget() / len(self.rates) / cost))


def split(train: Dataset, test: Dataset) -> tuple[Dataset, Dataset, Dataset]:
    """(train, validation, test): a tenth of the training set, 5,000 at most, is for validation."""
    n = min(MOST_VALIDATION, max(1, round(VALIDATION * len(train))))
    train, validation = train.split(n, seed=0, stratified=True)
    return train, validation, test


@lru_cache(maxsize=1)
def _named(name: str) -> tuple[Dataset, Dataset, Dataset]:
    return split(*data.load(name))


def by_name(name: str, shape: Sequence[int], classes: int, hidden: int, seed: int) -> Sequential:
    """A network of MODELS for examples of this shape."""
    size = math.prod(shape)
    if name == "mlp":
        return models.mlp((size, hidden, hidden, classes), seed=seed)
    if name == "deep":
        return models.mlp((size, *[hidden // 2] * 5, classes), seed=seed)
    if name == "logistic":
        return models.mlp((size, classes), seed=seed)
    if name == "lenet":
        if tuple(shape) != (1, 28, 28) or classes != 10:
            raise ValueError(
                f"lenet is for images (1, 28, 28) of 10 classes, these are {tuple(shape)} of "
                f'{classes}: take model="mlp", or a file of your own, my_net.py:make'
            )
        return models.lenet(seed=seed)
    raise ValueError(
        f"unknown model {name!r}: choose one of {', '.join(MODELS)}, or a function of your own "
        "that takes the seed, my_net.py:make"
    )


def named_rules(rules: Any) -> dict[str, Any]:
    """{name: what makes it} of names, of "a,b", or of such a dict. ValueError for unknown names."""
    if isinstance(rules, Mapping):
        for name, make in rules.items():
            if not isinstance(name, str) or not (callable(make) or isinstance(make, str)):
                raise TypeError(
                    f"rules must be names, or functions (model, seed) -> Rule by name; got "
                    f"{name!r}: {make!r:.60}"
                )
        found = dict(rules)
    else:
        names = rules.split(",") if isinstance(rules, str) else list(rules)
        names = [name.strip() for name in names if isinstance(name, str) and name.strip()]
        if len(set(names)) < len(names):
            raise ValueError(f"each rule once: got {', '.join(names)}")
        found = {_short(name): name for name in names}
    if not found:
        raise ValueError(f"there is no rule to compare: choose some of {', '.join(RULES)}")
    for make in found.values():
        if isinstance(make, str) and not is_own(make) and make not in RULES:
            raise ValueError(
                f"unknown rule {make!r}: choose some of {', '.join(RULES)}, or a rule of your own, "
                "my_rule.py:MyRule"
            )
    return {name: absolute(make) if is_own(make) else make for name, make in found.items()}


def _short(name: str) -> str:
    """The name of a rule in the report: of FILE:NAME, NAME."""
    return name.partition(".py:")[2] if is_own(name) else name
