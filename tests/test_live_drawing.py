"""What is drawn on the page of `minigrad live` has the data's form, and every lane reads it."""

import base64
from types import SimpleNamespace

import numpy as np
import pytest
from strokes import drawn

import minigrad as mg
from minigrad import backend
from minigrad.live import drawing
from minigrad.live.race import Race
from minigrad.live.settings import LaneSettings, Settings


def worker(*rules, **given):
    lanes = tuple(LaneSettings(rule, 0.1) for rule in rules or ("backprop",))
    return SimpleNamespace(race=Race(Settings(lanes=lanes, **given)))


def order(name, of, **fields):
    """Carry out an order of the page, with its fields checked as the server does it."""
    act, checks = drawing.ORDERS[name][:2]
    return act(of, **{field: checks[field](value) for field, value in fields.items()})


def sent(picture):
    return {"pixels": base64.b64encode(picture.tobytes()).decode(), "side": len(picture)}


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


@pytest.fixture(scope="module")
def learned():
    """A race that has learned the digits."""
    of = worker(hidden=(32,))
    for _ in range(600):
        of.race.round()
    return of


def winners(of, **how):
    found = [order("read", of, **sent(drawn(digit, **how)))["lanes"][0] for digit in range(10)]
    return [int(np.argmax(said["probabilities"])) for said in found]


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"slant": 0.25},
        {"slant": -0.1, "brush": 0.16},
        {"size": 0.4, "at": (0.35, 0.6), "brush": 0.08},
    ],
    ids=["upright", "slanting", "thick, the other way", "small, thin, in a corner"],
)
@pytest.mark.on_host
def test_drawn_digits_are_read(learned, how):
    found = winners(learned, **how)
    assert sum(a == b for a, b in enumerate(found)) >= 9, found


@pytest.mark.on_host
@pytest.mark.slow  # reading MNIST's files and training take some seconds
@pytest.mark.skipif(mg.data.mnist.find() is None, reason="MNIST is not on disk")
def test_drawn_digits_are_read_by_a_network_for_mnist():
    train = mg.data.load("mnist")[0].take(np.arange(6000))
    net = mg.models.mlp((784, 32, 10), seed=0)
    sgd = mg.SGD(net, lr=0.1)
    given = {"epochs": 4, "batch_size": 32, "progress": False}
    mg.fit(net, mg.CrossEntropyLoss(), mg.rules.Backprop(), sgd, train, **given)
    pictures = [drawing.as_in("mnist", drawn(digit) / 255) for digit in range(10)]
    found = net.forward(np.stack(pictures)[:, None], train=False).argmax(axis=1)
    assert (found == np.arange(10)).sum() >= 9, found


@pytest.mark.on_host
def test_a_drawing_has_the_form_of_the_embedded_digits():
    train, _ = mg.data.load("digits")
    ink = train.x[:, 0, 2:26, 2:26].mean(axis=(1, 2))
    assert abs(ink.mean() - drawing.INK * 20 / 32) < 0.01
    for digit in range(10):
        y = drawing.like_digits(drawn(digit) / 255)
        assert y.shape == (28, 28)
        assert y.dtype == np.float32
        assert y[2:26, 2:26].sum() == y.sum()
        cells = y[3:26:3, 3:26:3] * 16
        np.testing.assert_array_equal(cells, np.rint(cells))
        np.testing.assert_array_equal(cells.repeat(3, 0).repeat(3, 1) / 16, y[2:26, 2:26])
        assert cells.sum() == round(drawing.INK * 640)  # as many as in the data
        rows = np.flatnonzero(cells.sum(axis=1))
        assert (rows[0], rows[-1]) == (0, 7)


@pytest.mark.on_host
@pytest.mark.parametrize("data", ["digits", "mnist"])
def test_where_and_how_large_one_draws_hardly_matters(data):
    for digit in (0, 1, 4, 7):
        whole = drawing.as_in(data, drawn(digit, size=0.8) / 255)
        small = drawing.as_in(data, drawn(digit, size=0.5, at=(0.7, 0.3)) / 255)
        likeness = (whole * small).sum() / np.sqrt((whole**2).sum() * (small**2).sum())
        assert likeness > 0.93, (digit, likeness)


@pytest.mark.on_host
def test_odd_drawings():
    for draw in (
        lambda p: p.__setitem__((slice(50, 55), slice(50, 55)), 255),  # a dot
        lambda p: p.__setitem__((slice(None), slice(50, 60)), 255),  # from rim to rim
        lambda p: p.__setitem__((slice(50, 53), slice(5, 100)), 255),  # a line
        lambda p: p.__setitem__((slice(20, 90), slice(20, 90)), 255),  # a square
    ):
        p = np.zeros((112, 112), np.uint8)
        draw(p)
        for data in ("digits", "mnist"):
            y = drawing.as_in(data, p / np.float32(255))
            assert y.shape == (28, 28)
            assert np.isfinite(y).all()
            assert 0 < y.max() <= 1


def test_probabilities_are_those_of_each_rule():
    of = worker("backprop", "ff", hidden=(8,))
    for _ in range(3):
        of.race.round()
    found = order("example", of, index=7)
    test = of.race.test
    assert found["label"] == int(test.y[7])
    assert found["count"] == len(test)
    image = np.frombuffer(base64.b64decode(found["image"]), np.uint8).reshape(28, 28) / 255
    np.testing.assert_allclose(image, backend.to_host(test.x[7, 0]), atol=1 / 255)
    for lane, said in zip(of.race.lanes, found["lanes"], strict=True):
        x = lane.test.x[7:8]
        expected = softmax(backend.to_host(lane.rule.outputs(lane.model, x)).astype(float))
        np.testing.assert_allclose(said["probabilities"], expected[0], atol=1e-4)
        assert abs(sum(said["probabilities"]) - 1) < 1e-3


def test_a_point_of_the_plane():
    of = worker(data="moons", hidden=(8,))
    of.race.round()
    said = order("at", of, point=[0.5, -1])["lanes"][0]["probabilities"]
    lane = of.race.lanes[0]
    x = backend.to_device(np.array([[0.5, -1]], np.float32), lane.test.x)
    expected = softmax(backend.to_host(lane.model.forward(x, train=False)).astype(float))
    np.testing.assert_allclose(said, expected[0], atol=1e-4)
    with pytest.raises(ValueError, match="choose digits"):
        order("read", of, **sent(drawn(3)))


@pytest.mark.on_host
def test_lanes_that_cannot_read_say_nothing():
    of = worker("backprop", "backprop", hidden=(8,))
    of.race.lanes[0].model.params["1.W"][...] = np.nan
    lanes = order("read", of, **sent(drawn(3)))["lanes"]
    assert lanes[0] is None
    assert lanes[1] is not None
    of.race.lanes[1].status = "left out"
    assert order("example", of, index=0)["lanes"] == [None, None]


@pytest.mark.on_host
def test_reading_changes_no_training():
    plain, read = (
        worker("cdni", "activities", hidden=(8,)),
        worker("cdni", "activities", hidden=(8,)),
    )
    for k in range(4):
        plain.race.round()
        read.race.round()
        order("read", read, **sent(drawn(k)))
        order("example", read, index=k)
    for a, b in zip(plain.race.lanes, read.race.lanes, strict=True):
        assert all(np.array_equal(a.model.params[n], b.model.params[n]) for n in a.model.params)


@pytest.mark.on_host
@pytest.mark.parametrize(
    ("name", "fields", "words"),
    [
        ("read", {"pixels": "AAAA", "side": 112}, "112 x 112"),
        ("read", {"pixels": "?", "side": 112}, "base64"),
        ("read", {"pixels": 7, "side": 112}, "base64"),
        ("read", {"pixels": "A" * 200_000, "side": 280}, "at most"),
        ("read", {"pixels": "", "side": 5}, "28 to 280"),
        ("read", {"pixels": "", "side": True}, "whole"),
        ("read", sent(np.zeros((112, 112), np.uint8)), "nothing is drawn"),
        ("example", {"index": 10**6}, "0 to 359"),
        ("example", {"index": -1}, "whole"),
        ("at", {"point": [0, 0]}, "moons"),
        ("at", {"point": [0, float("nan")]}, "point of the plane"),
        ("at", {"point": [0, 10**400]}, "point of the plane"),
        ("at", {"point": ["0", 1]}, "point of the plane"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_sentence(name, fields, words):
    with pytest.raises(ValueError, match=words):
        order(name, SHARED, **fields)


SHARED = worker(hidden=(4,))
