"""Data sets of four IDX files, as MNIST: finding them and checking them.

A file is checked by the SHA-256 of its *unzipped* content where that is known. It does not change
with the program that zipped the file. Of some sets only the hashes of the .gz files are public. A
.gz file with that hash is right. In any other file the shape and the labels are checked: how many
there are of each, and the first ones where they are known.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import NamedTuple

import numpy as np

from minigrad.data.known import idx
from minigrad.data.known.about import About

DIGITS = tuple("0123456789")


class IdxFile(NamedTuple):
    """One of the four files.

    name           without .gz
    shape          of the array in it
    sha256         of the unzipped content; "": not known
    zipped_sha256  of the .gz file as its authors give it out; "": not known
    first          the first labels, where they are known
    """

    name: str
    shape: tuple[int, ...]
    sha256: str = ""
    zipped_sha256: str = ""
    first: tuple[int, ...] = ()


Files = Mapping[tuple[str, str], IdxFile]


@dataclass(frozen=True)
class IdxSet:
    """A data set of four IDX files.

    about       it in words
    files       {("train" or "test", "images" or "labels"): IdxFile}
    mirrors     addresses that the names of the .gz files are put behind
    names       of the classes
    subfolders  where the files may be, below a folder that is searched
    own         whether files in that folder itself are taken for this set's: only MNIST's are
    """

    about: About
    files: Files
    mirrors: tuple[str, ...]
    names: tuple[str, ...]
    subfolders: tuple[str, ...]
    own: bool

    @property
    def name(self) -> str:
        return self.about.name

    @property
    def title(self) -> str:
        return self.about.title


# ------------------------------------------------------------------ looking for them


def path_of(folder: Path, file: IdxFile) -> Path | None:
    """The file in `folder`, gzipped or not, also as train-images.idx3-ubyte; or None.

    What can be checked by its hash comes first.
    """
    endings = ("", ".gz") if file.sha256 else (".gz", "")
    for name in (file.name, file.name.replace("-idx", ".idx")):
        for ending in endings:
            if os.path.isfile(folder / (name + ending)):  # False also where it may not be read
                return folder / (name + ending)
    return None


def find(known: IdxSet, places: Iterable[Path], others: Iterable[IdxSet]) -> Path | None:
    """The first folder that has all four files and not another set's, or None.

    If there is none, a folder with the right names is given: `load` then says what is wrong.
    """
    others = tuple(others)
    second = None
    for place in places:
        below = [(place / name, True) for name in known.subfolders]
        here = (place, known.own or is_named(place, known))
        for folder, own in [here, *below] if known.own else [*below, here]:
            if not all(path_of(folder, file) for file in known.files.values()):
                continue
            if (own and identify(folder, others) is None) or identify(folder, [known]):
                return folder
            if own and second is None:
                second = folder
    return second


def is_named(place: Path, known: IdxSet) -> bool:
    """Whether a folder has this set's name: root="downloads/fashion-mnist"."""
    whole = f"/{place.absolute().as_posix()}"
    return any(whole.endswith(f"/{name}") for name in known.subfolders)


def identify(folder: Path, sets: Iterable[IdxSet]) -> IdxSet | None:
    """The set that the test labels in this folder are surely of. None: nobody knows."""
    for known in sets:
        file = known.files["test", "labels"]
        path = path_of(folder, file)
        try:
            if path is not None and _is_surely(file, path, idx.read_bytes(path, prod(file.shape))):
                return known
        except (OSError, ValueError):
            continue
    return None


def lacks(known: IdxSet, folder: Path) -> str:
    """The names of the files that a folder lacks."""
    missing = (file for file in known.files.values() if not path_of(folder, file))
    return ", ".join(f"{file.name}[.gz]" for file in missing)


# ------------------------------------------------------------------ reading them


def load(
    known: IdxSet, folder: Path, split: str, others: Iterable[IdxSet] = ()
) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, 28, 28) and labels (N,), uint8, of "train" or "test". ValueError if wrong.

    others: sets whose files have the same names. The error says if it is one of these.
    """
    if not all(file.sha256 for file in known.files.values()):
        _check_no_other(known, folder, others)  # no hash would tell
    images, labels = (
        _read(known, folder, known.files[split, kind], others) for kind in ("images", "labels")
    )
    if len(images) != len(labels):
        raise ValueError(f"{folder}: {len(images)} images but {len(labels)} labels in {split}")
    return images, labels


def _read(known: IdxSet, folder: Path, file: IdxFile, others: Iterable[IdxSet]) -> np.ndarray:
    path = path_of(folder, file)
    if path is None:
        raise FileNotFoundError(f"{folder} has no {file.name}[.gz]")
    size = prod(file.shape)
    content = idx.read_bytes(path, size)
    array = idx.parse(content, len(file.shape), str(path), size)
    if array.shape != file.shape:
        raise ValueError(f"{path}: expected shape {file.shape}, got {array.shape}")
    if len(file.shape) == 1 and array.max() > 9:
        what = "digits" if known.names == DIGITS else "labels"
        raise ValueError(f"{path}: label {array.max()} at {array.argmax()}: {what} are 0 to 9")
    why = why_wrong(file, path, content)
    if why:
        _check_no_other(known, folder, others)
        raise ValueError(
            f"{path}: the content is not {known.title}'s ({why}). It is damaged, or another data "
            f"set under the same name. Move it to another folder if you need it. Without it, "
            f"`minigrad data {known.name} --root {folder}` gets {known.title}'s"
        )
    return array


def _check_no_other(known: IdxSet, folder: Path, others: Iterable[IdxSet]) -> None:
    """ValueError that says what the files are, if they are surely another set's."""
    other = identify(folder, others)
    if other is not None:
        raise ValueError(
            f"{folder}: this is {other.title}, under the names of {known.title}'s files: "
            f"mg.data.load({other.name!r}, root={str(folder)!r}) loads it"
        )


def why_wrong(file: IdxFile, path: Path | None, content: bytes) -> str:
    """Why this is not the file's content; "" if it is, as far as anybody can tell.

    path: of the file that it was read from, if any
    """
    if file.sha256:
        right = hashlib.sha256(content).hexdigest() == file.sha256
        return "" if right else "its SHA-256 differs"
    if _zipped_right(file, path) or len(file.shape) != 1:
        return ""
    labels = np.frombuffer(content, np.uint8, offset=8)
    counts = np.bincount(labels, minlength=10)
    if counts.min() != counts.max():
        return f"it must have {len(labels) // 10:,} labels of each class"
    first = tuple(labels[: len(file.first)].tolist())
    return "" if first == file.first else f"its first labels are not {file.first}"


def _zipped_right(file: IdxFile, path: Path | None) -> bool:
    """Whether it is the .gz file that the authors give out."""
    if not file.zipped_sha256 or path is None or not str(path).endswith(".gz"):
        return False
    return hashlib.sha256(path.read_bytes()).hexdigest() == file.zipped_sha256


def _is_surely(file: IdxFile, path: Path, content: bytes) -> bool:
    """Whether this is the file, by a hash or by its first labels."""
    if file.sha256 or file.first:
        return not why_wrong(file, path, content)
    return _zipped_right(file, path)


def is_checked(known: IdxSet, folder: Path) -> bool:
    """Whether all four files are checked to the last bit: a hash of each is known, and is right."""
    paths = {file: path_of(folder, file) for file in known.files.values()}
    return all(file.sha256 or _zipped_right(file, path) for file, path in paths.items())
