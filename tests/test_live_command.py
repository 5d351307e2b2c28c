"""`minigrad live` as a process: it says its address, and ends at once."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request

import pytest
from conftest import ROOT

from minigrad import cli, threads
from minigrad.live import command

pytest.importorskip("uvicorn", reason='the page needs: pip install "minigrad[live]"')
websockets = pytest.importorskip("websockets.sync.client")

pytestmark = pytest.mark.on_host
SMALL = "data=moons&hidden=4&lanes=backprop,forward"
posix = pytest.mark.skipif(os.name != "posix", reason="signals are sent as on Linux")


class Started:
    """The command in a process of its own."""

    def __init__(self, *arguments, **environment):
        path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
        self.process = subprocess.Popen(
            [sys.executable, "-m", "minigrad", "live", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": path, "MINIGRAD_THREADS": "1"} | environment,
        )
        self.address = self.process.stdout.readline().strip()
        self.port = int(re.search(r":(\d+)/", self.address)[1])

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.process.stderr.close()

    def tab(self):
        token = self.address.partition("token=")[2]
        return websockets.connect(
            f"ws://127.0.0.1:{self.port}/socket?token={token}",
            origin=f"http://127.0.0.1:{self.port}",
            proxy=None,
        )


@posix
def test_control_c_ends_it_at_once_while_tabs_are_open_and_it_trains():
    with Started("--no-browser", SMALL) as started:
        with urllib.request.urlopen(started.address, timeout=10) as page:
            assert page.status == 200
        with started.tab() as one, started.tab() as two:
            one.send(json.dumps({"do": "play", "id": 1, "on": True}))
            found = {}
            while found.get("kind") != "frame" or found["step"] < 5:
                found = json.loads(one.recv(timeout=20))
                one.send('{"do": "ready"}')
            assert json.loads(two.recv(timeout=20))["kind"] == "hello"
            since = time.monotonic()
            started.process.send_signal(signal.SIGINT)
            status = started.process.wait(timeout=20)
            assert time.monotonic() - since < 3  # on a computer that does other work, too
        assert status == 130
        assert started.process.stderr.read() == ""
        assert "Ctrl-C" in started.process.stdout.read()


@posix
def test_control_c_ends_it_while_nobody_looks_and_the_browser_is_opened(tmp_path):
    """The browser is a script that writes down what it is to open."""
    script = tmp_path / "browser"
    script.write_text(
        f'#!/bin/sh\necho "$1" > {tmp_path}/opening\nmv {tmp_path}/opening {tmp_path}/opened\n'
    )
    script.chmod(0o755)
    with Started(SMALL, BROWSER=f"{script} %s &") as started:
        until = time.monotonic() + 20
        while not (tmp_path / "opened").exists():
            assert time.monotonic() < until
            time.sleep(0.02)
        assert (tmp_path / "opened").read_text().strip() == started.address
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/\?token=[\w-]{20,}", started.address)
        started.process.send_signal(signal.SIGINT)
        assert started.process.wait(timeout=20) == 130
        assert started.process.stderr.read() == ""


def test_a_browser_in_the_terminal_is_not_opened(monkeypatch, capsys):
    monkeypatch.setattr("webbrowser.get", lambda: __import__("webbrowser").GenericBrowser("lynx"))
    command.open_browser("http://127.0.0.1:1/")
    assert "open this address" in capsys.readouterr().err


@pytest.fixture(autouse=True)
def same_threads():
    before = threads.threads()
    yield
    threads.set_threads(before)


def failed(capsys, *arguments):
    assert cli.main(["live", *arguments]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "Traceback" not in said.err
    return said.err


def test_a_port_that_is_taken(capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = failed(capsys, SMALL, "--port", str(port))
    assert f"127.0.0.1:{port}" in said
    assert "leave out --port" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--port", "70000"], "--port must be"),
        (["--host", "192.0.2.1"], "leave out --host"),
        (["--host", "no such host"], "no address of this computer"),
        (["--preset", "no-such"], "no preset 'no-such'"),
        (["--preset", "x", SMALL], "not both"),
        (["--data", "no-such"], "no-such"),
        (["--seed", "-1"], "seed"),
        (["--threads", "0"], "0"),
        (["lanes=no-such-rule"], "no-such-rule"),
        (["--steps", "10"], "--record"),
        (["--record", "race.txt"], "race.html"),
        (["--record", "race.html", "--steps", "0"], "1 or more"),
    ],
)
def test_wrong_usage_is_said_in_a_sentence(capsys, arguments, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert said in failed(capsys, *arguments)
    assert not any(tmp_path.iterdir())


def test_without_the_extra_it_says_what_to_install(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert 'pip install "minigrad[live]"' in failed(capsys, SMALL)


def test_whoever_serves_others_is_told_what_that_means(capsys, monkeypatch):
    served = []
    monkeypatch.setattr("minigrad.live.serving.serve", lambda server, _: served.append(server))
    assert cli.main(["live", "--host", "0.0.0.0", "--no-browser", SMALL]) == 130
    said = capsys.readouterr()
    assert "other computers can reach this page" in said.err
    assert "token" in said.err
    assert said.out.startswith("http://127.0.0.1:")
    server = served[0]
    server.worker.end()
    server.worker.join()
    assert server.known_host(f"192.168.0.9:{server.port}")
    assert not server.known_host(f"elsewhere.example:{server.port}")


def test_a_whole_address_restores_a_race():
    parser = cli.parser()
    text = "http://127.0.0.1:5/#data=xor&hidden=3"
    settings = command.chosen(parser.parse_args(["live", text, "--seed", "7"]))
    assert (settings.data, settings.hidden, settings.seed) == ("xor", (3,), 7)
    assert command.chosen(parser.parse_args(["live", "--data", "circles"])).data == "circles"


def test_no_thread_is_left_when_it_could_not_serve(capsys, monkeypatch):
    monkeypatch.setattr("minigrad.live.sets.mnist.find", lambda: None)
    before = set(threading.enumerate())
    assert "MNIST is not on this computer" in failed(capsys, "--no-browser", "data=mnist")
    for thread in set(threading.enumerate()) - before:
        thread.join(5)
        assert not thread.is_alive()
