"""Data sets of four IDX files, as MNIST: getting them from mirrors, each checked by its hash."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterable
from math import prod
from pathlib import Path

from minigrad.data.known import downloads, idx
from minigrad.data.known.idx_sets import IdxFile, IdxSet, identify, path_of, why_wrong
from minigrad.files import replacing


def download(known: IdxSet, folder: Path, own: bool, others: Iterable[IdxSet] = ()) -> Path:
    """Get what is missing from the mirrors, checked; returns the folder.

    A file is written only when all of it is here and its hash is right. What is checked by the hash
    of its .gz file stays zipped. ConnectionError if no mirror gives it, OSError if it cannot be
    written: each says what to do.

    own     whether the folder is minigrad's own cache
    others  sets whose files have the same names: none of them is written over
    """
    with downloads.reported(known.about, folder):
        downloads.prepare(folder, [_written(file) for file in known.files.values()], own=own)
        needed = [file for file in known.files.values() if not _is_here(folder, file)]
        other = identify(folder, others) if needed else None
        if other is not None:
            raise FileExistsError(f"it has {other.title} under the same names")
        for file in needed:
            content = fetch(known, file, folder)
            with replacing(folder / _written(file)) as written:
                written.write(content)
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
    size = prod(file.shape)

    def checked(zipped: bytes) -> bytes:
        content = idx.read_bytes(io.BytesIO(zipped), size)
        kept, digest = (content, file.sha256) if file.sha256 else (zipped, file.zipped_sha256)
        if hashlib.sha256(kept).hexdigest() != digest:
            raise ValueError(f"another content than {known.title}'s (its SHA-256 differs)")
        return kept

    names = ", ".join(f"{f.name}.gz" for f in known.files.values())
    by_hand = (
        f"put {names} (or the same files unzipped) into {folder}, or into any folder that "
        "MINIGRAD_DATA names."
    )
    if known.own:
        by_hand += " `--data digits` needs no download."
    return downloads.from_mirrors(known.mirrors, f"{file.name}.gz", size, checked, by_hand)
