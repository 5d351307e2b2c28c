"""Data sets of four IDX files, as MNIST: getting them from mirrors, each checked by its hash."""

from __future__ import annotations

import hashlib
import io
import os
import sys
from collections.abc import Callable, Iterable
from math import prod
from pathlib import Path

from minigrad.data import downloads, idx
from minigrad.data.idx_sets import IdxFile, IdxSet, identify, path_of, why_wrong
from minigrad.files import cause, replacing

Fetch = Callable[[IdxFile, Path], bytes]


def download(
    known: IdxSet, folder: Path, own: bool, fetch: Fetch, others: Iterable[IdxSet] = ()
) -> Path:
    """Get what is missing from the mirrors, checked; returns the folder.

    A file is written only when all of it is here and its hash is right. What is checked by the hash
    of its .gz file stays zipped. ConnectionError if no mirror gives it, OSError if it cannot be
    written: each says what to do.

    own    whether the folder is minigrad's own cache
    fetch  (file, folder) -> bytes, from a mirror
    """
    try:
        downloads.prepare(folder, [_written(file) for file in known.files.values()], own=own)
        needed = [file for file in known.files.values() if not _is_here(folder, file)]
        other = identify(folder, others) if needed else None
        if other is not None:
            raise FileExistsError(f"it has {other.title} under the same names")
        for file in needed:
            content = fetch(file, folder)
            with replacing(folder / _written(file)) as written:
                written.write(content)
    except downloads.NoMirror as error:
        raise ConnectionError(str(error)) from error
    except OSError as error:
        raise OSError(
            f"cannot write {known.title} to the folder {folder}: {cause(error)}. It needs "
            f"{known.space}. To use another folder: `minigrad data {known.name} --root FOLDER`, "
            "and let MINIGRAD_DATA name it too"
        ) from error
    return folder


def _written(file: IdxFile) -> str:
    return file.name if file.sha256 else f"{file.name}.gz"


def _is_here(folder: Path, file: IdxFile) -> bool:
    """Whether the folder has the file. Unzipped, it must be right. `load` checks a zipped one."""
    path = path_of(folder, file)
    if path is None or path.suffix == ".gz" or os.path.isfile(folder / f"{file.name}.gz"):
        return path is not None
    try:
        return not why_wrong(file, path, idx.read_bytes(path, prod(file.shape)))
    except (FileNotFoundError, ValueError):
        return False


def fetch(known: IdxSet, file: IdxFile, folder: Path) -> bytes:
    """The bytes to be written, from the first mirror that gives the right ones."""
    failures = []
    size = prod(file.shape)
    for mirror in known.mirrors:
        url = f"{mirror}{file.name}.gz"
        print(f"downloading {url}", file=sys.stderr)
        try:
            zipped = downloads.get(url, size).getvalue()
            content = idx.read_bytes(io.BytesIO(zipped), size)
        except (OSError, ValueError) as error:
            failures.append((url, downloads.why(error)))
            continue
        sent, digest = (content, file.sha256) if file.sha256 else (zipped, file.zipped_sha256)
        if hashlib.sha256(sent).hexdigest() == digest:
            return sent
        failures.append((url, f"another content than {known.title}'s (its SHA-256 differs)"))
    names = ", ".join(f"{f.name}.gz" for f in known.files.values())
    what = f"put {names} (or the same files unzipped) into {folder}"
    more = " `--data digits` needs no download." if known.own else ""
    raise downloads.NoMirror(downloads.by_hand(f"{file.name}.gz", failures, what, more))
