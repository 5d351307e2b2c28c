"""Files that are whole or not there. A crash or a full disk never leaves half a file."""

from __future__ import annotations

import errno
import os
import re
import secrets
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))  # Windows has no quota's number
WRITING = (*FULL, errno.EFBIG, errno.EIO, errno.EROFS)  # they say that a file cannot be written
MINUTE = 60.0  # seconds
DAY = 24 * 60 * MINUTE


@contextmanager
def replacing(path: str | Path) -> Iterator[BinaryIO]:
    """A new file, open for writing bytes. At the end of the block it takes the place of `path`.

        with replacing("run.npz") as file:
            file.write(content)

    The bytes go to a temporary file in the same folder. They are forced to the disk, then the file
    is renamed. After an error, or if the process is killed, `path` is what it was before. The
    folder is made if there is none. Temporary files of processes that were killed are removed.
    A symbolic link stays: the file it leads to is written.
    """
    path = Path(path)
    if path.is_symlink():
        path = Path(os.path.realpath(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    sweep(path)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}.part")
    try:
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        if isinstance(error, OSError) and error.errno in WRITING and error.filename is None:
            error.filename = str(path)  # the system names no file when a write fails
        with suppress(OSError):  # the first error says more
            temporary.unlink()
        raise
    sync_folder(path.parent)


@contextmanager
def creating(path: str | Path) -> Iterator[BinaryIO]:
    """A new file, open for writing bytes. FileExistsError if it is there: it stays as it is.

    After an error there is no file.
    """
    file = open(path, "xb")  # noqa: SIM115
    try:
        with file:
            yield file
    except BaseException:
        with suppress(OSError):
            os.unlink(path)
        raise


def sweep(path: str | Path) -> None:
    """Remove the temporary files for `path` that killed processes have left behind."""
    path = Path(path)
    pattern = re.compile(re.escape(path.name) + r"\.(\d+)(\.[0-9a-f]+)?\.part")
    try:
        names = os.listdir(path.parent)
    except OSError:
        return
    for name in names:
        found = pattern.fullmatch(name)
        left = path.with_name(name)
        if found and not _may_be_in_use(left, int(found[1])):
            with suppress(OSError):
                left.unlink()


def _may_be_in_use(file: Path, process: int) -> bool:
    """Whether the process that wrote the file may still be at work on it.

    This process may have the number of one that was killed, as in a new container. Then the file's
    age decides.
    """
    try:
        age = time.time() - file.stat().st_mtime
    except OSError:
        return False
    if process == os.getpid():
        return age < MINUTE
    if sys.platform == "win32":  # there os.kill would end the process
        return age < DAY
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


def sync_folder(folder: str | Path) -> None:
    """Force the names in a folder to the disk. Not every system can, and then it does nothing."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def cause(error: OSError) -> str:
    """Why a file could not be written, in words."""
    if error.errno in FULL:
        return "the disk is full"
    if error.errno == errno.EEXIST:
        return "a file of that name is there"
    return error.strerror or str(error)
