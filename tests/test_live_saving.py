"""The order "save": what is in the folder, and that nothing is ever overwritten."""

import csv
import json
import threading
from types import SimpleNamespace
from xml.etree import ElementTree

import matplotlib.pyplot as plt
import pytest

from minigrad.live import saving
from minigrad.live.race import Race
from minigrad.live.settings import LaneSettings, Settings

pytestmark = pytest.mark.on_host
LANES = (LaneSettings("backprop"), LaneSettings("forward", 0.01), LaneSettings("backprop", 1e2))


@pytest.fixture(scope="module")
def worker():
    race = Race(Settings(data="moons", hidden=(8,), lanes=LANES))
    for _ in range(5):
        race.round()
        race.look("cosine", 0)
        race.add_points()
    return SimpleNamespace(race=race)


def test_a_folder_has_settings_histories_and_figures(worker, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = plt.get_fignums()
    found = saving.snapshot(worker)
    replies = []
    drawing = threading.Thread(target=lambda: replies.append(saving.save(found)))
    drawing.start()  # as the server does
    drawing.join()
    reply = replies[0]
    assert plt.get_fignums() == before  # no figure is left in pyplot's list
    folder = tmp_path / reply["folder"]
    assert folder == tmp_path / "results" / "live" / "1"
    assert sorted(path.name for path in folder.iterdir()) == sorted(reply["files"])
    assert {"results.json", "points.csv", "loss.svg", "loss.png", "accuracy.png"} < set(
        reply["files"]
    )
    results = json.loads((folder / "results.json").read_text(), parse_constant=pytest.fail)
    settings = Settings.from_dict(results["settings"])
    assert settings == worker.race.settings == Settings.from_text(results["address"])
    for lane, points in zip(results["lanes"], worker.race.curves.points, strict=True):
        assert lane["points"]["loss"] == points["loss"]
    rows = list(csv.DictReader((folder / "points.csv").read_text().splitlines()))
    assert [float(row["loss"]) for row in rows if row["lane"] == "1"] == (
        worker.race.curves.points[1]["loss"]
    )
    assert (folder / "loss.png").read_bytes().startswith(b"\x89PNG")
    drawn = ElementTree.parse(folder / "loss.svg").getroot()
    styles = " ".join(e.get("style", "") for e in drawn.iter())
    for colour in saving.COLOURS[:3]:
        assert colour.lower() in styles.lower()
    assert "#F0E442" not in saving.COLOURS  # yellow is not seen on white
    assert len(set(saving.COLOURS)) == len({str(dash) for dash in saving.DASHES}) == 6


def test_nothing_is_overwritten(worker, tmp_path, monkeypatch):
    monkeypatch.setattr(saving, "figures", lambda found: [])  # they take a second
    (tmp_path / "7").mkdir()
    (tmp_path / "notes").mkdir()
    found = saving.snapshot(worker)
    assert saving.save(found, tmp_path)["folder"] == str(tmp_path / "8")
    assert not any((tmp_path / "7").iterdir())


def test_the_race_may_go_on_meanwhile(worker):
    found = saving.snapshot(worker)
    before = json.dumps(found)
    worker.race.round()
    worker.race.add_points()
    assert json.dumps(found) == before


def test_a_race_without_a_point_can_be_saved(tmp_path):
    race = Race(Settings(data="xor", hidden=(4,)))
    reply = saving.save(saving.snapshot(SimpleNamespace(race=race)), tmp_path)
    assert reply["files"] == ["results.json", "points.csv"]


def test_a_folder_that_cannot_be_made_is_a_sentence(worker, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="cannot save to"):
        saving.save(saving.snapshot(worker), tmp_path / "file")
