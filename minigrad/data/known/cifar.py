"""CIFAR-10: 60,000 small colour photographs in ten classes, from the files of its binary version.

`ABOUT` says whose they are. Each of six files has 10,000 records of 3,073 bytes: the label,
then 1,024 bytes of red, of green and of blue, row by row.

The files of the Python version are pickles. Loading a pickle may run code, so they are not read.
The archive is checked by its SHA-256 when it is downloaded, a file in it by its MD5 whenever it is
read. (Of the single files only MD5 sums are public.)
"""

from __future__ import annotations

import hashlib
import os
import sys
import tarfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from minigrad.data.known import downloads, places
from minigrad.data.known.about import About
from minigrad.files import replacing

ABOUT = About(
    name="cifar10",
    title="CIFAR-10",
    what="60,000 photographs, 32x32, in colour",
    download="170 MB",
    licence="none is given; its report is to be cited",
    source="A. Krizhevsky: Learning Multiple Layers of Features from Tiny Images, 2009",
)
ARCHIVE = "cifar-10-binary.tar.gz"
ARCHIVE_BYTES = 170_052_171
ARCHIVE_SHA256 = "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"
MIRRORS: tuple[str, ...] = (
    "https://www.cs.toronto.edu/~kriz/",
    "https://mindspore-website.obs.cn-north-4.myhuaweicloud.com/notebook/datasets/",
)
NAMES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)
SUBFOLDERS = ("cifar10", "cifar-10", "CIFAR10", "cifar10/cifar-10-batches-bin")
FOLDER = "cifar-10-batches-bin"  # in the archive
PICKLES = ("cifar-10-batches-py", "cifar-10-python.tar.gz")
PIXELS = 3 * 32 * 32


class Batch(NamedTuple):
    """One of the six files: its name, how many records it has, its MD5."""

    name: str
    records: int
    md5: str


BATCHES: dict[str, tuple[Batch, ...]] = {
    "train": (
        Batch("data_batch_1.bin", 10000, "5dd7e06a14cb22eb9f671a540d1b7c25"),
        Batch("data_batch_2.bin", 10000, "5ea93a67294ea407fff1d09f752e9692"),
        Batch("data_batch_3.bin", 10000, "942cd6a4bcdd0dd3c604fbe906cb4421"),
        Batch("data_batch_4.bin", 10000, "ae636b3ba5c66a11e91e8cb52e771fcb"),
        Batch("data_batch_5.bin", 10000, "53f37980c15c3d472c316c40844f3f0d"),
    ),
    "test": (Batch("test_batch.bin", 10000, "803d5f7f4d78ea53de84dbe85f74fb6d"),),
}


def find(root: str | Path | None = None) -> Path | None:
    """The folder of the six files, or their archive; None where neither is."""
    names = [batch.name for batches in BATCHES.values() for batch in batches]
    for folder in _folders(root):
        if all(os.path.isfile(folder / name) for name in names):
            return folder
        if os.path.isfile(folder / ARCHIVE):
            return folder / ARCHIVE
    return None


def pickles(root: str | Path | None = None) -> Path | None:
    """Where the Python version is, which is not read; None where it is not."""
    found = (folder / name for folder in _folders(root) for name in PICKLES)
    return next((path for path in found if os.path.exists(path)), None)


def _folders(root: str | Path | None) -> list[Path]:
    below = ("", FOLDER, *SUBFOLDERS)
    return [place / name for place in places.folders(root) for name in below]


def load(path: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """{"train": (images (N, 3, 32, 32), labels (N,)), "test": ...}, uint8, checked to the last bit.

    path: the folder or the archive, from `find`. ValueError if a file is not as it must be.
    """
    if not str(path).endswith(".tar.gz"):
        return _read(lambda batch: (path / batch.name).read_bytes(), str(path))
    try:
        with tarfile.open(path, "r:gz") as archive:
            return _read(lambda batch: _member(archive, batch), str(path))
    except (tarfile.TarError, EOFError, OSError) as error:
        raise ValueError(
            f"{path}: a damaged archive ({error}). Move it to another folder, then `minigrad data "
            "cifar10` gets it anew"
        ) from error


def _member(archive: tarfile.TarFile, batch: Batch) -> bytes:
    """One file of the archive. Nothing is unpacked to the disk."""
    name = f"{FOLDER}/{batch.name}"
    try:
        member = archive.getmember(name)
        file = archive.extractfile(member)
    except KeyError:
        file = None
    if file is None:
        raise tarfile.ReadError(f"it has no file {name}")
    return file.read(batch.records * (1 + PIXELS) + 1)  # one byte more, to see that it is too long


def _read(read: Callable[[Batch], bytes], where: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    return {split: _joined(batches, read, where) for split, batches in BATCHES.items()}


def _joined(
    batches: Iterable[Batch], read: Callable[[Batch], bytes], where: str
) -> tuple[np.ndarray, np.ndarray]:
    """(images, labels) of some files."""
    images = []
    labels = []
    for batch in batches:
        content = read(batch)
        expected = batch.records * (1 + PIXELS)
        if len(content) != expected:
            got = f"more than {expected:,}" if len(content) > expected else f"{len(content):,}"
            raise ValueError(
                f"{where}, {batch.name}: expected {expected:,} bytes, {batch.records:,} records of "
                f"{1 + PIXELS:,}, got {got}: not CIFAR-10's binary version, or damaged"
            )
        if hashlib.md5(content, usedforsecurity=False).hexdigest() != batch.md5:
            raise ValueError(
                f"{where}, {batch.name}: the content is not CIFAR-10's (its MD5 differs): damaged, "
                "or another data set under the same name"
            )
        records = np.frombuffer(content, np.uint8).reshape(batch.records, 1 + PIXELS)
        labels.append(records[:, 0])
        images.append(records[:, 1:])
    return np.concatenate(images).reshape(-1, 3, 32, 32), np.concatenate(labels)


def download(root: str | Path | None = None) -> Path:
    """Get the archive into the subfolder cifar10 of `root` (or of the cache); returns its path.

    A root that is called cifar10 is that folder itself. ConnectionError if no mirror gives it,
    OSError if it cannot be written.
    """
    folder = places.for_downloads(root, ABOUT)
    if folder.absolute().name not in SUBFOLDERS:
        folder = folder / SUBFOLDERS[0]
    unread = pickles(root)
    if unread is not None:
        print(f"{unread} is the version in pickles, which may run code: not read", file=sys.stderr)
    with downloads.reported(ABOUT, folder):
        downloads.prepare(folder, [ARCHIVE], own=False)
        content = _fetch(folder)
        with replacing(folder / ARCHIVE) as file:
            file.write(content)
    return folder / ARCHIVE


def _fetch(folder: Path) -> bytes:
    """The archive from the first mirror that gives the right one."""

    def checked(content: bytes) -> bytes:
        if hashlib.sha256(content).hexdigest() != ARCHIVE_SHA256:
            raise ValueError("another content than CIFAR-10's (its SHA-256 differs)")
        return content

    by_hand = (
        f"put {ARCHIVE}, the binary version, or the files in it, into {folder}, or into any folder "
        "that MINIGRAD_DATA names."
    )
    return downloads.from_mirrors(MIRRORS, ARCHIVE, ARCHIVE_BYTES, checked, by_hand)
