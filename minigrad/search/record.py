"""The file of a search: one line of strict JSON for each run, written as soon as the run ends."""

from __future__ import annotations

import json
import os
import warnings
from pathlib import Path
from typing import Any

from minigrad.history import strict

ENDED = ("done", "diverged")  # a failed run is tried again
STATUS = (*ENDED, "failed")
BEGIN = b'{"settings": '  # how each line begins
_NEEDED = {"settings": dict, "seed": int, "tag": str, "status": str, "results": dict}


def key(row: dict[str, Any]) -> str:
    """A text that two rows share if they are the same run: of its settings, seed and tag.

    1 and 1.0 are the same setting.
    """
    settings = {k: int(v) if _is_whole(v) else v for k, v in row["settings"].items()}
    return json.dumps([settings, row["seed"], row["tag"]], sort_keys=True)


def _is_whole(value: Any) -> bool:
    return type(value) is float and value.is_integer()


def read(path: str | Path) -> list[dict[str, Any]]:
    """The rows of a file."""
    return _parse(Path(path).read_bytes(), path, stacklevel=4)[0]


def _parse(content: bytes, path: str | Path, stacklevel: int) -> tuple[list[dict[str, Any]], int]:
    """(rows, the number of bytes that hold them).

    If a write was cut off, the last line is the beginning of a row. It does not count. A line that
    does not begin as a row does is no such line, and the file is another one: ValueError.
    """
    rows = []
    end = 0
    for number, line in enumerate(content.splitlines(keepends=True), 1):
        if line.strip():
            try:
                rows.append(_row(line))
            except ValueError as error:
                if _is_cut_off(line):
                    warnings.warn(
                        f"the last line of {path} was cut off in mid-write: it does not count",
                        stacklevel=stacklevel,
                    )
                    break
                raise ValueError(f"line {number} of {path} is not a run: {error}") from error
        end += len(line)
    return rows, end


def _is_cut_off(line: bytes) -> bool:
    """Whether a line that is no row may be the first part of one."""
    if line.endswith(b"\n") or not (line.startswith(BEGIN) or BEGIN.startswith(line)):
        return False
    try:
        json.loads(line)
    except ValueError:
        return True
    return False


def _row(line: bytes) -> dict[str, Any]:
    row = json.loads(line)
    if not isinstance(row, dict):
        raise ValueError("it is not an object")
    for name, kind in _NEEDED.items():
        if not isinstance(row.get(name), kind):
            raise ValueError(f"{name!r} is missing or not a {kind.__name__}")
    if row["status"] not in STATUS:
        raise ValueError(f"'status' must be one of {STATUS}, got {row['status']!r}")
    row["results"] = {k: float(v) if isinstance(v, str) else v for k, v in row["results"].items()}
    for name, value in row["results"].items():
        if not isinstance(value, int | float):
            raise ValueError(f"the result {name!r} must be a number, got {value!r}")
    return row


class Record:
    """A file of runs, open for one search at a time.

    names  of the settings. ValueError for a file with runs that have other settings
    """

    def __init__(self, path: str | Path, names: list[str]):
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = open(self.path, "a+b", buffering=0)  # noqa: SIM115
        try:
            self._lock()
            self._file.seek(0)
            content = self._file.read()
            self.rows, end = _parse(content, path, stacklevel=5)  # to the caller of `grid`
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
        """RuntimeError if another search has the file open: both would do every run."""
        try:
            import fcntl
        except ImportError:  # not every system has it
            return
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RuntimeError(
                f"another search is writing to {self.path}: wait until it ends"
            ) from error
        except OSError:  # not every file system can lock
            pass

    def append(self, row: dict[str, Any]) -> dict[str, Any]:
        """Write the row to the disk as one line. Returns it as it will be read."""
        line = json.dumps(strict(row), allow_nan=False).encode() + b"\n"
        if self._file.write(line) != len(line):  # one write: no interrupt can split it
            raise OSError(f"{self.path}: the disk took only a part of a line; is it full?")
        os.fsync(self._file.fileno())
        self.rows.append(_row(line))
        return self.rows[-1]

    def close(self) -> None:
        self._file.close()
