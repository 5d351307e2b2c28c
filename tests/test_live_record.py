"""A recorded race: one file, which a browser replays without a server and without a request."""

import base64
import gzip
import json

import numpy as np
import pytest
from pages import started

from minigrad.live import inlining, record
from minigrad.live.race import Race
from minigrad.live.settings import LaneSettings, Settings

pytestmark = pytest.mark.on_host
LANES = (LaneSettings("backprop"), LaneSettings("forward", 0.01), LaneSettings("forward", 1e2))
SETTINGS = Settings(data="moons", hidden=(8, 4), lanes=LANES)
STEPS = 40


@pytest.fixture(scope="module")
def recorded():
    return record.record(Race(SETTINGS), STEPS, frames=10)


def unpacked(text):
    """What recorded.js makes of it, here in Python: frames with bytes again."""
    said, joined = (gzip.decompress(base64.b64decode(part)) for part in text.split())
    found = json.loads(said, parse_constant=pytest.fail)
    before = {}
    for frame in found["frames"]:
        for k, lane in enumerate(frame["lanes"]):
            for name, view in lane["views"].items():
                for field, value in view.items():
                    if isinstance(value, dict) and "bytes" in value:
                        place, length = value["bytes"]
                        own = np.frombuffer(joined[place : place + length], "uint8")
                        last = before.get((k, name, field))
                        if last is not None and len(last) == length:
                            own = own + last
                        before[k, name, field] = own
                        view[field] = base64.b64encode(own.tobytes()).decode()
    return found


def test_what_is_packed_is_what_was_measured(recorded):
    found = unpacked(record.packed(recorded))
    assert found["race"]["settings"] == SETTINGS.as_dict()
    assert found["frames"][0]["step"] == 0
    assert found["frames"][-1]["step"] == STEPS
    for frame, own in zip(found["frames"], recorded["frames"], strict=True):
        for lane, mine in zip(frame["lanes"], own["lanes"], strict=True):
            assert (lane["status"], lane["points"]) == (mine["status"], mine["points"])
            for name, view in lane["views"].items():
                for field in ("data", "class", "confidence"):
                    assert view.get(field) == mine["views"][name].get(field)
    last = found["frames"][-1]["lanes"][0]["views"]
    assert {"regions", "recall", "cosine", "units/1", "units/3"} <= set(last)


def test_views_are_taken_less_often_until_they_fit(recorded):
    whole = record.packed(recorded, budget=10**9)
    small = record.packed(recorded, budget=30_000)
    assert len(small) < len(whole) / 2
    frames = unpacked(small)["frames"]
    assert len(frames) == len(recorded["frames"])
    assert "units/1" in frames[-1]["lanes"][0]["views"]  # the last frame has everything


def test_the_curves_are_those_of_the_race(recorded):
    race = Race(SETTINGS)
    for _ in range(STEPS):
        race.round()
    frame = recorded["frames"][-1]
    for k, lane in enumerate(race.lanes):
        assert frame["lanes"][k]["status"] == lane.status
        if lane.running:
            accuracy = recorded["curves"][k]["accuracy"][-1]
            assert accuracy == pytest.approx(lane.accuracy(), abs=1e-5)
    assert frame["lanes"][2]["status"] == "diverged"
    assert frame["lanes"][0]["status"] == "running"


def test_steps_are_close_together_where_most_changes():
    found = record.chosen(2000)
    assert (found[0], found[-1]) == (0, 2000)
    assert len(found) == record.FRAMES + 1 or len(found) > 150
    assert np.all(np.diff(found) > 0)
    assert found[2] - found[1] < found[-1] - found[-2]
    assert record.chosen(3) == [0, 1, 2, 3]


# ------------------------------------------------------------------ the inliner


def test_modules_are_inlined_with_all_that_they_import(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "a.js").write_text(
        'import { b } from "./b.js";\nimport "./deep/c.js";\nexport { b } from \'./b.js\';\n'
        'const later = () => import("./deep/d.js");\nconst text = "./b.js";\n'
    )
    (tmp_path / "b.js").write_text(
        'import * as a from "./a.js";\nexport const b = 1;\n'
    )  # a circle
    (tmp_path / "deep" / "c.js").write_text('import { b } from "../b.js";\n')
    (tmp_path / "deep" / "d.js").write_text("export default 4;\n")
    modules = {}
    inlining.collect(tmp_path, "a.js", modules)
    assert sorted(modules) == ["page/a.js", "page/b.js", "page/deep/c.js", "page/deep/d.js"]
    assert 'from "page/b.js"' in modules["page/a.js"]
    assert "from 'page/b.js'" in modules["page/a.js"]
    assert 'import("page/deep/d.js")' in modules["page/a.js"]
    assert 'const text = "./b.js"' in modules["page/a.js"]
    assert 'from "page/b.js"' in modules["page/deep/c.js"]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        (
            "index.html",
            '<head></head><script src="https://x/y.js"></script></body>',
            "not in the page",
        ),
        ("index.html", "<head></head><script>1</script><script></script></body>", "without src"),
        (
            "index.html",
            '<head><link rel="stylesheet" href="page/s.css"></head></body>',
            "another file",
        ),
        ("index.html", "<p>", "no <head>"),
        ("a.js", "new URL('x', import.meta.url)", "import.meta"),
        ("a.js", 'import "./b.js"', "no b.js"),
    ],
)
def test_what_cannot_be_inlined_is_said(tmp_path, name, content, said):
    (tmp_path / "s.css").write_text("body { background: url(picture.png) }")
    (tmp_path / "index.html").write_text(
        '<head></head><script type="module" src="page/a.js"></script></body>'
    )
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=said):
        inlining.page(tmp_path, "")


# ------------------------------------------------------------------ in a browser


@pytest.fixture(scope="module")
def browser():
    with started() as found:
        yield found


SLIDE = """((to) => {
    const slider = document.querySelector("#timeline input");
    slider.value = to < 0 ? slider.max : to;
    slider.dispatchEvent(new Event("input"));
})"""


def test_the_page_replays_the_race_without_a_request(browser, recorded, tmp_path):
    path = tmp_path / "race.html"
    text = inlining.page(record.PAGE, record.packed(recorded), styles=("recorded.css",))
    path.write_text(text, encoding="utf-8")
    assert path.stat().st_size < 1_000_000
    assert "Permission is hereby granted" in text  # the licence of what others have written
    browser.viewport(1280, 720)
    browser.open(path.as_uri())
    state = "window.minigrad?.state"
    browser.until(f"{state}?.lanes.length === 3 && {state}.step === 0")
    assert browser.value("document.body.classList.contains('recorded')")
    hidden = "e => getComputedStyle(e).display === 'none'"
    assert browser.value(f"[...document.querySelectorAll('.orders')].every({hidden})")

    # The slider: to the end, back into the middle, to the end again.
    frames = recorded["frames"]
    for to in (-1, len(frames) // 2, -1):
        browser.value(f"{SLIDE}({to})")
        browser.until(f"{state}.step === {frames[to]['step']}")
        for k in range(3):
            own = recorded["curves"][k]["loss"][: frames[to]["lanes"][k]["points"]]
            shown = browser.value(f"Array.from({state}.lanes[{k}].points.loss)")
            assert shown == pytest.approx(own, nan_ok=True)
            assert browser.value(f"{state}.lanes[{k}].status") == frames[to]["lanes"][k]["status"]
    browser.until("document.body.innerText.includes('diverged')")

    # Play, from the begin again and to the end.
    browser.value("document.querySelector('#timeline select').value = '4'")
    browser.value("document.querySelector('#timeline select').dispatchEvent(new Event('change'))")
    browser.value("document.querySelector('#timeline button').click()")
    browser.until(f"{state}.step > 0 && {state}.step < {STEPS}")
    browser.until(f"{state}.step === {STEPS}")
    assert browser.value("document.querySelector('#timeline button').textContent") == "Play"

    # Orders that need a server say so; views are in the file.
    browser.value("window.minigrad.context.send({do: 'save'}).catch(e => window.said = e.message)")
    browser.until("(window.said || '').includes('recording')")
    browser.value("window.minigrad.context.send({do: 'show', views: ['regions'], layer: null})")
    browser.until(f"Boolean({state}.lanes[0].views?.regions)")
    shown = browser.value(f"{state}.lanes[0].views.regions.class")
    assert shown == frames[-1]["lanes"][0]["views"]["regions"]["class"]
    browser.picture("recorded")

    assert not browser.complaints()
    addresses = set(browser.requests())
    assert {a for a in addresses if not a.startswith("data:")} <= {path.as_uri(), "about:blank"}
