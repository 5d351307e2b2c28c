"""Why a download failed is said first, and a killed one leaves nothing that stays."""

import errno
import gzip
import os
import re
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time

import pytest
from test_mnist import IMAGES, flip, good, mirrors, tiny  # noqa: F401  (fixtures)

from minigrad import cli, data, files
from minigrad.data.known import downloads, idx, mnist

pytestmark = pytest.mark.on_host


def refused(folder, kind=OSError):
    with pytest.raises(kind) as caught:
        mnist.download(folder)
    return str(caught.value)


CANNOT = "cannot write MNIST to the folder {}: "


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EACCES, "Permission denied"),
        (errno.EROFS, "Read-only file system"),
        (errno.ENOSPC, "the disk is full"),
    ],
)
def test_a_folder_that_cannot_be_written_is_found_before_the_download(
    tiny, mirrors, tmp_path, monkeypatch, number, words  # noqa: F811
):  # fmt: skip
    def fails(**options):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(downloads.tempfile, "TemporaryFile", fails)
    message = refused(tmp_path / "here")
    assert message.startswith(CANNOT.format(tmp_path / "here") + words)
    assert "--root FOLDER" in message
    assert "network" not in message
    assert mirrors[1] == []


def test_a_file_in_place_of_the_folder(tiny, mirrors, tmp_path, capfd, monkeypatch):  # noqa: F811
    blocked = tmp_path / "a file"
    blocked.write_text("")
    assert refused(blocked).startswith(CANNOT.format(blocked) + "it is a file")
    assert refused(blocked / "below").startswith(CANNOT.format(blocked / "below"))
    assert mirrors[1] == []
    assert cli.main(["data", "mnist", "--root", str(blocked)]) == 2
    assert capfd.readouterr().err.count("\n") == 1
    assert "is a file, not a folder" in data.load("auto", root=blocked)[0].source
    monkeypatch.setenv("MINIGRAD_DATA", str(blocked))
    with pytest.raises(ValueError, match=f"^MINIGRAD_DATA names {blocked}, a file"):
        data.load("auto")
    assert cli.main(["data", "mnist"]) == 2
    assert capfd.readouterr().err.startswith(f"minigrad: MINIGRAD_DATA names {blocked}, a file")


def test_a_disk_that_fills_up(tiny, mirrors, tmp_path, monkeypatch):  # noqa: F811
    mirrors[0][0] = good(tiny)

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    message = refused(tmp_path / "here")
    assert message.startswith(CANNOT.format(tmp_path / "here") + "the disk is full. It needs 55 MB")
    assert list((tmp_path / "here").iterdir()) == []
    assert len(mirrors[1]) == 1  # the other mirror would not help


CAUSES = {
    "HTTP": (lambda whole: (503, b"", 0), "the server answered 503 Service Unavailable"),
    "cut": (lambda whole: (200, gzip.compress(whole), 30), "cut off in mid-download"),
    "short": (lambda whole: (200, gzip.compress(whole)[:-30], 0), "damaged gzip file"),
    "other": (lambda whole: (200, gzip.compress(flip(whole)), 0), "another content than MNIST's"),
    "page": (lambda whole: (200, b"<html>sign in</html>", 0), "another content than MNIST's"),
    "endless": (lambda whole: (200, bytes(10**7), 0), "more than the"),
}


@pytest.mark.parametrize("kind", CAUSES)
def test_each_mirrors_fault_is_said(tiny, mirrors, tmp_path, kind):  # noqa: F811
    change, words = CAUSES[kind]
    serve = lambda name: change(tiny[name.removesuffix(".gz")])  # noqa: E731
    mirrors[0][:] = [serve, serve]
    lines = refused(tmp_path / "here", ConnectionError).splitlines()
    assert lines[0] == f"could not download {IMAGES}.gz: no mirror gave it."
    assert len(lines) == 4
    for line, mirror in zip(lines[1:3], mnist.MIRRORS, strict=True):
        assert line.startswith(f"  {mirror}{IMAGES}.gz: {words}")
        assert "delete it" not in line
    assert list((tmp_path / "here").iterdir()) == []


@pytest.fixture
def server(monkeypatch):
    """A mirror that answers each connection as the function in `answer[0]` does."""
    answer = [lambda connection: None]
    listening = socket.create_server(("127.0.0.1", 0))
    ended = threading.Event()

    def serve():
        while not ended.is_set():
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=handle, args=(connection,), daemon=True).start()

    def handle(connection):
        with connection:
            try:
                connection.recv(10_000)
                answer[0](connection)
            except OSError:
                pass  # the client has gone

    threading.Thread(target=serve, daemon=True).start()
    answer.append(ended)
    answer.append(f"http://127.0.0.1:{listening.getsockname()[1]}/")
    monkeypatch.setattr(mnist, "MIRRORS", (answer[2],))
    yield answer
    ended.set()
    listening.close()


HEADER = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"


def test_servers_that_do_not_answer_as_servers_do(tiny, server, tmp_path, monkeypatch):  # noqa: F811
    ended = server[1]
    monkeypatch.setattr(downloads, "TIMEOUT", 0.3)
    folder = tmp_path / "here"
    server[0] = lambda connection: ended.wait(10)
    message = refused(folder, ConnectionError)
    assert "no mirror could be reached. Is there a network?" in message
    assert ": no answer in time" in message
    server[0] = lambda connection: (connection.sendall(HEADER + b"x"), ended.wait(10))
    assert ": no answer in time" in refused(folder, ConnectionError)
    server[0] = lambda connection: connection.sendall(HEADER + b"x")
    assert ": cut off in mid-download" in refused(folder, ConnectionError)
    server[0] = lambda connection: None
    assert ": cut off before an answer" in refused(folder, ConnectionError)
    server[0] = lambda connection: connection.sendall(b"\0\1garbage\r\n\r\n")
    assert "could not download" in refused(folder, ConnectionError)
    monkeypatch.setattr(mnist, "MIRRORS", ("http://127.0.0.1:9/",))
    assert "http://127.0.0.1:9/train-images-idx3-ubyte.gz: no connection\n" in refused(
        folder, ConnectionError
    )
    assert list(folder.iterdir()) == []


PROGRAM = """
    import os, sys, time
    from minigrad.data.known import downloads, idx, idx_fetching, mnist
    mnist.MIRRORS = ({mirror!r},)
    {before}
    mnist.download({folder!r})
"""


def killed(folder, mirror, before, moment):
    """Run a download in a process of its own and kill it as soon as `moment()` is true."""
    program = PROGRAM.format(mirror=mirror, folder=str(folder), before=before)
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(program)])
    deadline = time.monotonic() + 60
    while not moment() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    assert process.wait() == -signal.SIGKILL


def test_a_download_killed_while_it_comes_leaves_nothing(server, tmp_path):
    sent = []

    def drip(connection):
        connection.sendall(HEADER)
        while not server[1].wait(0.02):
            connection.sendall(b"x")
            sent.append(1)

    server[0] = drip
    folder = tmp_path / "here"
    killed(folder, server[2], "", lambda: len(sent) > 5)
    assert list(folder.iterdir()) == []


def test_what_a_killed_download_leaves_is_swept_up(tiny, mirrors, tmp_path):  # noqa: F811
    mirrors[0][0] = good(tiny)
    folder = tmp_path / "cache"  # where `places.cache_folder` points in this test
    slow = "os.fsync = lambda descriptor: time.sleep(60)\n"
    slow += f"    idx_fetching.fetch = lambda *_: {tiny[IMAGES]!r}"
    killed(folder, "", slow, lambda: folder.is_dir() and any(folder.glob("*.part")))
    assert len(list(folder.iterdir())) == 1
    for name in ("tmpabc_1234", "tmpabc_1234.gz", "tmpnew_1234", "tmpother", "notes.txt"):
        (folder / name).write_text("")
        if name != "tmpnew_1234":
            os.utime(folder / name, (time.time() - 5000, time.time() - 5000))
    mnist.download()
    names = {path.name for path in folder.iterdir()}
    assert names == {*tiny, "tmpnew_1234", "tmpother", "notes.txt"}


def test_a_students_own_folder_is_not_tidied(tiny, mirrors, tmp_path):  # noqa: F811
    mirrors[0][0] = good(tiny)
    (tmp_path / "tmpabc_1234").write_text("mine")
    os.utime(tmp_path / "tmpabc_1234", (0, 0))
    mnist.download(tmp_path)
    assert (tmp_path / "tmpabc_1234").exists()


@pytest.mark.parametrize("name", ["a.idx", "a.idx.gz"])
def test_an_idx_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch, name):
    import numpy as np

    path = tmp_path / name
    array = np.arange(6, dtype=np.uint8).reshape(2, 3)
    idx.write(path, array)

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        idx.write(path, array + 1)
    np.testing.assert_array_equal(idx.read(path, 2), array)
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_the_cause_of_a_failed_write_in_words():
    assert files.cause(OSError(errno.ENOSPC, "No space left on device")) == "the disk is full"
    assert files.cause(PermissionError(errno.EACCES, "Permission denied")) == "Permission denied"
    assert re.fullmatch("it broke", files.cause(OSError("it broke")))
