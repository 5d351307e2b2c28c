"""One file from mirrors, into memory, and in words why it did not come.

Nothing is written to the disk here: a killed download leaves nothing behind.
"""

from __future__ import annotations

import io
import os
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from minigrad.data.known.about import About
from minigrad.files import cause, sweep

TIMEOUT = 30.0  # seconds without a byte, after which a mirror is given up
HOUR = 3600.0  # seconds
LARGE = 10**8  # bytes: a larger download is announced with its size
OLD = re.compile(r"tmp[a-z0-9_]{8}(\.gz)?")  # the temporary files of earlier versions
UNREACHED = "no connection"
LATE = "no answer in time"
SILENT = (UNREACHED, LATE)


class NoMirror(Exception):
    """No mirror gave the file; the message says what to do."""


def prepare(folder: Path, names: Iterable[str], own: bool) -> None:
    """Make the folder, and remove what killed downloads have left. OSError if it is read-only.

    names  of the files that will be written there
    own    whether the folder is minigrad's own cache: earlier versions left other files there
    """
    if os.path.exists(folder) and not os.path.isdir(folder):
        raise NotADirectoryError(None, "it is a file")
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        sweep(folder / name)
    if own:
        for path in folder.iterdir():
            with suppress(OSError):
                if OLD.fullmatch(path.name) and time.time() - path.stat().st_mtime > HOUR:
                    path.unlink()
    with tempfile.TemporaryFile(dir=folder):  # now, before anything is downloaded
        pass


@contextmanager
def reported(about: About, folder: Path) -> Iterator[None]:
    """Around a download to a folder: ConnectionError or OSError says what to do if it fails."""
    try:
        yield
    except NoMirror as error:
        raise ConnectionError(str(error)) from error
    except OSError as error:
        raise OSError(
            f"cannot write {about.title} to the folder {folder}: {cause(error)}. It needs "
            f"{about.space}. To use another folder: `minigrad data {about.name} --root FOLDER`, "
            "and let MINIGRAD_DATA name it too"
        ) from error


class _Limited(io.BytesIO):
    """A file in memory of at most `limit` bytes."""

    def __init__(self, limit: int):
        super().__init__()
        self.limit = limit

    def write(self, data: Any, /) -> int:
        if self.tell() + len(data) > self.limit:
            raise ValueError(f"more than the {self.limit:,} bytes expected at most")
        return super().write(data)


def from_mirrors(
    mirrors: Iterable[str],
    name: str,
    largest: int,
    checked: Callable[[bytes], bytes],
    by_hand: str,
) -> bytes:
    """The file `name` from the first mirror that gives the right one. NoMirror if none does.

    mirrors  addresses that the name is put behind
    largest  bytes that it may have
    checked  takes what came and gives what is kept; ValueError if it is not the right file
    by_hand  what the user can do without a network, from "put" on
    """
    failures = []
    for mirror in mirrors:
        url = f"{mirror}{name}"
        size = f" ({largest / 1e6:.0f} MB)" if largest > LARGE else ""
        print(f"downloading {url}{size}", file=sys.stderr)
        try:
            return checked(get(url, largest).getvalue())
        except (OSError, ValueError) as error:
            failures.append((url, why(error)))
    raise NoMirror(_all_failed(name, failures, by_hand))


def get(url: str, largest: int) -> io.BytesIO:
    """What the server sends, as a file in memory. OSError or ValueError if it does not come."""
    import pooch

    file = _Limited(largest + 2**16)
    fetch = pooch.HTTPDownloader(progressbar=sys.stderr.isatty(), timeout=TIMEOUT)
    fetch(url, file, None)
    file.seek(0)
    return file


def why(error: Exception) -> str:
    """Why a download failed, in words for somebody who does not know the library for HTTP."""
    from requests import exceptions

    if isinstance(error, exceptions.HTTPError) and error.response is not None:
        return f"the server answered {error.response.status_code} {error.response.reason}".rstrip()
    if isinstance(error, exceptions.Timeout) or "timed out" in str(error).lower():
        return LATE
    if isinstance(error, exceptions.SSLError):
        return "no secure connection: is the computer's clock right, or does a network want a login"
    if isinstance(error, exceptions.ProxyError | exceptions.InvalidProxyURL):
        return "the proxy (HTTPS_PROXY) cannot be used"
    if isinstance(error, exceptions.ChunkedEncodingError | exceptions.ContentDecodingError):
        return "cut off in mid-download"
    if isinstance(error, exceptions.ConnectionError):
        return "cut off before an answer" if "aborted" in str(error).lower() else UNREACHED
    return str(error) or type(error).__name__


def _all_failed(name: str, failures: list[tuple[str, str]], by_hand: str) -> str:
    """Why no mirror gave the file `name`, (address, why) of each, and what to do."""
    silent = all(why in SILENT for _, why in failures)
    reached = "no mirror could be reached. Is there a network?" if silent else "no mirror gave it."
    return "\n".join(
        [
            f"could not download {name}: {reached}",
            *(f"  {url}: {why}" for url, why in failures),
            f"Without a network: {by_hand}",
        ]
    )
