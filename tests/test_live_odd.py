"""`minigrad live` when things happen at odd moments: between two lines, all at once, at the end."""

import gc
import threading
import time

import pytest

pytest.importorskip("uvicorn", reason='the page needs: pip install "minigrad[live]"')

from test_live_server import Served

from minigrad.live import command, race, record
from minigrad.live.orders import Order
from minigrad.live.settings import LaneSettings, Settings

pytestmark = pytest.mark.on_host
PLANE = Settings(data="moons", hidden=(4,), lanes=(LaneSettings(),))


@pytest.fixture
def served():
    found = Served()
    yield found
    found.close()


def ten_steps(worker):
    for _ in range(10):
        worker.race.round()
        worker.race.add_points()


def test_a_race_that_begins_while_a_frame_is_written_loses_no_points(served, monkeypatch):
    """The page passes over frames of a race of which it does not know yet."""
    worker, server = served.server.worker, served.server
    written = server.race_text

    def race_text():
        found = written()
        if worker.race.number == 1:
            worker.call(lambda w: (w.restart(), ten_steps(w))).result(10)
        return found

    with served.tab() as tab:
        tab.race(lambda message: True)
        monkeypatch.setattr(server, "race_text", race_text)
        tab.send({"do": "ready"})
        tab.ask("speed", rounds=None)
        points = []
        number = 1
        for message in iter(tab.next, None):
            if message["kind"] == "race":
                number, points = message["race"], []
            if message["kind"] != "frame":
                continue
            tab.send({"do": "ready"})
            if message["race"] != number:
                worker.call(ten_steps).result(10)
                continue
            lane = message["lanes"][0]
            assert lane["from"] <= len(points)
            points = points[: lane["from"]] + lane["points"]["step"]
            if number == 2 and len(points) >= 10:
                break
            worker.call(ten_steps).result(10)
        assert points[:3] == [1, 2, 3]


def test_views_are_read_while_another_layer_is_chosen():
    """A dict that changes while it is read ended the frames of a tab."""
    one = race.Race(PLANE)
    one.look("units", 0)
    entered, go = threading.Event(), threading.Event()

    class Slow(dict):
        def items(self):
            for k, item in enumerate(super().items()):
                if k == 0:
                    entered.set()
                    go.wait(0.2)
                yield item

    one.look("weights", 0)
    one._views[0] = Slow(one._views[0])
    chooses = threading.Thread(target=lambda: (entered.wait(10), one.show_units("1"), go.set()))
    chooses.start()
    assert one.frame()[0]["lanes"][0]["views"].keys() == {"units", "weights"}
    chooses.join()
    assert one._views[0].keys() == {"weights"}


def test_a_tab_that_shows_a_layer_of_an_older_network(served):
    """It gets what there is; and when another tab closes, its views are measured no more."""
    worker = served.server.worker
    small = {"data": "moons", "hidden": [4], "lanes": [{"rule": "backprop"}]}
    with served.tab() as one:
        assert "error" not in one.ask("set", settings=small | {"hidden": [4, 5]})
        assert "error" not in one.ask("show", views=["units"], layer="3")
        with served.tab() as two:
            assert "error" not in two.ask("show", views=["weights"])
            assert "error" not in one.ask("set", settings=small)
            assert worker.show == {"units", "weights"}
        until(lambda: len(served.server.tabs) == 1)
        worker.call(lambda worker: None).result(10)
        assert worker.show == {"units"}
        frame = one.frame(lambda m: m["race"] == 3 and m["lanes"][0]["views"].get("units"))
        assert frame["lanes"][0]["views"]["units"]["layer"] == "1"


def until(condition):
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_numbers_no_float_can_hold_are_refused_in_a_sentence():
    with pytest.raises(ValueError, match="data_noise must be a number from 0 to 1"):
        Settings(data_noise=10**400)
    with pytest.raises(ValueError, match="lr must be a number"):
        LaneSettings(lr=float("nan"))


def test_what_is_done_beside_the_training_is_done_one_by_one_and_ends_with_the_server():
    served = Served()
    began, together, ended = [], [], []

    def then(number):
        began.append(number)
        time.sleep(0.3)
        together.append(len(began) - len(ended))
        ended.append(number)

    served.server.orders["slow"] = Order(lambda worker: 1, then=then)
    with served.tab() as tab:
        for number in range(20):
            tab.send({"do": "slow", "id": number})
        until(lambda: ended)
        since = time.monotonic()
        served.close()
        served.server.close()
    assert time.monotonic() - since < 4  # not 20 times 0.3
    served.server.beside.shutdown(wait=True)
    assert set(together) == {1}
    assert len(began) < 20


def test_an_error_of_which_a_closed_page_hears_nothing_is_not_printed(served, caplog):
    go = threading.Event()

    def late(worker):
        go.wait(10)
        raise ValueError("too late")

    served.server.orders["late"] = Order(late)
    with served.tab() as tab:
        tab.send({"do": "late", "id": 1})
        until(lambda: served.server.tabs and not served.server.worker._orders.qsize())
    until(lambda: not served.server.tabs)
    go.set()
    served.server.worker.call(lambda worker: None).result(10)
    with served.tab() as tab:
        tab.ask("speed", rounds=None)  # the server has heard of the error
    gc.collect()
    assert not [record for record in caplog.records if "never retrieved" in record.message]


def test_a_file_that_cannot_be_written_is_said_before_the_training(tmp_path, monkeypatch):
    (tmp_path / "there").write_text("a file")
    monkeypatch.setattr(record, "record", lambda *given: pytest.fail("it has trained"))
    with pytest.raises(OSError, match="there"):
        record.write(tmp_path / "there" / "race.html", PLANE, 10)


def test_a_recording_is_no_folder(tmp_path, monkeypatch):
    (tmp_path / "race.html").mkdir()
    monkeypatch.setattr(record, "record", lambda *given: pytest.fail("it has trained"))
    with pytest.raises(ValueError, match=r"race\.html: a folder of that name is there"):
        command._record(PLANE, tmp_path / "race.html", 10)
    (tmp_path / "there").write_text("a file")
    with pytest.raises(OSError, match="cannot write .*: a file of that name is there"):
        command._record(PLANE, tmp_path / "there" / "race.html", 10)


@pytest.mark.parametrize("host", ["ü" * 80, "a..b", "no.such.host.invalid"])
def test_a_host_that_is_none_is_said_in_words(host):
    with pytest.raises(OSError, match=f"--host {host} is no address of this computer"):
        command._listen(host, 0)
