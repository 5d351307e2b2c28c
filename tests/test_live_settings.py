"""The settings of a race: limits, plain data, and the text of an address."""

import contextlib
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigrad.live.rules import NAMES
from minigrad.live.sets import SETS
from minigrad.live.settings import LIMITS, OPTIMIZERS, LaneSettings, Settings
from minigrad.models import ACTIVATIONS

pytestmark = pytest.mark.on_host


def within(name, strategy=st.floats):
    least, most = LIMITS[name]
    return strategy(least, most)


LANES = st.builds(
    LaneSettings,
    rule=st.sampled_from(NAMES),
    lr=within("lr"),
    directions=within("directions", st.integers),
    update_probability=within("update_probability"),
    softmax_twice=st.booleans(),
)
ALL = st.builds(
    Settings,
    data=st.sampled_from(list(SETS)),
    data_noise=within("data_noise"),
    label_noise=within("label_noise"),
    hidden=st.lists(within("units", st.integers), max_size=LIMITS["layers"]),
    activation=st.sampled_from(list(ACTIVATIONS)),
    batch_size=within("batch_size", st.integers),
    optimizer=st.sampled_from(OPTIMIZERS),
    seed=within("seed", st.integers),
    lanes=st.lists(LANES, min_size=1, max_size=LIMITS["lanes"]),
)


@given(ALL)
def test_an_address_restores_everything(settings):
    assert Settings.from_text("#" + settings.to_text()) == settings
    assert Settings.from_dict(json.loads(json.dumps(settings.as_dict()))) == settings


def test_an_address_is_read_by_people():
    lanes = LaneSettings("backprop"), LaneSettings("forward", 0.01, directions=4)
    settings = Settings(data="moons", hidden=(8, 8), lanes=lanes)
    assert settings.to_text() == "data=moons&hidden=8,8&lanes=backprop,forward~lr:.01~K:4"
    assert Settings().to_text() == ""
    assert Settings.from_text("") == Settings()
    assert Settings(hidden=()).to_text() == "hidden=none"
    assert Settings.from_text("#lanes=cdni~p:0.5%2Cdni~softmax-twice").lanes == (
        LaneSettings("cdni", update_probability=0.5),
        LaneSettings("dni", softmax_twice=True),
    )


# What addresses are made of: a text of these is nearly one, and often one.
PIECES = [
    "data",
    "moons",
    "seed",
    "batch",
    "hidden",
    "none",
    "lanes",
    "backprop",
    "cdni",
    "lr",
    "p",
]
PIECES += ["=", "=", "&", "~", ":", ",", "%2C", "1", "8", "-", ".5", "e3", "_", " ", "é"]


@given(st.text() | st.lists(st.sampled_from(PIECES)).map("".join))
def test_any_text_is_settings_or_a_sentence(text):
    with contextlib.suppress(ValueError):
        settings = Settings.from_text(text)
        assert Settings.from_text(settings.to_text()) == settings


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("data=moon", "data must be one of digits"),
        ("colour=red", "colour=red' is not understood"),
        ("data", "'data' is not understood"),
        ("seed=1&seed=2", "seed= is there twice"),
        ("seed=1.5", "seed must be a whole number"),
        ("seed=1_0", "seed must be a whole number"),
        ("noise=nan", "data_noise must be a number from 0 to 1"),
        ("hidden=8,x", "hidden must be a whole number"),
        ("hidden=8,8,8,8,8", "hidden must be at most 4 sizes"),
        ("hidden=1000", "units must be a whole number from 1 to 512"),
        ("lanes=backprop~lr", "write lr:1"),
        ("lanes=backprop~softmax-twice:1", "write softmax-twice"),
        ("lanes=backprop~lr:1~lr:2", "lr is there twice"),
        ("lanes=backprop~speed:1", "is not understood, a lane has lr, K"),
        ("lanes=", "rule must be one of"),
        ("lanes=" + ",".join(["backprop"] * 7), "1 to 6 lanes, got 7"),
        ("lanes=backprop~lr:1000", "lr must be a number from 1e-06 to 100"),
        ("a" * 3000, "at most 2000 letters"),
    ],
)
def test_a_malformed_address_is_an_error_in_a_sentence(text, said):
    with pytest.raises(ValueError, match=said):
        Settings.from_text(text)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([], "settings must be names with values"),
        ({"datas": "moons"}, "settings: 'datas' is unknown"),
        ({"data": 3}, "data must be one of"),
        ({"hidden": "8"}, "hidden must be at most 4 sizes"),
        ({"hidden": [8.0]}, "units must be a whole number"),
        ({"hidden": [True]}, "units must be a whole number"),
        ({"batch_size": 0}, "batch_size must be a whole number from 1"),
        ({"seed": True}, "seed must be a whole number"),
        ({"label_noise": 1.5}, "label_noise must be a number from 0 to 1"),
        ({"label_noise": None}, "label_noise must be a number"),
        ({"optimizer": "lion"}, "optimizer must be one of sgd, momentum, adam"),
        ({"activation": "step"}, "activation must be one of"),
        ({"lanes": "backprop"}, "lanes must be a list"),
        ({"lanes": []}, "1 to 6 lanes, got 0"),
        ({"lanes": [1]}, "a lane must be names with values"),
        ({"lanes": [{"rule": "magic"}]}, "rule must be one of backprop"),
        ({"lanes": [{"lr": "1"}]}, "lr must be a number"),
        ({"lanes": [{"rate": 1}]}, "a lane: 'rate' is unknown"),
        ({"lanes": [{"softmax_twice": 1}]}, "softmax_twice must be true or false"),
        ({"lanes": [{"directions": 33}]}, "directions must be a whole number from 1 to 32"),
    ],
)
def test_wrong_settings_are_an_error_in_a_sentence(values, said):
    with pytest.raises(ValueError, match=said):
        Settings.from_dict(values)


def test_numbers_are_numbers_of_one_kind():
    settings = Settings(data_noise=0, lanes=[LaneSettings(lr=1)], hidden=[4])
    assert settings == replace(settings, data_noise=0.0)
    assert isinstance(settings.lanes[0].lr, float)
    assert hash(settings)
