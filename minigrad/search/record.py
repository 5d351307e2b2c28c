"""The file of a search: one line of strict JSON for each run, written as soon as the run ends."""

from __future__ import annotations

import errno
import json
import os
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

from minigrad.files import sync_folder
from minigrad.history import strict
from minigrad.search.row import BEGIN, key, parsed

__all__ = ["Record", "key", "read"]


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
                rows.append(parsed(line))
            except ValueError as error:
                if _is_cut_off(line):
                    warnings.warn(
                        f"the last line of {path} was cut off in mid-write: it does not count",
                        stacklevel=stacklevel,
                    )
                    break
                advice = ""
                if BEGIN in content:  # there are runs in it: it is a file of a search
                    advice = (
                        f". Delete line {number} in a text editor, or mend it, and make the same "
                        "call again: it does that run anew. The file is as it was"
                    )
                raise ValueError(
                    f"line {number} of {path} is not a run: {error}{advice}"
                ) from error
        end += len(line)
    return rows, end


def _is_cut_off(line: bytes) -> bool:
    """Whether a line that is no row may be the first part of one.

    After a power cut some file systems fill the part that was not written with zeros.
    """
    if line.endswith(b"\n"):
        return False
    line = line.rstrip(b"\0")
    if not (line.startswith(BEGIN) or BEGIN.startswith(line)):
        return False
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return True
    return False


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
            self.rows, self._end = _parse(content, path, stacklevel=5)  # to the caller of `grid`
            for row in self.rows:
                if set(row["settings"]) != set(names):
                    raise ValueError(
                        f"{path} holds runs with the settings {sorted(row['settings'])}, this "
                        f"search has {sorted(names)}: give it a file of its own"
                    )
            if self._end < len(content):
                self._file.truncate(self._end)
            if self._end and content[self._end - 1 : self._end] != b"\n":
                self._write(b"\n")
            os.fsync(self._file.fileno())
            sync_folder(self.path.parent)  # the file's name, if it is new
            sync_folder(self.path.parent.parent)  # and the folder's
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
        """Write the row to the disk as one line. Returns it as it will be read.

        ValueError for a row that could not be read again: nothing is written then. OSError if the
        disk does not take it: the file holds the rows that it held before.
        """
        line = json.dumps(strict(row), allow_nan=False).encode() + b"\n"
        read_again = parsed(line)
        self._write(line)
        self.rows.append(read_again)
        return read_again

    def _write(self, line: bytes) -> None:
        """One write, and to the disk. A part of a line does not stay."""
        try:
            count = self._file.write(line)  # one write: no interrupt can split it
            if count != len(line):
                # The next write says why: a full disk, a quota.
                count += self._file.write(line[count:])
            if count != len(line):
                raise OSError(errno.ENOSPC, "the disk took only a part of a line; is it full?")
            os.fsync(self._file.fileno())
        except OSError as error:
            with suppress(OSError):
                self._file.truncate(self._end)
                os.fsync(self._file.fileno())
            reason = error.strerror or str(error)
            raise OSError(
                error.errno,
                f"{reason}; the run that has just ended could not be written. The runs before it "
                "are in the file: make room, and make the same call again",
                str(self.path),
            ) from error
        self._end += len(line)

    def close(self) -> None:
        self._file.close()
