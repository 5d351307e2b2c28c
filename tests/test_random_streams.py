"""Every layer's random streams can be read and set, also those of a layer of one's own."""

import copy
import pickle
import random

import numpy as np
import pytest
from cases import layer_cases

import minigrad as mg

pytestmark = pytest.mark.on_host


class Own(mg.Layer):
    """Several streams, as a student might keep them."""

    def __init__(self):
        super().__init__()
        self.rng = np.random.default_rng(1)
        self.old = np.random.RandomState(2)
        self.plain = random.Random(3)
        self.by_name = {"a": np.random.default_rng(4), "size": 7}

    def draw(self):
        by_name = self.by_name["a"].random()
        return self.rng.random(), self.old.rand(), self.plain.random(), by_name


def test_a_layer_goes_on_from_where_its_state_was_read():
    layer = Own()
    layer.draw()
    state = layer.rng_state()
    assert set(state) == {"rng", "old", "plain", "by_name"}
    first = [layer.draw() for _ in range(3)]
    for wanted in (layer, Own()):
        for given in (state, pickle.loads(pickle.dumps(state))):
            wanted.set_rng_state(given)
            assert [wanted.draw() for _ in range(3)] == first
    assert layer.by_name["size"] == 7


def test_the_state_is_a_copy():
    layer = Own()
    state = layer.rng_state()
    before = copy.deepcopy(state["rng"].bit_generator.state)
    layer.draw()
    layer.set_rng_state(state)
    layer.draw()
    assert state["rng"].bit_generator.state == before


def test_dropout_draws_the_same_masks_again():
    x = np.ones((4, 50), "float32")
    layer = mg.Dropout(0.5, seed=0)
    layer.forward(x)
    state = layer.rng_state()
    masks = [layer.forward(x) for _ in range(2)]
    other = mg.Dropout(0.5, seed=9)
    other.set_rng_state(state)
    for mask in masks:
        np.testing.assert_array_equal(other.forward(x), mask)


@pytest.mark.parametrize("case", **layer_cases)
def test_layers_without_random_numbers_have_no_state(case):
    layer = case.make("float32")
    for _, leaf in layer.leaves():
        assert leaf.rng_state() == {} or isinstance(leaf, mg.Dropout)
        leaf.set_rng_state({})
