"""One file from a mirror, into memory, and in words why it did not come.

Nothing is written to the disk here: a killed download leaves nothing behind.
"""

from __future__ import annotations

import io
import os
import re
import sys
import tempfile
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from minigrad.files import sweep

TIMEOUT = 30.0  # seconds without a byte, after which a mirror is given up
HOUR = 3600.0  # seconds
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


class _Limited(io.BytesIO):
    """A file in memory of at most `limit` bytes."""

    def __init__(self, limit: int):
        super().__init__()
        self.limit = limit

    def write(self, data: Any, /) -> int:
        if self.tell() + len(data) > self.limit:
            raise ValueError(f"more than the {self.limit:,} bytes expected at most")
        return super().write(data)


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


def by_hand(name: str, failures: list[tuple[str, str]], what: str, more: str = "") -> str:
    """What to do when no mirror gave the file `name`.

    failures  (address, why it did not come) of each mirror
    what      the user can do without a network: "put these files into this folder"
    more      a further sentence
    """
    silent = all(why in SILENT for _, why in failures)
    reached = "no mirror could be reached. Is there a network?" if silent else "no mirror gave it."
    return "\n".join(
        [
            f"could not download {name}: {reached}",
            *(f"  {url}: {why}" for url, why in failures),
            f"Without a network: {what}, or into any folder that MINIGRAD_DATA names.{more}",
        ]
    )
