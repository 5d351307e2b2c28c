"""The file of a search: one line of strict JSON for each run, written as soon as the run ends."""

from __future__ import annotations

import json
import os
import warnings
from pathlib import Path
from typing import Any

from minigrad.history import strict

ENDED = ("done", "diverged")  # a failed run is tried again
_NEEDED = {"settings": dict, "seed": int, "tag": str, "status": str, "results": dict}


def key(row: dict[str, Any]) -> str:
    """What makes two runs the same one: settings, seed and tag; 1 and 1.0 are one setting."""
    settings = {k: float(v) if type(v) is int else v for k, v in row["settings"].items()}
    return json.dumps([settings, row["seed"], row["tag"]], sort_keys=True)


def read(path: str | Path) -> list[dict[str, Any]]:
    """The rows of a file."""
    return _parse(Path(path).read_bytes(), path)[0]


def _parse(content: bytes, path: str | Path) -> tuple[list[dict[str, Any]], int]:
    """(rows, bytes that hold them): the rest is the beginning of a line, cut off in mid-write."""
    rows, end = [], 0
    for number, line in enumerate(content.splitlines(keepends=True), 1):
        if line.strip():
            try:
                rows.append(_row(line))
            except ValueError as error:
                if not line.endswith(b"\n"):
                    warnings.warn(
                        f"the last line of {path} was cut off in mid-write: it does not count",
                        stacklevel=4,
                    )
                    break
                raise ValueError(f"line {number} of {path} is not a run: {error}") from error
        end += len(line)
    return rows, end


def _row(line: bytes) -> dict[str, Any]:
    row = json.loads(line)
    if not isinstance(row, dict):
        raise ValueError("it is not an object")
    for name, kind in _NEEDED.items():
        if not isinstance(row.get(name), kind):
            raise ValueError(f"{name!r} is missing or not a {kind.__name__}")
    row["results"] = {k: float(v) if isinstance(v, str) else v for k, v in row["results"].items()}
    return row


class Record:
    """A file of runs, open for one search at a time.

    names: of the settings; a file whose runs have others is refused.
    """

    def __init__(self, path: str | Path, names: list[str]):
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = open(self.path, "a+b", buffering=0)  # noqa: SIM115
        try:
            self._lock()
            self._file.seek(0)
            content = self._file.read()
            self.rows, end = _parse(content, path)
            for row in self.rows:
                if set(row["settings"]) != set(names):
                    raise ValueError(
                        f"{path} holds runs with the settings {sorted(row['settings'])}, this "
                        f"search has {sorted(names)}: give it a file of its own"
                    )
            if end < len(content):
                self._file.truncate(end)
            if end and content[end - 1 : end] != b"\n":
                self._file.write(b"\n")
        except BaseException:
            self.close()
            raise

    def _lock(self) -> None:
        """Two searches that write to one file would both do every run, and cut each other off."""
        try:
            import fcntl
        except ImportError:  # not on every system
            return
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RuntimeError(f"another search is writing to {self.path}: wait for it") from error
        except OSError:  # not on every file system
            pass

    def append(self, row: dict[str, Any]) -> dict[str, Any]:
        """Write the row, whole and to the disk; returns it as it will be read."""
        line = json.dumps(strict(row), allow_nan=False).encode() + b"\n"
        if self._file.write(line) != len(line):  # one write: an interrupt leaves no half of it
            raise OSError(f"{self.path}: the disk took only a part of a line; is it full?")
        os.fsync(self._file.fileno())
        self.rows.append(_row(line))
        return self.rows[-1]

    def close(self) -> None:
        self._file.close()
