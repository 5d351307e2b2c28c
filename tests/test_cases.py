"""The table of cases is complete, and so is every docstring in it."""

import inspect

import pytest
from cases import LAYERS, LOSSES

import minigrad as mg

pytestmark = pytest.mark.on_host


def public(base):
    return {
        item
        for item in vars(mg).values()
        if inspect.isclass(item) and issubclass(item, base) and item is not base
    }


def test_every_public_layer_has_a_case():
    """Embedding has tests of its own, test_embedding.py: its x has no derivative."""
    assert public(mg.Layer) - {mg.Embedding} == {type(case.layer()) for case in LAYERS}


def test_every_public_loss_has_a_case():
    assert public(mg.Loss) == {type(case.make()) for case in LOSSES}


def test_every_name_in_all_exists():
    assert all(hasattr(mg, name) for name in mg.__all__)
    assert sorted(mg.__all__, key=str.casefold) == sorted(set(mg.__all__), key=str.casefold)


CLASSES = sorted(public(mg.Layer) | public(mg.Loss), key=lambda item: item.__name__)


@pytest.mark.parametrize("item", CLASSES)
def test_docstrings_give_equation_shapes_derivatives_and_source(item):
    text = inspect.getdoc(item)
    assert text is not None
    wanted = ["Backward", "Jvp"]
    if item is not mg.Sequential:
        wanted += ["Shapes", "Source"]
    assert not [word for word in wanted if word + ":" not in text]
