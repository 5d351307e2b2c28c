"""Every layer's random streams can be read and set, also those of a layer of one's own."""

import copy
import json
import pickle
import random
from functools import partial

import numpy as np
import pytest
from cases import layer_cases

import minigrad as mg
from minigrad.backend import to_device, to_host
from minigrad.checkpoint import archive
from minigrad.generators import BITS, described
from minigrad.kernels.counter import _mix, uniform
from minigrad.streams import prepared, run

on_host = pytest.mark.on_host


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


@on_host
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


@on_host
def test_the_state_is_a_copy():
    layer = Own()
    state = layer.rng_state()
    before = copy.deepcopy(state)
    layer.draw()
    layer.set_rng_state(state)
    layer.draw()
    np.testing.assert_equal(state, before)


def test_dropout_draws_the_same_masks_again():
    x = to_device(np.ones((4, 50), "float32"))
    layer = mg.Dropout(0.5, seed=0)
    layer.forward(x)
    state = layer.rng_state()
    masks = [to_host(layer.forward(x)) for _ in range(2)]
    other = mg.Dropout(0.5, seed=9)
    other.set_rng_state(state)
    for mask in masks:
        np.testing.assert_array_equal(to_host(other.forward(x)), mask)


@on_host
@pytest.mark.parametrize("case", **layer_cases)
def test_layers_without_random_numbers_have_no_state(case):
    layer = case.make("float32")
    for _, leaf in layer.leaves():
        assert leaf.rng_state() == {} or isinstance(leaf, mg.Dropout)
        leaf.set_rng_state(leaf.rng_state())


GENERATORS = {
    **{
        name: partial(lambda n: np.random.Generator(getattr(np.random, n)(5)), name)
        for name in BITS
    },
    "bits alone": lambda: np.random.PCG64(5),
    "RandomState": lambda: np.random.RandomState(5),
    "RandomState of another": lambda: np.random.RandomState(np.random.PCG64(5)),
    "Python's": lambda: random.Random(5),
}


def drawn(generator):
    """Numbers of several kinds: a generator may keep a half of a draw for later."""
    if isinstance(generator, np.random.BitGenerator):
        return generator.random_raw(3).tolist()
    if isinstance(generator, random.Random):
        return [generator.random(), generator.gauss(0, 1), generator.getrandbits(40)]
    if isinstance(generator, np.random.RandomState):
        return [*generator.standard_normal(3), *generator.randint(0, 9, 3, "uint32")]
    return [*generator.standard_normal(3), *generator.integers(0, 9, 3, "uint32")]


class Holder(mg.Layer):
    def __init__(self, generator):
        super().__init__()
        self.rng = generator


def as_json(state):
    """Through JSON, with arrays as lists."""
    return json.loads(json.dumps(state, default=lambda array: array.tolist()))


@on_host
@pytest.mark.parametrize("name", GENERATORS)
def test_every_known_generator_goes_on_from_plain_data(name):
    layer = Holder(GENERATORS[name]())
    drawn(layer.rng)
    state = layer.rng_state()
    assert only_plain(state)
    expected = drawn(layer.rng)
    for given in (state, as_json(state)):
        same = layer.rng
        layer.set_rng_state(given)
        assert layer.rng is same  # in place
        assert drawn(layer.rng) == expected
        for other in (None, np.random.default_rng(0), random.Random(0), np.random.RandomState(0)):
            twin = Holder(other)
            twin.set_rng_state(given)
            assert drawn(twin.rng) == expected


def only_plain(value):
    if isinstance(value, dict):
        return all(type(key) is str and only_plain(item) for key, item in value.items())
    return type(value) in (str, int, float, type(None), bool, np.ndarray)


def damaged(state, path=()):
    """(where, the state with one part of it damaged), for every part."""
    for name, value in state.items():
        rest = {key: item for key, item in state.items() if key != name}
        if path or len(state) > 1:
            yield (*path, name, "removed"), rest
        if isinstance(value, dict):
            for where, inner in damaged(value, (*path, name)):
                yield where, rest | {name: inner}
        for wrong in (None, -1, 1.5, float("nan"), "x", True, [], {}, 2**200, np.zeros(3)):
            if name != "gauss" or repr(wrong) not in ("None", "1.5"):
                yield (*path, name, wrong), rest | {name: wrong}
    if path:
        yield (*path, "another"), state | {"another": 1}


def why_refused(owner, state):
    """The error's text; None if the state was taken."""
    try:
        owner.set_rng_state(state)
    except (KeyError, ValueError, TypeError) as error:
        return str(error)
    return None


@on_host
@pytest.mark.parametrize("name", GENERATORS)
def test_a_damaged_state_changes_nothing(name):
    layer = Holder(GENERATORS[name]())
    layer.by_name = {"second": np.random.default_rng(2)}
    state = layer.rng_state()
    before = copy.deepcopy(state)
    found = list(damaged({"rng": state["rng"]}))
    assert len(found) > 40
    for where, wrong in found:
        layer.by_name["second"].random()
        np.testing.assert_equal(layer.rng_state()["rng"], before["rng"])
        error = why_refused(layer, {"by_name": state["by_name"]} | wrong)
        assert error, where
        assert "\n" not in error
        assert layer.rng_state()["by_name"] != before["by_name"]  # it has not gone back


@on_host
def test_a_position_beyond_the_words_is_refused():
    """NumPy would read there, beyond its memory."""
    for name, key, most in (("MT19937", "pos", 624), ("Philox", "buffer_pos", 4)):
        layer = Holder(GENERATORS[name]())
        state = layer.rng_state()
        inner = state["rng"]["state"] if name == "MT19937" else state["rng"]
        inner[key] = most + 1
        with pytest.raises(ValueError, match=f"Holder.rng: {key} cannot be {most + 1}"):
            layer.set_rng_state(state)


@on_host
def test_a_generator_that_two_layers_share_stays_shared():
    shared = np.random.default_rng(0)
    net = mg.Sequential(Holder(shared), mg.Sequential(Holder(shared)))
    holders = [net[0], net[1][0]]
    states = [holder.rng_state() for holder in holders]
    expected = [net[0].rng.random(), net[1][0].rng.random()]
    for holder, state in zip(holders, states, strict=True):
        holder.set_rng_state(state)
    assert net[0].rng is net[1][0].rng
    assert [net[0].rng.random(), net[1][0].rng.random()] == expected


@on_host
def test_a_networks_streams_fit_its_layers(tmp_path):
    """In a checkpoint: none is missing, none is too many, none belongs to another layer."""
    path = tmp_path / "a.npz"
    net = mg.Sequential(mg.Linear(2, 2, seed=0), mg.Dropout(0.5, seed=0))
    mg.save(path, net)
    meta, arrays = archive.read(path)
    dropout = meta["random"]["model 2 Dropout"]
    assert meta["random"].keys() == {"model 2 Dropout"}
    before = net[1].rng_state()
    for wrong in (
        {},
        meta["random"] | {"model 7 Dropout": dropout},
        meta["random"] | {"model 1 Linear": dropout},
        [],
        {"model 2 Dropout": {}},
    ):
        archive.write(path, arrays, meta | {"random": wrong})
        with pytest.raises(mg.CheckpointError, match="does not fit"):
            mg.load(path, net)
        assert net[1].rng_state() == before
    archive.write(path, arrays, meta)
    mg.load(path, net)


class Library:
    """A generator of another library."""

    def random(self):
        return 4

    def standard_normal(self):
        return 4

    integers = random


@on_host
@pytest.mark.parametrize("place", [lambda g: g, lambda g: {"a": g}, lambda g: [1, g]])
@pytest.mark.parametrize("generator", [Library(), random.SystemRandom(), np.random])
def test_a_generator_that_cannot_be_saved_is_named(generator, place):
    layer = Holder(None)
    layer.mine = place(generator)
    with pytest.raises(TypeError, match=r"Holder\.mine.* override rng_state and set_rng_state"):
        layer.rng_state()


@on_host
def test_lists_and_classes_may_hold_generators():
    class Several(mg.Layer):
        shared = np.random.default_rng(3)

        def __init__(self):
            super().__init__()
            self.list = [np.random.default_rng(0), 7]

    layer = Several()
    state = layer.rng_state()
    expected = layer.shared.random(), layer.list[0].random()
    other = Several()
    other.set_rng_state(state)
    assert (layer.shared.random(), other.list[0].random()) == expected
    with pytest.raises(KeyError, match="no entry '5'"):
        other.set_rng_state(state | {"list": state["list"] | {"5": state["list"]["0"]}})


@on_host
def test_what_is_no_generator_is_not_replaced():
    layer = Holder(None)
    state = {"forward": described(np.random.default_rng(0))}
    with pytest.raises(ValueError, match=r"Holder\.forward is a .*, the state is of a Generator"):
        layer.set_rng_state(state)


class Noisy(mg.optim.Optimizer):
    def __init__(self, model, lr, seed=0):
        super().__init__(model, lr)
        self.rng = np.random.default_rng(seed)


class Own3(mg.rules.Module):
    """A module whose net drops."""

    def __init__(self):
        self.net = mg.Sequential(mg.Linear(6, 6, dtype="float64", seed=0), mg.Dropout(0.5, seed=0))
        self.rng = np.random.default_rng(4)


class Jump(mg.optim.Schedule):
    rng = None

    def factor(self, t):
        self.rng = self.rng or np.random.default_rng(0)
        return self.rng.random()


class NoisyRule(mg.rules.Rule):
    def __init__(self):
        self.rng = np.random.default_rng(8)
        self.optimizers = [Noisy(mg.Linear(2, 2, seed=0), 0.1)]
        self.loss = NoisyLoss()


class NoisyLoss(mg.Loss):
    def __init__(self):
        super().__init__()
        self.rng = np.random.default_rng(8)


@on_host
def test_rules_optimisers_schedules_and_losses_have_streams():
    net = mg.models.mlp((4, 6, 3), "tanh", dtype="float64", seed=0)
    blocks = mg.rules.SyntheticGradients(net, modules=[Own3()])
    names = {
        "rng": Noisy(net, 0.1),
        "rule rule/loss rule/optimizers/0": mg.rules.Wrapper(NoisyRule()),
        "rule/rule rule/rule/loss rule/rule/optimizers/0": mg.rules.GuidedForwardGradient(
            mg.rules.WellTempered(NoisyRule())
        ),
        "module/0 module/0/net/1": blocks,
    }
    jump = Jump(Noisy(net, 0.1))
    names["rng "] = jump
    for expected, owner in names.items():
        state = owner.rng_state()
        assert set(state) == set(expected.split())
        twin = copy.deepcopy(owner)
        assert only_plain(state)
        for every in (owner, twin):
            run(prepared(every, as_json(state)))
            np.testing.assert_equal(every.rng_state(), state)
        for wrong in ({}, state | {"other": {}}, state | {"module/7": {}}, dict.fromkeys(state, 3)):
            with pytest.raises((KeyError, ValueError), match=r"."):
                owner.set_rng_state(wrong)
    assert mg.rules.Backprop().rng_state() == {}


@on_host
def test_a_class_with_streams_of_its_own_overrides_both():
    class Mine(mg.rules.Rule):
        def __init__(self):
            self.position = 3
            self.rng = np.random.default_rng(0)

        def rng_state(self):
            return super().rng_state() | {"mine": self.position}

        def set_rng_state(self, state):
            own = dict(state)
            self.position = own.pop("mine")
            super().set_rng_state(own)

    rule = mg.rules.Wrapper(Mine())
    state = rule.rng_state()
    assert state["rule"]["mine"] == 3
    rule.rule.position = 5
    rule.set_rng_state(state)
    assert rule.rule.position == 3
    state["rule"]["mine"] = 4
    del state["rule"]["rng"]
    with pytest.raises(KeyError):
        rule.set_rng_state(state)
    assert rule.rule.position == 3


# ------------------------------------------------------------------ dropout


def test_a_dropout_without_a_seed_goes_on_in_another_place(xp):
    x = to_device(np.ones((3, 40), "float32"))
    layer = mg.Dropout(0.5)
    for before in range(3):
        state = as_json(layer.rng_state())
        expected = to_host(layer.forward(x))
        other = mg.Dropout(0.5)
        for _ in range(before):
            other.forward(x)
        other.set_rng_state(state)
        np.testing.assert_array_equal(to_host(other.forward(x)), expected)


@on_host
def test_masks_on_the_host_are_what_they_were():
    y = mg.Dropout(0.5, seed=0).forward(np.ones((2, 8), "float32"))
    generator = np.random.default_rng(int(np.random.default_rng(0).integers(2**63)))
    kept = generator.random((2, 8), dtype="float32") >= 0.5
    np.testing.assert_array_equal(y, kept * np.float32(2))


def test_a_damaged_state_of_dropout_changes_nothing():
    layer = mg.Dropout(0.5, seed=0)
    layer.forward(to_device(np.ones(9, "float32")))
    state = layer.rng_state()
    for where, wrong in damaged({"mine": state}):
        said = [repr(part) for part in where[1:]]
        if len(said) < 2 or said == ["'seed'", repr(2**200)]:
            continue  # a seed may be long
        if said[0] == "'generators'" and said[-1] in ("'removed'", "{}") and len(said) < 4:
            continue  # the stream begins anew from the seed
        assert why_refused(layer, wrong["mine"]), where
        np.testing.assert_equal(layer.rng_state(), state)


def test_numbers_from_a_counter_are_uniform_and_never_repeat(xp):
    n = 2**18
    streams = [to_host(uniform(xp, seed, 0, (n,))) for seed in (0, 1, 2**63 - 1)]
    for u in streams:
        assert u.dtype == np.float32
        assert u.min() >= 0
        assert u.max() < 1
        assert abs(u.mean() - 0.5) < 5 / np.sqrt(12 * n)
        assert abs(np.corrcoef(u[:-1], u[1:])[0, 1]) < 5 / np.sqrt(n)
        counts = np.histogram(u, 64, (0, 1))[0]
        assert ((counts - n / 64) ** 2).sum() / (n / 64) < 63 + 5 * np.sqrt(126)  # chi squared
    for a, b in ((0, 1), (0, 2), (1, 2)):
        assert abs(np.corrcoef(streams[a], streams[b])[0, 1]) < 5 / np.sqrt(n)
    parts = [uniform(xp, 1, 0, (100,)), uniform(xp, 1, 100, (n - 100,))]
    np.testing.assert_array_equal(np.concatenate([to_host(p) for p in parts]), streams[1])
    late = uniform(xp, 1, 2**64 - 3, (6,))  # the counter goes round without a warning
    np.testing.assert_array_equal(to_host(late)[3:], streams[1][:3])


@on_host
def test_the_counter_is_split_mix():
    """Published numbers of SplitMix64 with the seed 1234567, by the definition in plain Python."""
    known = (6457827717110365317, 3203168211198807973, 9817491932198370423)
    gamma = 0x9E3779B97F4A7C15
    for i, number in enumerate(known):
        assert _mix((1234567 + (i + 1) * gamma) % 2**64) == number
    start = _mix(9)
    expected = [_mix((start + (i + 1) * gamma) % 2**64) >> 40 for i in range(5)]
    np.testing.assert_array_equal(uniform(np, 9, 0, (5,)) * 2**24, expected)
