"""Files that are whole or not there."""

import os
import subprocess
import sys
import time

import pytest

from minigrad import files

pytestmark = pytest.mark.on_host


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_block_without_an_error_replaces_the_file(tmp_path):
    path = tmp_path / "new folder" / "a"
    with files.replacing(path) as file:
        file.write(b"one")
        assert not path.exists(), "it gets its name at the end"
    with files.replacing(str(path)) as file:
        file.write(b"two")
    assert path.read_bytes() == b"two"
    assert names(path.parent) == ["a"]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_after_an_error_the_old_file_is_there_and_nothing_else(tmp_path, error):
    path = tmp_path / "a"
    path.write_bytes(b"old")

    def write():
        with files.replacing(path) as file:
            file.write(b"new")
            raise error

    with pytest.raises(type(error)):
        write()
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["a"]


def test_what_a_killed_process_left_is_swept_up(tmp_path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    mine = os.getpid()
    for name in (
        f"a.{ended.pid}.0123abcd.part",  # killed
        f"a.{ended.pid}.part",  # the name that older versions used
        f"a.{mine}.00000000.part",  # written long ago by a process with this one's number
        f"a.{mine}.11111111.part",  # being written now
        f"a.{os.getppid()}.0123abcd.part",  # another process is writing it
        f"b.{ended.pid}.0123abcd.part",  # another file's
        "a.part",
        "a.7x.part",
    ):
        (tmp_path / name).touch()
    hour_ago = time.time() - 3600
    os.utime(tmp_path / f"a.{mine}.00000000.part", (hour_ago, hour_ago))
    with files.replacing(tmp_path / "a") as file:
        file.write(b"new")
    kept = {
        "a",
        f"a.{mine}.11111111.part",
        f"a.{os.getppid()}.0123abcd.part",
        f"b.{ended.pid}.0123abcd.part",
        "a.part",
        "a.7x.part",
    }
    assert set(names(tmp_path)) == kept


def test_the_bytes_are_on_the_disk_before_the_name_is(tmp_path, monkeypatch):
    """The order that a crash of the machine asks for: write, fsync, rename, fsync of the folder."""
    calls = []
    for name in ("fsync", "replace"):
        real = getattr(os, name)
        monkeypatch.setattr(
            os, name, lambda *a, name=name, real=real: (calls.append(name), real(*a))[1]
        )
    with files.replacing(tmp_path / "a") as file:
        file.write(b"new")
    assert calls[:2] == ["fsync", "replace"]
    assert calls[2:] == (["fsync"] if hasattr(os, "O_DIRECTORY") else [])
