"""The server of `minigrad live`: who may come in, what it says to odd messages, tabs and frames."""

import contextlib
import http.client
import json
import socket
import threading
import time
from pathlib import Path

import pytest

pytest.importorskip("uvicorn", reason='the page needs: pip install "minigrad[live]"')
websockets = pytest.importorskip("websockets.sync.client")

from websockets.exceptions import ConnectionClosed, InvalidStatus  # noqa: E402

from minigrad.live import protocol, serving  # noqa: E402
from minigrad.live.orders import Order  # noqa: E402
from minigrad.live.server import PAGE, TABS, Server  # noqa: E402
from minigrad.live.settings import LaneSettings, Settings  # noqa: E402

pytestmark = pytest.mark.on_host
LANES = (LaneSettings("backprop", 0.1), LaneSettings("forward", 0.01))


class Served:
    """A server that runs in a thread."""

    def __init__(self):
        listening = socket.create_server(("127.0.0.1", 0))
        self.port = listening.getsockname()[1]
        hosts = frozenset({"127.0.0.1", "localhost"})
        self.server = Server(Settings(lanes=LANES, hidden=(8,)), self.port, hosts)
        self.running = serving.UntilCtrlC(serving.config(self.server))
        self.thread = threading.Thread(target=self.running.run, kwargs={"sockets": [listening]})
        self.thread.start()

    def close(self):
        self.running.should_exit = self.running.force_exit = True
        self.thread.join()
        self.server.worker.end()
        self.server.worker.join()

    @property
    def cookie(self):
        return f"{self.server.cookie}={self.server.token}"

    def get(self, path, **headers):
        """(status, headers, body)."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        found = answer.status, dict(answer.getheaders()), answer.read()
        connection.close()
        return found

    def tab(self, cookie=None, origin=None, host="127.0.0.1"):
        return Tab(
            websockets.connect(
                f"ws://127.0.0.1:{self.port}/socket",
                origin=f"http://{host}:{self.port}" if origin is None else origin,
                additional_headers={"Cookie": self.cookie if cookie is None else cookie},
                compression=None,
                open_timeout=10,
                close_timeout=1,
                proxy=None,
            )
        )


class Tab:
    """A page, as far as the server can tell."""

    def __init__(self, connecting):
        self.connecting = connecting
        self.said = []  # all messages so far
        self.number = 0

    def __enter__(self):
        self.connection = self.connecting.__enter__()
        return self

    def __exit__(self, *exception):
        self.connecting.__exit__(*exception)

    def next(self, seconds=10):
        self.said.append(
            json.loads(self.connection.recv(timeout=seconds), parse_constant=pytest.fail)
        )
        return self.said[-1]

    def until(self, meant, seconds=10):
        """The next message for which this is true."""
        end = time.monotonic() + seconds
        while True:
            found = self.next(max(0.01, end - time.monotonic()))
            if found["kind"] == "frame":
                self.send({"do": "ready"})
            if meant(found):
                return found

    def send(self, message):
        self.connection.send(message if isinstance(message, (str, bytes)) else json.dumps(message))

    def ask(self, do, **fields):
        """The reply to an order."""
        self.number += 1
        self.send({"do": do, "id": self.number, **fields})
        return self.until(lambda m: m["kind"] == "reply" and m["to"] == self.number)

    def latest(self, kind, meant):
        """The last message of a kind, if this is true of it, or the next one of which it is."""
        before = [message for message in self.said if message["kind"] == kind]
        if before and meant(before[-1]):
            return before[-1]
        return self.until(lambda m: m["kind"] == kind and meant(m))

    def frame(self, meant=lambda frame: True):
        return self.latest("frame", meant)

    def race(self, meant=lambda race: True):
        return self.latest("race", meant)


@pytest.fixture(scope="module")
def served():
    found = Served()
    yield found
    found.close()


@pytest.fixture
def tab(served):
    with served.tab() as found:
        assert "error" not in found.ask("restart")
        yield found
        assert "error" not in found.ask("play", on=False)


def eventually(true, seconds=10):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


# ------------------------------------------------------------------ who may come in


def test_the_address_with_its_token_gives_a_cookie_that_opens_the_rest(served):
    status, headers, body = served.get(f"/?token={served.server.token}")
    assert status == 200
    assert b"minigrad live" in body
    given = headers["set-cookie"].lower()
    assert f"minigrad-live-{served.port}=" in given  # ports of a host share their cookies
    assert "httponly" in given
    assert "samesite=strict" in given
    assert served.get("/", Cookie=served.cookie)[0] == 200
    kind = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
    for name in ("app.js", "style.css", "icon.svg", "vendor/uPlot.min.css"):
        status, headers, body = served.get(f"/page/{name}", Cookie=served.cookie)
        assert status == 200
        assert body == (PAGE / name).read_bytes()
        assert headers["content-type"].startswith(kind[Path(name).suffix])
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert headers["referrer-policy"] == "no-referrer"
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
    assert served.get("/favicon.ico", Cookie=served.cookie)[0] == 200


@pytest.mark.parametrize("path", ["/", "/page/app.js", "/favicon.ico"])
@pytest.mark.parametrize("token", ["", "x", "é", "{token}x", "{short}"])
def test_without_the_token_nothing_is_shown(served, path, token):
    own = served.server.token
    token = token.format(token=own, short=own[:-1]).encode().decode("latin-1")
    for status, _, body in (
        served.get(path, Cookie=f"{served.server.cookie}={token}"),
        served.get(path, Cookie=f"minigrad={own}"),
        served.get(f"{path}?token=x"),
        served.get(path),
    ):
        assert status == 403
        assert b"address that `minigrad live` printed" in body


@pytest.mark.parametrize(
    "path",
    [
        "/page/../server.py",
        "/page/%2e%2e/server.py",
        "/page/..%2fserver.py",
        "/page/..\\server.py",
        "/page//etc/passwd",
        "/page/%2fetc%2fpasswd",
        "/page/vendor/../../server.py",
        "/page/%00",
        "/page/" + "a" * 3000,
        "/page/vendor",
        "/page/",
        "/server.py",
    ],
)
def test_no_path_leads_out_of_the_page(served, path):
    status, _, body = served.get(path, Cookie=served.cookie)
    assert status == 404
    assert b"import" not in body


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", ""]
)
def test_a_name_that_was_made_to_lead_here_is_refused(served, host):
    """DNS rebinding: the Host header is that of the other page."""
    host = host.format(port=served.port)
    assert served.get(f"/?token={served.server.token}", Host=host)[0] == 400


def test_localhost_is_this_computer_too(served):
    own = f"localhost:{served.port}"
    assert served.get(f"/?token={served.server.token}", Host=own)[0] == 200


def test_addresses_and_own_names_are_known_where_other_computers_may_come():
    server = Server(Settings(lanes=LANES[:1]), 8000)
    for host in (
        "192.168.1.7:8000",
        "[fe80::1]:8000",
        "localhost:8000",
        socket.gethostname() + ":8000",
    ):
        assert server.known_host(host), host
    for host in ("evil.example:8000", "192.168.1.7:8001", "192.168.1.7", "", ":8000", "[::1]"):
        assert not server.known_host(host), host
    server.worker.end()
    server.worker.join()


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1", ""])
def test_a_page_of_another_server_gets_no_websocket(served, origin):
    with pytest.raises(InvalidStatus) as refused, served.tab(origin=origin):
        pass
    assert refused.value.response.status_code == 403


def test_a_websocket_without_the_token_is_closed(served):
    for cookie in ("", "minigrad-live=x", f"{served.server.cookie}=x"):
        with served.tab(cookie=cookie) as tab, pytest.raises(ConnectionClosed) as closed:
            tab.next()
        assert closed.value.rcvd.code == 4403
        assert not served.server.tabs


def test_too_many_tabs_are_refused_and_there_is_room_when_one_closes(served):
    with contextlib.ExitStack() as tabs:
        for _ in range(TABS):
            assert tabs.enter_context(served.tab()).next()["kind"] == "hello"
        with served.tab() as late, pytest.raises(ConnectionClosed) as closed:
            late.next()
        assert closed.value.rcvd.code == 4429
        assert "close one" in closed.value.rcvd.reason
    eventually(lambda: not served.server.tabs)
    with served.tab() as tab:
        assert tab.next()["kind"] == "hello"


# ------------------------------------------------------------------ odd messages

DEEP = "[" * 100_000 + "]" * 100_000
ODD = {
    "": "not JSON",
    "{": "not JSON",
    "[]": "an object",
    "null": "an object",
    "{}": "name of an order",
    '{"do": 3}': "name of an order",
    '{"do": "no such order"}': "there is no order 'no such order'",
    '{"do": "__class__"}': "there is no order",
    '{"do": "play"}': "'play' needs 'on'",
    '{"do": "play", "on": 1}': "true or false",
    '{"do": "play", "on": NaN}': "NaN is no number",
    '{"do": "rate", "lane": 0}': "needs 'lr'",
    '{"do": "rate", "lane": 99, "lr": 0.1}': "there are lanes 0 to 1",
    '{"do": "rate", "lane": -1, "lr": 0.1}': "whole number",
    '{"do": "rate", "lane": 0.5, "lr": 0.1}': "whole number",
    '{"do": "rate", "lane": true, "lr": 0.1}': "whole number",
    '{"do": "rate", "lane": 0, "lr": "0.1"}': "expected a number",
    '{"do": "rate", "lane": 0, "lr": 1e999}': "expected a number",
    '{"do": "rate", "lane": 0, "lr": -1}': "above 0",
    '{"do": "rate", "lane": 0, "lr": ' + "9" * 400 + "}": "too large",
    '{"do": "rate", "lane": 0, "lr": ' + "9" * 9000 + "}": "not JSON",
    '{"do": "speed", "rounds": 0}': "above 0",
    '{"do": "speed", "rounds": 1e8}': "from 0.1 to 1000",
    '{"do": "set", "settings": []}': "an object",
    '{"do": "preset", "name": "no such"}': "no preset 'no such'",
    '{"do": "preset", "name": []}': "expected text",
    '{"do": "address", "text": "data=no-such"}': "no-such",
    '{"do": "option", "lane": 0, "name": "no such", "value": 1}': "options",
    '{"do": "set", "settings": {"no such": 1}}': "no such",
    '{"do": "set", "settings": {"lanes": [{"rule": "x"}]}}': "x",
    '{"do": "show", "views": "cosine"}': "list of at most",
    '{"do": "show", "views": [1]}': "expected text",
    '{"do": "show", "views": [], "layer": {}}': "expected text",
    '{"do": "step", "id": -1}': "'id' must be",
    '{"do": "step", "id": "x"}': "'id' must be",
    DEEP: "nested",
    b"\x00\x01": "bytes came",
}


def test_each_odd_message_is_answered_in_a_sentence_and_the_race_goes_on(tab):
    assert "error" not in tab.ask("play", on=True)
    for message, sentence in ODD.items():
        tab.send(message)
        reply = tab.until(lambda m: m["kind"] == "reply")
        assert sentence in reply["error"], (message[:80], reply)
        assert "Traceback" not in reply["error"]
        assert len(reply["error"]) < 600
    before = tab.frame()["step"]
    tab.frame(lambda frame: frame["step"] > before)


def test_a_message_that_is_too_long_closes_the_tab_alone(served, tab):
    def say():
        with served.tab() as other:
            other.send(json.dumps({"do": "play", "on": "x" * protocol.LONGEST}))
            other.until(lambda message: False)

    with pytest.raises(ConnectionClosed) as closed:
        say()
    # The server closes while the message still comes, so its reason may be lost on the way.
    assert closed.value.rcvd is None or closed.value.rcvd.code == 1009
    eventually(lambda: len(served.server.tabs) == 1)
    assert "error" not in tab.ask("step")


def test_a_fault_in_an_order_is_a_sentence(served, tab, monkeypatch):
    monkeypatch.setitem(served.server.orders, "faulty", Order(lambda worker: 1 / 0))
    assert "ZeroDivisionError" in tab.ask("faulty")["error"]
    monkeypatch.setitem(served.server.orders, "nan", Order(lambda worker: [float("nan"), 1.0]))
    assert tab.ask("nan")["result"] == [None, 1.0]
    assert "error" not in tab.ask("step")


def test_what_takes_long_is_done_beside_the_training(served, tab, monkeypatch):
    go, names = threading.Event(), []

    def draw(found):
        names.append(threading.current_thread().name)
        go.wait(10)
        return found + 1

    monkeypatch.setitem(served.server.orders, "long", Order(lambda worker: 1, then=draw))
    tab.send({"do": "long", "id": 10_000})
    assert "error" not in tab.ask("step")  # meanwhile
    go.set()
    assert tab.until(lambda m: m.get("to") == 10_000)["result"] == 2
    assert names != ["minigrad live"]


def test_a_flood_of_orders_is_bounded(served, tab, monkeypatch):
    go = threading.Event()
    monkeypatch.setitem(served.server.orders, "wait", Order(lambda worker: go.wait(10)))
    for _ in range(100):
        tab.send({"do": "wait"})
    refused = tab.until(lambda m: m["kind"] == "reply")
    assert "wait for their reply" in refused["error"]
    go.set()
    while "error" in tab.ask("step"):
        pass


def test_what_a_page_says_too_fast_waits(served, tab):
    since = time.monotonic()
    for number in range(650):
        tab.send({"do": "no such order", "id": 10_000 + number})
    tab.until(lambda m: m.get("to") == 10_649)
    assert time.monotonic() - since > 1


# ------------------------------------------------------------------ tabs and frames


def test_a_tab_is_told_what_there_is_then_the_race_then_frames(served):
    with served.tab() as tab:
        assert [tab.next()["kind"] for _ in range(3)] == ["hello", "race", "frame"]
        hello, race, frame = tab.said
        assert hello["version"]
        assert hello["limits"]["lanes"] == 6
        assert len(hello["presets"]) >= 5
        assert len(hello["tours"]) >= 4
        for rule in hello["rules"]:
            assert rule["equation"], rule
            assert rule["needs"], rule
        assert [lane["rule"] for lane in race["lanes"]] == ["backprop", "forward"]
        assert frame["race"] == race["race"]


def test_frames_are_dropped_and_points_are_not(served, tab):
    """A page that draws nothing gets no frame. Then it gets one, with all points since."""
    with served.tab() as slow:
        assert [slow.next()["kind"] for _ in range(3)] == ["hello", "race", "frame"]
        assert "error" not in tab.ask("play", on=True)
        tab.frame(lambda frame: frame["step"] > 20)
        assert "error" not in tab.ask("play", on=False)
        with pytest.raises(TimeoutError):
            slow.next(0.05)
        slow.send({"do": "ready"})
        frame = slow.next()
        steps = [lane["from"] + len(lane["points"]["step"]) for lane in frame["lanes"]]
        assert frame["step"] > 20
        assert min(steps) > 1
        for lane in frame["lanes"]:
            assert len({len(of) for of in lane["points"].values()}) == 1


def test_two_tabs_see_one_race(served, tab):
    with served.tab() as other:
        assert "error" not in tab.ask("play", on=True)
        assert other.frame(lambda frame: frame["step"] > 3)["playing"]
        assert "error" not in other.ask("play", on=False)
        stopped = served.server.worker.race.done
        for one in (tab, other):
            one.frame(lambda frame: not frame["playing"] and frame["step"] == stopped)
        assert "error" not in other.ask("rate", lane=1, lr=0.5)
        for one in (tab, other):
            one.race(lambda race: race["lanes"][1]["lr"] == 0.5)
        assert "error" not in tab.ask("restart")
        begun = served.server.worker.race.number
        for one in (tab, other):
            one.race(lambda race: race["race"] == begun)
            assert one.frame(lambda frame: frame["race"] == begun)["step"] == 0


def test_when_nobody_watches_the_race_pauses_and_goes_on(served):
    worker = served.server.worker
    with served.tab() as tab:
        assert "error" not in tab.ask("play", on=True)
        tab.frame(lambda frame: frame["step"] > 3)
    eventually(lambda: not worker.watched)
    done = worker.race.done
    time.sleep(0.1)
    assert worker.race.done == done
    with served.tab() as tab:
        frame = tab.frame(lambda frame: frame["step"] > done)
        assert frame["playing"]
        assert "error" not in tab.ask("play", on=False)


def test_a_tab_that_is_torn_off_is_a_closed_tab(served):
    with served.tab() as tab:
        assert "error" not in tab.ask("play", on=True)
        tab.connection.socket.shutdown(socket.SHUT_RDWR)
        eventually(lambda: not served.server.tabs)
    with served.tab() as again:
        assert "error" not in again.ask("play", on=False)


def test_json_has_no_nan():
    found = {"a": [float("nan"), (1.0, float("-inf"))], "b": {"c": None}}
    assert json.loads(protocol.write(found)) == {"a": [None, [1.0, None]], "b": {"c": None}}
