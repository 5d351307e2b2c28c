"""Faults planted into every layer and loss of the table: the checker finds all but the named ones.

The whole table, about 2,100 checks, runs with MINIGRAD_SLOW=1; else a fourth of it.
"""

import os

import numpy as np
import pytest
from cases import LAYERS, LOSSES, layer_cases, loss_cases
from planted import LAYER_FAULTS, LOSS_FAULTS, SURVIVORS, derive

import minigrad as mg

pytestmark = pytest.mark.on_host
WHOLE = os.environ.get("MINIGRAD_SLOW") == "1"
SHARE = 1 if WHOLE else 4


def is_caught(subject, *arguments, **options):
    """An error, a report that is false, or a report with a warning."""
    try:
        report = mg.gradcheck.check(subject, *arguments, entries=12, **options)
    except (TypeError, ValueError, RuntimeError, AttributeError):
        return True
    return not report or bool(report.warnings)


def layer_is_caught(case, plant):
    """Whether the fault is found in this layer; None where it cannot be planted."""
    layer = plant(case.layer(), case)
    if layer is None:
        return None
    with np.errstate(all="ignore"):
        return is_caught(layer, case.x(np.random.default_rng(1)), train=case.train)


def loss_is_caught(case, plant):
    loss = plant(case.make(), case)
    return None if loss is None else is_caught(loss, *case.batch(np.random.default_rng(1)))


def shares(faults, cases):
    """The faults, each with its share of the cases: (name, [cases])."""
    return [
        pytest.param(name, cases[i % SHARE :: SHARE], id=name.replace(" ", "-"))
        for i, name in enumerate(faults)
    ]


@pytest.mark.parametrize(("name", "cases"), shares(LAYER_FAULTS, LAYERS))
def test_a_fault_in_a_layer_is_found(name, cases):
    verdicts = {case.name: layer_is_caught(case, LAYER_FAULTS[name]) for case in cases}
    planted = {case: caught for case, caught in verdicts.items() if caught is not None}
    expected = name not in SURVIVORS
    assert [case for case, caught in planted.items() if caught != expected] == []


@pytest.mark.parametrize(("name", "cases"), shares(LOSS_FAULTS, LOSSES))
def test_a_fault_in_a_loss_is_found(name, cases):
    verdicts = {case.name: loss_is_caught(case, LOSS_FAULTS[name]) for case in cases}
    assert [case for case, caught in verdicts.items() if caught is False] == []


@pytest.mark.parametrize("case", **layer_cases)
def test_without_a_fault_all_is_well(case):
    report = mg.gradcheck.check(
        derive(case.layer()), case.x(np.random.default_rng(1)), train=case.train, entries=12
    )
    assert report, report
    assert report.warnings == []


@pytest.mark.parametrize("case", **loss_cases)
def test_without_a_fault_a_loss_is_well(case):
    report = mg.gradcheck.check(derive(case.make()), *case.batch(np.random.default_rng(1)))
    assert report, report


def test_survivors_are_faults_of_the_table_with_a_reason():
    assert SURVIVORS.keys() <= LAYER_FAULTS.keys()
    assert all(SURVIVORS.values())


def test_at_least_95_percent_are_caught():
    """By the table itself: each fault counts once for each layer that it can be planted in."""
    planted = survivors = 0
    for name, plant in LAYER_FAULTS.items():
        places = sum(plant(case.layer(), case) is not None for case in LAYERS)
        planted += places
        survivors += places if name in SURVIVORS else 0
    planted += sum(
        plant(case.make(), case) is not None for plant in LOSS_FAULTS.values() for case in LOSSES
    )
    assert planted > 2000
    assert survivors <= 0.05 * planted
