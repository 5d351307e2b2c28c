"""A race: its numbers are those of `fit`, whether or not somebody looks."""

import base64
import json
import math
from dataclasses import replace

import numpy as np
import pytest

import minigrad as mg
from minigrad.live import lanes, measuring, rules, sets
from minigrad.live.curves import MOST, Curves
from minigrad.live.race import NOTHING, Race
from minigrad.live.settings import LaneSettings, Settings

VIEWS = frozenset(measuring.VIEWS)


@pytest.fixture(autouse=True)
def few_digits(monkeypatch):
    """300 images of digits instead of all: `fit` looks at each of them ten times for some rules."""
    train, test = mg.data.load("digits")
    few = train.take(300), test.take(60)
    monkeypatch.setattr(sets, "_read", lambda name: few)
    sets._loaded.cache_clear()
    yield
    sets._loaded.cache_clear()


def race(*of, **settings):
    """A small one, in the plane."""
    made = [LaneSettings(*lane) if isinstance(lane, tuple) else lane for lane in of]
    usual = {"data": "moons", "hidden": (6,), "activation": "tanh", "batch_size": 250}
    return Race(Settings(**usual | settings, lanes=made))


def fitted(settings, lane, epochs, step_callback=None):
    """The same training by `fit`."""
    train, test = sets.load(settings.data, settings.data_noise, settings.label_noise, settings.seed)
    net = lanes.network(settings, lane, train)
    rule = rules.make(lane.rule, net, settings.seed, lane.directions, lane.update_probability)
    optimizer = lanes.MAKE[settings.optimizer](net, lane.lr)
    own = None
    if step_callback is not None:

        def own(step, loss):
            step_callback(step, rule, optimizer)

    history = mg.fit(
        net,
        mg.CrossEntropyLoss(),
        rule,
        optimizer,
        train,
        test,
        epochs=epochs,
        batch_size=settings.batch_size,
        seed=settings.seed,
        progress=False,
        step_callback=own,
    )
    return net, history


def equal(lane, net, history, losses):
    assert losses == history.step_loss
    assert lane.accuracy() == history.test_accuracy[-1]
    for name, value in net.params.items():
        np.testing.assert_array_equal(
            mg.backend.to_host(lane.model.params[name]), mg.backend.to_host(value)
        )


@pytest.mark.parametrize("name", rules.NAMES)
def test_a_lane_is_fit_and_looking_changes_nothing(name):
    """Step losses, weights and accuracies, for every rule, over two epochs with a smaller batch."""
    own = {"data": "digits", "batch_size": 200} if name == "ff" else {}
    lane = LaneSettings(name, 0.05, 1 if name == "es" else 2, 0.7)
    looked, alone = (race(lane, seed=3, **own) for _ in range(2))
    steps = 2 * math.ceil(len(looked.train) / looked.settings.batch_size)
    losses = []
    for _ in range(steps):
        looked.round()
        losses.append(looked.lanes[0].losses[-1])
        looked.measure(VIEWS if looked.done < 3 else frozenset())
        looked.frame()
        alone.round()
    net, history = fitted(looked.settings, lane, 2)
    equal(looked.lanes[0], net, history, losses)
    equal(alone.lanes[0], net, history, alone.lanes[0].losses)


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam"])
def test_every_lane_of_a_race_is_fit(optimizer):
    """Of several lanes, with noise on labels, and two softmaxes in one of them."""
    of = (
        LaneSettings("backprop"),
        LaneSettings("activities", 0.02, 3),
        LaneSettings("backprop", 0.3, softmax_twice=True),
    )
    three = race(*of, optimizer=optimizer, label_noise=0.2, data="spirals3")
    for _ in range(4):
        three.round()
    for lane in three.lanes:
        net, history = fitted(three.settings, lane.settings, 2)
        equal(lane, net, history, lane.losses)
    starts = {three.lanes[0].model.params["1.W"].shape, three.lanes[2].model.params["1.W"].shape}
    assert starts == {(2, 6)}


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("backprop", {"lr": 0.5}),
        ("forward", {"directions": 4}),
        ("activities", {"lr": 0.2, "directions": 3}),
        ("es", {"directions": 2}),
        ("cdni", {"update_probability": 0.3}),
    ],
)
def test_a_change_in_mid_training_is_that_of_fit(name, values):
    changed = race(LaneSettings(name, 0.05))
    for step in range(4):
        if step == 2:
            changed.change(0, **values)
        changed.round()

    def change(step, rule, optimizer):
        if step == 2:
            optimizer.lr = values.get("lr", optimizer.lr)
            if "directions" in values:
                rule.directions = values["directions"] * (20 if name == "es" else 1)
                rule.population = rule.directions  # of an evolution strategy
            if "update_probability" in values:
                rule.decoupled.probability = values["update_probability"]

    net, history = fitted(changed.settings, LaneSettings(name, 0.05), 2, change)
    equal(changed.lanes[0], net, history, changed.lanes[0].losses)
    assert changed.edition == 1
    assert changed.settings.lanes[0] == replace(LaneSettings(name, 0.05), **values)
    lane = changed.lanes[0]
    net = lanes.network(changed.settings, lane.settings, changed.train)
    options = lane.settings.directions, lane.settings.update_probability
    assert lane.rule.cost == rules.make(name, net, 0, *options).cost


@pytest.mark.on_host
def test_what_a_lane_cannot_change_is_an_error_in_a_sentence():
    one = race(("backprop",))
    for values, said in (
        ({"directions": 2}, "backprop has no directions"),
        ({"lr": 0.0}, "lr must be a number"),
        ({"lr": math.nan}, "lr must be a number"),
    ):
        with pytest.raises(ValueError, match=said):
            one.change(0, **values)
    for number in (1, -1):
        with pytest.raises(ValueError, match="there are lanes 0 to 0"):
            one.change(number, lr=0.1)
    assert one.settings.lanes == (LaneSettings("backprop"),)


@pytest.mark.on_host
@pytest.mark.parametrize("data", ["digits", "moons", "spirals", "spirals3", "circles", "xor"])
def test_every_rule_that_fits_runs(data):
    for k in range(0, len(rules.NAMES), 6):
        some = rules.NAMES[k : k + 6]
        six = race(*[(name, 0.001) for name in some], data=data, batch_size=32, hidden=(4, 4))
        six.round()
        for lane in six.lanes:
            nothing_left = lane.settings.rule == "ff" and data != "digits"
            assert lane.status == ("left out" if nothing_left else "running"), lane.why
            assert lane.done == (not nothing_left)


@pytest.mark.on_host
def test_a_rule_that_does_not_fit_is_left_out_with_its_reason():
    six = race(*[(name,) for name in ("backprop", "cdni", "fa", "pc", "ff", "guided")], hidden=())
    six.round()
    six.measure(VIEWS)
    found = {lane.settings.rule: lane.status for lane in six.lanes}
    assert found.pop("backprop") == found.pop("pc") == "running"
    assert set(found.values()) == {"left out"}
    assert six.lanes[1].why == "DNI with labels needs a hidden layer, of 32 units for example"
    assert all("\n" not in (lane.why or "") for lane in six.lanes)
    json.dumps([six.described(), six.frame()[0]], allow_nan=False)


@pytest.mark.on_host
def test_the_page_is_told_which_rules_fit():
    """Also those that are in no lane; and with which rate one begins."""
    none = race(("backprop",), hidden=()).described()["unfit"]
    assert set(none) == {
        *("cdni", "dni", "fa", "dfa", "drtp", "sign", "local", "ff", "guided", "top-layer")
    }
    assert list(race(("backprop",)).described()["unfit"]) == ["ff"]
    assert race(("backprop",), data="digits").described()["unfit"] == {}
    for name in rules.NAMES:
        for rate in rules.rates(name).values():
            assert LaneSettings(name, rate).lr == rate
    assert list(rules.rates("fa")) == list(lanes.MAKE)


@pytest.mark.on_host
def test_mnist_is_never_downloaded(monkeypatch, tmp_path):
    monkeypatch.setattr(sets.mnist, "find", lambda: None)
    assert not sets.available("mnist")
    with pytest.raises(ValueError, match="MNIST is not on this computer: `minigrad data mnist`"):
        Race(Settings(data="mnist"))


@pytest.mark.on_host
def test_a_lane_that_diverges_ends_alone():
    two = race(("backprop", 0.1), ("backprop", 100.0), activation="leakyrelu", hidden=(8, 8))
    while two.lanes[1].running and two.done < 500:
        two.round()
    two.measure(VIEWS)
    bad = two.lanes[1]
    assert (bad.status, two.lanes[0].status) == ("diverged", "running")
    assert bad.why.startswith(f"diverged at step {bad.done + 1}: the loss was ")
    _, history = fitted(two.settings, two.lanes[1].settings, 60)
    assert history.stopped.startswith("diverged")
    assert len(history.step_loss) == bad.done + 1
    two.round()
    two.measure(VIEWS)
    assert two.lanes[0].done == bad.done + 2
    assert two.running
    json.dumps(two.frame()[0], allow_nan=False)


@pytest.mark.on_host
def test_a_rule_that_raises_ends_its_lane_alone(monkeypatch):
    two = race(("backprop",), ("fa",))

    def estimate(*given):
        raise RuntimeError("out of\nchalk")

    two.round()
    monkeypatch.setattr(two.lanes[1].rule, "estimate", estimate)
    two.round()
    assert two.lanes[1].status == "failed"
    assert two.lanes[1].why == "failed at step 2: RuntimeError: out of chalk"
    monkeypatch.setattr(two.lanes[0].rule, "outputs", estimate)
    two.measure(VIEWS)
    assert two.lanes[0].why == "failed at step 2: RuntimeError: out of chalk"
    assert not two.running


# Views


def decoded(view, dtype="uint8"):
    return np.frombuffer(base64.b64decode(view), dtype)


def seen(one, name, lane=0):
    one.look(name, lane)
    return one.frame()[0]["lanes"][lane]["views"][name]


def test_views_are_what_the_library_measures():
    one = race(("top-layer", 0.2), ("backprop", 0.2), hidden=(5, 4), seed=1)
    for _ in range(4):
        one.round()
    lane = one.lanes[0]
    W = mg.backend.to_host(lane.model.params["1.W"])
    found = seen(one, "weights")
    assert found["shape"] == [5, 1, 2]
    levels = decoded(found["data"], "int8").reshape(5, 2) / 127 * found["scale"]
    np.testing.assert_allclose(levels, W.T, atol=found["scale"] / 250)
    recall = mg.diagnostics.class_recall(lane.model, lane.test.x, lane.test.y)
    assert seen(one, "recall") == {"at": 4, "recall": recall.tolist()}
    found = seen(one, "cosine")
    assert found["layers"]["1"] is None  # left out by the rule
    assert found["layers"]["5"] == pytest.approx(1)
    assert 0 < found["total"] < 1
    assert seen(one, "cosine", 1)["total"] == pytest.approx(1)

    found = seen(one, "regions")
    label, sure = (decoded(found[name]).reshape(60, 60) for name in ("class", "confidence"))
    r = one.looking.reach
    middle = (np.array([[-1, 1], [1, 1], [-1, -1]]) * r * 59 / 60).astype("float32")
    x = mg.backend.to_device(middle, like=lane.model.params["1.W"])
    p = mg.backend.to_host(mg.Softmax().forward(lane.model.forward(x, train=False)))
    corners = [(0, 0), (0, -1), (-1, 0)]
    assert [label[at] for at in corners] == p.argmax(axis=1).tolist()
    np.testing.assert_allclose([sure[at] / 255 for at in corners], p.max(axis=1), atol=0.003)

    for layer, count in (("1", 5), ("3", 4)):
        one.show_units(layer)
        found = seen(one, "units")
        assert (found["layer"], found["count"]) == (layer, count)
        h = x
        for part in lane.model.layers[: int(layer) + 2]:
            h = part.forward(h, train=False)
        low, high = np.array(found["low"]), np.array(found["high"])
        units = decoded(found["data"]).reshape(count, 60, 60)
        values = [low + (high - low) / 255 * units[(..., *at)] for at in corners]
        np.testing.assert_allclose(values, mg.backend.to_host(h), atol=(high - low).max() / 250)
    with pytest.raises(ValueError, match="layers that have: 1, 3"):
        one.show_units("5")


@pytest.mark.on_host
def test_views_of_images():
    one = race(("ff", 0.1), ("well-tempered",), data="digits", hidden=(30,), batch_size=50)
    one.round()
    one.measure(VIEWS)
    views = one.frame()[0]["lanes"][0]["views"]
    assert views["weights"]["shape"] == [24, 28, 28]
    assert views["regions"] is views["units"] is None
    assert len(views["recall"]["recall"]) == 10
    assert set(views["cosine"]["layers"]) == set(one.described()["layers"]) == {"1", "3"}
    assert len(one.looking.probe) == 50


@pytest.mark.on_host
def test_the_page_is_told_what_is_in_the_plane():
    one = race(("backprop",), label_noise=0.5, data="spirals3")
    said = one.described()
    assert said["classes"] == ["0", "1", "2"]
    assert said["address"] == one.settings.to_text()
    plane = said["plane"]
    np.testing.assert_allclose(plane["x"], one.train.x, atol=1e-4)
    wrong = np.flatnonzero(one.train.y != one.train.clean_y)
    assert plane["noisy"] == wrong.tolist()
    assert 0.5 * 400 / 3 < len(wrong) < 0.5 * 400
    low, high, *rest = plane["range"]
    assert rest == [low, high] == [-high, high]
    assert np.abs(plane["x"]).max() < high
    assert race(("backprop",), data="digits").described()["plane"] is None
    assert not one.test.noisy


@pytest.mark.on_host
def test_labels_tell_lanes_apart():
    of = [
        LaneSettings("forward", 0.01),
        LaneSettings("forward", 0.01, 4),
        LaneSettings("backprop", 0.1),
        LaneSettings("backprop", 0.1, softmax_twice=True),
        LaneSettings("cdni", update_probability=0.1),
    ]
    assert lanes.labels(tuple(of)) == [
        "forward gradient, K = 1",
        "forward gradient, K = 4",
        "backprop, one softmax",
        "backprop, two softmaxes",
        "DNI with labels, p = 0.1",
    ]


# Curves


def page(frames):
    """The points that a page has after these frames, as the page does it."""
    points = {}
    for frame in frames:
        for k, lane in enumerate(frame["lanes"]):
            for name, new in lane["points"].items():
                points[k, name] = points.get((k, name), [])[: lane["from"]] + new
    return points


@pytest.mark.on_host
def test_a_page_has_all_points_however_often_it_looks():
    two = race(("backprop", 0.05), ("backprop", 100.0), activation="leakyrelu", hidden=(8, 8))
    known, often = NOTHING, []
    for step in range(150):
        two.round()
        two.add_points()
        if step % 7 == 3:
            frame, known = two.frame(known)
            often.append(frame)
    often.append(two.frame(known)[0])
    assert page(often) == page([two.frame()[0]])
    assert two.frame()[0]["lanes"][1]["status"] == "diverged"
    points = page(often)
    assert points[0, "step"] == list(range(1, 151))
    assert points[0, "work"][-1] == 450


def row(step, loss, count=1, cosine=None):
    values = {"step": step, "accuracy": 0.5, "seconds": step / 10, "work": 3.0 * step}
    return values | {"cosine": cosine, "sum": loss * count, "count": count}


@pytest.mark.on_host
def test_long_curves_are_thinned():
    """The number of points is bounded, they are evenly apart, and the mean loss stays."""
    curves = Curves(2)
    told, known, last = {}, (0, 0), 0
    loss = np.random.default_rng(0).random(5001)
    for step in range(1, 5001):
        rows = [row(step, loss[step]), row(step, loss[step]) if step < 100 else None]
        curves.add(step, rows)
        if step % 3 == 0:
            if known[0] != curves.generation:
                known = curves.generation, 0
            for k, (before, new) in enumerate(curves.after(known[1])):
                for name, values in new.items():
                    told[k, name] = told.get((k, name), [])[:before] + values
            known = curves.generation, curves.settled
            last = step
            assert told[0, "step"] == curves.points[0]["step"]
            assert told[1, "loss"] == curves.points[1]["loss"]
    assert last == 4998
    assert curves.generation > 2
    assert max(len(values) for of in curves.points for values in of.values()) <= MOST + 1
    points = curves.points[0]
    steps = np.array(points["step"])
    assert steps[-1] == 5000
    gaps = np.diff(steps[: curves.settled])
    assert gaps.max() <= 2 * curves.distance
    assert (gaps > 0).all()
    counts = np.diff([0, *steps])
    assert np.dot(counts, points["loss"]) == pytest.approx(loss[1:].sum())
    assert curves.points[1]["step"][-1] == 99


@pytest.mark.on_host
def test_cosines_outlive_thinning():
    curves = Curves(1)
    for step in range(1, MOST + 1):
        curves.add(step, [row(step, 1.0, cosine=0.25 if step % 2 else None)])
    assert curves.points[0]["cosine"] == [0.25] * (MOST // 2)
    assert curves.points[0]["step"] == list(range(2, MOST + 1, 2))
