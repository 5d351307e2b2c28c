"""The folder in which one builds: its files, which are filled in, and processes that use them."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from minigrad import resources
from minigrad.blanks.blanking import MARK, blanked
from minigrad.blanks.parts import PARTS, Part, file_name
from minigrad.files import creating

SECONDS = 60  # for the grading of a part: an endless loop ends then
KEPT = 1 << 16  # bytes of what it writes to stderr


def source(part: Part) -> str:
    """The source of the library's module."""
    spec = find_spec(part.module)
    if spec is None or spec.origin is None:
        raise OSError(f"{part.module} is not there: this copy of minigrad is not whole")
    return Path(spec.origin).read_text(encoding="utf-8")


def start(folder: Path) -> list[Path]:
    """Write the files that are not there yet. Returns them. A file that is there stays."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for part in PARTS:
        path = folder / file_name(part)
        if path.exists():
            continue
        with creating(path) as file:
            file.write(blanked(source(part), part).encode())
        written.append(path)
    return written


def there(folder: Path) -> None:
    """FileNotFoundError unless this is a folder that `start` has made."""
    if not any((folder / file_name(part)).is_file() for part in PARTS):
        raise FileNotFoundError(
            f"{folder} has no file such as {file_name(PARTS[0])}: make it with "
            f"minigrad build start {quoted(folder)}"
        )


def quoted(folder: Path) -> str:
    """The folder's name as it is typed in a terminal."""
    return shlex.quote(str(folder)) if os.name == "posix" else f'"{folder}"'


def to_do(folder: Path, part: Part) -> bool:
    """Whether something in the part's file is still to be written, or the file is not there."""
    try:
        text = (folder / file_name(part)).read_bytes().decode("utf-8", "replace")
    except OSError:
        return True
    return f'NotImplementedError("{MARK}: ' in text


def environment(folder: Path, parts: Iterable[Part]) -> dict[str, str]:
    """The environment of a process in which these parts are the student's."""
    places: dict[str, list[list[str]]] = {}
    for part in parts:
        path = str((folder / file_name(part)).resolve())
        places.setdefault(part.module, []).append([path, part.cls])
    first = str(Path(__file__).parent / "site")
    return resources.environment(first) | {"MINIGRAD_BUILD": json.dumps(places)}


def graded(folder: Path, parts: Sequence[Part]) -> list[list[dict[str, str]]]:
    """The rows of each part, see `grading`. Each has a process of its own, two at a time."""
    from concurrent.futures import ThreadPoolExecutor  # here: `minigrad --help` is faster without

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(lambda part: _grade(folder, part), parts))


def _grade(folder: Path, part: Part) -> list[dict[str, str]]:
    def alone(verdict: str, words: str) -> list[dict[str, str]]:
        return [{"method": "file", "verdict": verdict, "words": words}]

    name = file_name(part)
    if not (folder / name).is_file():
        return alone("missing", f"minigrad build start {quoted(folder)} writes it anew")
    with tempfile.TemporaryDirectory() as place:
        rows = Path(place, "rows.json")
        command = [sys.executable, "-m", "minigrad.blanks.grading", part.name, str(rows)]
        status, said = _ended(command, environment(folder, [part]))
        if status is None:
            return alone("stopped", f"it did not end within {SECONDS} seconds: is there a loop?")
        with suppress(OSError, ValueError):  # ValueError: written in part
            return json.loads(rows.read_text(encoding="utf-8"))
    lines = said.strip().splitlines()
    if not lines:
        ended = f"signal {-status}" if status < 0 else f"exit status {status}"
        return alone("stopped", f"it ended without a word, with {ended}: is there an exit in it?")
    at = [line.strip() for line in lines[:-1] if name in line][-1:]
    return alone("stopped by an error", "; ".join([lines[-1], *at]))


def _ended(command: Sequence[str], environment: dict[str, str]) -> tuple[int | None, str]:
    """(exit status, the end of what was written to stderr). None: it was still running.

    However much the student's lines print, little of it is kept.
    """
    process = subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    kept = bytearray()
    reader = threading.Thread(target=_keep_end, args=(process.stderr, kept), daemon=True)
    reader.start()
    status: int | None = None
    try:
        status = process.wait(SECONDS)
    except subprocess.TimeoutExpired:
        pass
    finally:
        process.kill()
        process.wait()
    reader.join(1)  # a child of the student's may keep the pipe open
    return status, kept.decode("utf-8", "replace")


def _keep_end(pipe: Any, kept: bytearray) -> None:
    """Read a pipe to its end. `kept` is what came last."""
    with pipe:
        while piece := pipe.read1(KEPT):
            kept.extend(piece)
            del kept[:-KEPT]
