"""What the live page says is so: of each rule, in its tours, and in the code that it shows."""

import argparse
import base64
import contextlib
import io
import json
import math
import re
import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT

import minigrad as mg
from minigrad import cli
from minigrad.compare.rules import RULES
from minigrad.live import code, command
from minigrad.live import rules as live_rules
from minigrad.live.about import ABOUT, about
from minigrad.live.presets import PRESETS
from minigrad.live.race import Race
from minigrad.live.settings import LaneSettings, Settings
from minigrad.live.tours import ALL, TOURS
from minigrad.models import ACTIVATIONS

pytestmark = pytest.mark.on_host
PAGE = Path(code.__file__).parent / "page"
VIEWS = {"cosine", "weights", "recall", "regions", "units"}


# ------------------------------------------------------------------ what is said of each rule


def sizes(net):
    return sum(p.size for p in net.params.values())


def said_cost(name, rule, net):
    """The cost that the page states, as a number."""
    K = rule.population / 20 if name == "es" else getattr(rule, "directions", 1)
    values = {"K": K, "p": getattr(rule, "update_probability", 1)}
    inner = rule.rule if name == "guided" else rule
    if name in ("cdni", "dni", "guided"):
        values["m"] = 2 * sum(sizes(module.net) for module in inner.modules) / sizes(net)
    if name == "local":
        values["h"] = sum(sizes(head.net) for head in rule.modules) / sizes(net)
    values["t"] = sizes(net.layers[-1]) / sizes(net)
    formula = re.sub(r"(\d) ([A-Za-z])", r"\1 * \2", ABOUT[name].cost)
    return eval(formula, values)


def test_each_rule_has_an_entry_and_no_other():
    assert list(ABOUT) == list(RULES)


@pytest.mark.parametrize("name", RULES)
def test_what_is_said_of_a_rule(name):
    net = mg.models.mlp((784, 16, 12, 10), seed=0)
    rule = RULES[name].make(net, 0)
    assert said_cost(name, rule, net) == pytest.approx(rule.cost)
    entry = ABOUT[name]
    (lesson,) = [one for one in cli.lessons() if one.path.stem == entry.lesson]
    doc = type(rule).__doc__
    assert entry.taught == ("Taught in" in doc)
    assert not entry.taught or entry.lesson in doc
    said = about(name)
    assert said["title"] == RULES[name].title
    assert said["lesson"].endswith(f"minigrad run {lesson.number}")
    assert (ROOT / said["lesson_file"]).is_file()
    for sentence in (*said["needs"], said["watch"]):
        assert sentence.endswith(".")
    assert said["equation"].count("\n") <= 1
    for year in re.findall(r"\d{4}", entry.source):
        assert year in doc


# ------------------------------------------------------------------ the tours


@pytest.mark.parametrize("tour", ALL, ids=lambda tour: tour.name)
def test_a_tour_can_be_taken(tour):
    """Every settings is valid, every view and place exists, and the page gets plain data."""
    assert 5 <= len(tour.steps) <= 8
    assert tour.steps[0].settings is not None
    assert tour.steps[-1].question.endswith("?")
    assert tour.steps[-1].answer
    page = (PAGE / "index.html").read_text()
    lanes = 0
    done = 0
    for step in tour.steps:
        if step.settings is not None:
            assert Settings.from_dict(step.settings.as_dict()) == step.settings
            lanes, done = len(step.settings.lanes), 0
        if step.until is not None:
            assert step.until > done
            done = step.until
        if card := re.fullmatch(r"lane (\d)", step.at):
            assert 1 <= int(card[1]) <= lanes
        else:
            assert f'id="{step.at}"' in page, step.at
        assert set(step.show or ()) <= VIEWS
        assert len(step.text) <= 3
        for seen in (*step.seen, *step.answered):
            assert "{" not in seen.sentence()
            assert (
                0 <= seen.lane < len((step.tried or step.settings or tour.steps[0].settings).lanes)
            )
    (data,) = [data for data in TOURS if data["name"] == tour.name]
    assert json.loads(json.dumps(data)) == data


# ------------------------------------------------------------------ the code of a lane


class Racing:
    """A race, as orders see it, without a thread."""

    def __init__(self, settings, rounds):
        self.race = Race(settings)
        for _ in range(rounds):
            self.race.round()


def told(text, **more):
    """The names that a script leaves behind."""
    names = dict(more)
    with contextlib.redirect_stdout(io.StringIO()):
        exec(compile(text, "<the page>", "exec"), names)
    return names


DIGITS = Settings(hidden=(16,), batch_size=64, lanes=(LaneSettings("backprop", 0.1),))
TRAINED = {
    "backprop": DIGITS,
    "noise on labels": replace(DIGITS, label_noise=0.3, seed=3, optimizer="adam"),
    "two softmaxes": replace(
        DIGITS, activation="sigmoid", lanes=(LaneSettings("backprop", 1.0, softmax_twice=True),)
    ),
    "K": Settings(
        data="moons",
        data_noise=0.2,
        hidden=(8, 6),
        activation="tanh",
        lanes=(LaneSettings("forward", 0.05, directions=4),),
    ),
    "update probability": replace(
        DIGITS, lanes=(LaneSettings("cdni", 0.03, update_probability=0.5),), optimizer="momentum"
    ),
    "three classes": Settings(
        data="spirals3",
        hidden=(6,),
        activation="gelu",
        lanes=(LaneSettings("activities", 0.05, directions=2),),
    ),
}


@pytest.mark.parametrize("name", TRAINED)
def test_the_lines_of_python_do_what_the_lane_does(name):
    settings = TRAINED[name]
    rounds = math.ceil(len(Race(settings).lanes[0].train) / settings.batch_size)
    worker = Racing(settings, rounds)
    lane = worker.race.lanes[0]
    text = code.code(worker, 0)["python"]
    assert text.count("\n") <= 16
    names = told(text)
    assert names["history"].step_loss == pytest.approx(lane.losses, rel=0, abs=0)
    for key, array in lane.model.state_dict().items():
        np.testing.assert_array_equal(names["net"].state_dict()[key], array)


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_as_it_is_typed_is_the_lanes(rule):
    worker = Racing(Settings(hidden=(8,), seed=5, lanes=(LaneSettings(rule, 0.01, 4),)), 0)
    lane = worker.race.lanes[0]
    typed = code.rule_text(lane.settings, 5, 10)
    assert repr(eval(typed, {"mg": mg, "net": lane.model})) == repr(lane.rule)
    if rule in live_rules.OPTIONS:
        assert code.rule_text(replace(lane.settings, directions=1), 5, 10)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_network_in_pytorch(activation, tmp_path, monkeypatch):
    torch = pytest.importorskip("torch")
    lanes = (LaneSettings("backprop", 0.1), LaneSettings("backprop", 0.1, softmax_twice=True))
    for shared in ({"data": "moons", "hidden": (8,)}, {"hidden": (16, 12)}):
        worker = Racing(Settings(activation=activation, lanes=lanes, **shared), 3)
        for k, lane in enumerate(worker.race.lanes):
            found = code.code(worker, k)
            monkeypatch.chdir(tmp_path)
            if found["file"]:
                file = code.weights(worker, k)
                assert file["file"] == found["file"]
                (tmp_path / file["file"]).write_bytes(base64.b64decode(file["data"]))
            assert (found["file"] is None) == (worker.race.settings.data == "moons")
            net = told(found["pytorch"])["net"]
            x = lane.test.x[:20]
            with torch.no_grad():
                theirs = net(torch.from_numpy(x)).numpy()
            ours = lane.model.forward(x, train=False)
            np.testing.assert_allclose(theirs, ours, atol=1e-6, rtol=1e-6)


def test_a_lane_that_is_not_there():
    worker = Racing(DIGITS, 0)
    with pytest.raises(ValueError, match="there are lanes 0 to 0"):
        code.code(worker, 1)


# ------------------------------------------------------------------ the page for teachers


def test_the_page_for_teachers():
    """Its presets, tours, commands and lessons are there; the README counts the rules right."""
    text = (ROOT / "docs" / "live.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`[a-z].*?) \|", text, re.MULTILINE)
    assert re.findall(r"`(.+?)`", " ".join(rows)) == list(PRESETS)
    for tour in ALL:
        assert f'"{tour.title}"' in text.replace("\n", " ")
    parser = argparse.ArgumentParser(exit_on_error=False)
    command.add_arguments(parser)
    for line in re.findall(r"(?:`|^ {4})minigrad live ?([^`\n]*)", text, re.MULTILINE):
        command.chosen(parser.parse_args(shlex.split(line)))
    assert f"{len(RULES)} rules" in (ROOT / "README.md").read_text(encoding="utf-8")
