"""What a comparison was asked for, checked before its first step."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from minigrad import data as sets
from minigrad.arguments import a_parameter, check_flag
from minigrad.checks import positive_int
from minigrad.compare.own import absolute, digest, is_own
from minigrad.compare.protocol import ASSUMED, OPTIMIZERS, Plan, named_rules, split
from minigrad.compare.training import points
from minigrad.data import Dataset
from minigrad.layers import Layer
from minigrad.search.arguments import checked_seeds
from minigrad.search.fingerprint import Fingerprint
from minigrad.version import __version__


class Subject(NamedTuple):
    """A rule of a comparison, and what it says of itself before the first step."""

    name: str
    title: str
    repr: str
    about: str
    cost: float
    cost_from: str
    why_not: str | None


def planned(
    rules: Any,
    model: Any,
    data: Any,
    epochs: int | None,
    seeds: int | Iterable[int],
    batch_size: int | None,
    optimizer: str,
    rates: Sequence[float] | None,
    reference: str | None,
    quick: bool,
) -> Plan:
    """The plan of a comparison. ValueError or TypeError for an argument that makes no sense."""
    check_flag("quick", quick)
    if data is None:
        data = "digits" if quick else "auto"
    if not isinstance(data, str):
        data = split(*_two_sets(data))
    elif str(data).lower() not in {*sets.NAMES, *sets.loading.SPELLINGS}:
        raise ValueError(f"unknown data set {data!r}: choose one of {', '.join(sets.NAMES)}")
    if optimizer not in OPTIMIZERS:
        raise ValueError(f"optimizer must be one of {', '.join(OPTIMIZERS)}, got {optimizer!r}")
    if not (isinstance(model, str) or callable(model)):
        raise TypeError(f"model must be a name or a function of the seed, got {model!r:.60}")
    counted = range(positive_int("seeds", seeds)) if isinstance(seeds, int) else seeds
    named = named_rules(rules)
    if reference is None:
        reference = "backprop" if "backprop" in named else next(iter(named))
    elif reference not in named:
        raise ValueError(
            f"the reference must be one of the rules, {', '.join(named)}; got {reference!r:.60}"
        )
    plan = Plan(
        rules=named,
        model=absolute(model) if is_own(model) else model,
        data=data,
        epochs=positive_int("epochs", (20 if quick else 3) if epochs is None else epochs),
        batch_size=positive_int(
            "batch_size", (32 if quick else 64) if batch_size is None else batch_size
        ),
        seeds=tuple(checked_seeds(counted)),
        optimizer=optimizer,
        rates=_rates(OPTIMIZERS[optimizer][1] if rates is None else rates),
        reference=reference,
        probe=100 if quick else 500,
        replicates=4 if quick else 8,
        hidden=64 if quick else 256,
    )
    train, validation, test = plan.sets()
    if train.classes is None:
        raise ValueError("a comparison counts right answers: y must be labels, integers")
    network = plan.network(plan.search_seed)
    _check_fits(network, train)
    steps = plan.steps_of_training()
    plan.settings.update(
        model=_called(model),
        parameters=sum(p.size for p in network.params.values()),
        data=data if isinstance(data, str) else "given",
        source=_without_folder(train.source) or "the data given",
        train=len(train),
        validation=len(validation),
        test=len(test),
        epochs=plan.epochs,
        batch_size=plan.batch_size,
        steps=steps,
        seeds=list(plan.seeds),
        search_seed=plan.search_seed,
        optimizer=optimizer,
        reference=reference,
        loss=type(plan.loss()).__name__,
        rates=list(plan.rates),
        budget=plan.budget(),
        points=points(steps),
        probe=min(plan.probe, len(train)),
        replicates=plan.replicates,
        confidence=plan.confidence,
        quick=bool(quick),
    )
    return plan


def _check_fits(network: Layer, train: Dataset) -> None:
    """ValueError if the network cannot take the examples, or has fewer outputs than classes."""
    shape = train.x.shape[1:]
    two = train.take(min(2, len(train))).placed(a_parameter(network))
    try:
        found = network.forward(two.x).shape
    except (ValueError, TypeError, IndexError) as error:
        raise ValueError(
            f"the model cannot take these examples, each of shape {shape}: {error}"
        ) from error
    classes = 1 + int(train.y.max())
    if len(found) != 2 or found[1] < classes:
        raise ValueError(
            f"the model must give {classes} numbers for each example, one for each class; "
            f"for {len(two)} examples it gives the shape {found}"
        )


def _two_sets(data: Any) -> tuple[Dataset, Dataset]:
    try:
        train, test = data
    except (TypeError, ValueError):
        train = test = None
    if not (isinstance(train, Dataset) and isinstance(test, Dataset)):
        raise TypeError(f"data must be a name, or (train, test), two Datasets; got {data!r:.60}")
    return train, test


def _rates(rates: Sequence[float]) -> tuple[float, ...]:
    """The learning rates, in rising order."""
    try:
        found = sorted(float(rate) for rate in rates)
    except (TypeError, ValueError):
        raise ValueError(f"rates must be numbers, (0.001, 0.01), got {rates!r:.80}") from None
    if not found or len(set(found)) < len(found) or not 0 < found[0] <= found[-1] < math.inf:
        raise ValueError(f"rates must be one or more numbers > 0, each once; got {rates!r:.80}")
    return tuple(found)


def _called(model: Any) -> str:
    if is_own(model):
        return model.partition(".py:")[2]
    return model if isinstance(model, str) else getattr(model, "__name__", "given")


def _without_folder(source: str) -> str:
    """Whose the data are, without where they lie on this machine."""
    return source.partition(", from ")[0].partition(" (")[0]


def examined(plan: Plan) -> list[Subject]:
    """What each rule says of itself. One that cannot train the network says why."""
    subjects = []
    for name in plan.rules:
        model = plan.network(plan.search_seed)
        try:
            rule = plan.rule(name, model, plan.search_seed)
            why_not = rule.why_not(model, plan.loss())
        except ValueError as error:  # some rules say it when they are made
            if is_own(plan.rules[name]):
                raise
            subjects.append(Subject(name, plan.title(name), name, "", ASSUMED, "rule", str(error)))
            continue
        known = math.isfinite(rule.cost) and rule.cost > 0
        subjects.append(
            Subject(
                name=name,
                title=plan.title(name),
                repr=repr(rule),
                about=(type(rule).__doc__ or "").strip().partition("\n")[0],
                cost=float(rule.cost) if known else ASSUMED,
                cost_from="rule" if known else "assumed",
                why_not=why_not,
            )
        )
    if all(subject.why_not for subject in subjects):
        reasons = "; ".join(f"{subject.name}: {subject.why_not}" for subject in subjects)
        raise ValueError(f"none of these rules can train this network: {reasons}")
    return subjects


def asked(plan: Plan) -> dict[str, Any]:
    """What must be the same when a comparison goes on, with the content of files and functions."""
    found = dict(plan.settings) | {"minigrad": __version__, "rules": list(plan.rules)}
    own = {name: make for name, make in plan.rules.items() if is_own(make) or callable(make)}
    if is_own(plan.model) or callable(plan.model):
        own["the model"] = plan.model
    for name, make in own.items():
        found[f"code of {name}"] = digest(make) if is_own(make) else Fingerprint(make).parts
    if not isinstance(plan.data, str):
        for name, part in zip(("training", "validation", "test"), plan.data, strict=True):
            found[f"{name} set"] = Fingerprint(part).parts
    return found
