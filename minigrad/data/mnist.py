"""The four MNIST files: where to look for them, what they must contain, how to get them.

Each file is checked by the SHA-256 of its *unzipped* content. The hash of a .gz file would not do:
it differs from mirror to mirror.
"""

from __future__ import annotations

import hashlib
import os
import sys
from math import prod
from pathlib import Path
from typing import NamedTuple

import numpy as np

from minigrad import resources
from minigrad.data import downloads, idx
from minigrad.files import cause, replacing

SPACE = "55 MB"  # for the four files, unzipped

MIRRORS = (
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
)


class IdxFile(NamedTuple):
    """One of the four: its name without .gz, its shape, the SHA-256 of its unzipped content."""

    name: str
    shape: tuple[int, ...]
    sha256: str


FILES = {
    ("train", "images"): IdxFile(
        "train-images-idx3-ubyte",
        (60000, 28, 28),
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    ),
    ("train", "labels"): IdxFile(
        "train-labels-idx1-ubyte",
        (60000,),
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    ),
    ("test", "images"): IdxFile(
        "t10k-images-idx3-ubyte",
        (10000, 28, 28),
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    ),
    ("test", "labels"): IdxFile(
        "t10k-labels-idx1-ubyte",
        (10000,),
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
}


def folders(root: str | Path | None = None) -> list[Path]:
    """Where MNIST is looked for: `root` alone if given, else MINIGRAD_DATA, data/, the cache.

    ValueError if MINIGRAD_DATA names a file.
    """
    if root is not None:
        return [Path(root)]
    named = os.environ.get("MINIGRAD_DATA")
    if named and os.path.exists(named) and not os.path.isdir(named):
        raise ValueError(
            f"MINIGRAD_DATA names {named}, a file: let it name the folder that has MNIST's files"
        )
    places = [Path(named) if named else None, resources.folder("data"), cache_folder()]
    return [place for place in places if place is not None]


def cache_folder() -> Path | None:
    """The user's cache, where downloads land unless a root is given; None without a home folder.

    A user of a container may have neither HOME nor an entry in the list of users.
    """
    try:
        import pooch
    except ImportError:  # NumPy alone is installed: then nothing was downloaded either
        return None
    try:
        return Path(pooch.os_cache("minigrad")).expanduser()
    except RuntimeError:  # from platformdirs or from expanduser: there is no home folder
        return None


def why_none(root: str | Path | None = None) -> str:
    """Why `find` found nothing: what the named folder lacks, or that none was named."""
    named = root if root is not None else os.environ.get("MINIGRAD_DATA")
    if not named:
        return "no MNIST on disk; `minigrad data mnist` downloads it"
    folder = Path(named)
    lacks = ", ".join(f"{file.name}[.gz]" for file in FILES.values() if not _path(folder, file))
    if not os.path.isdir(folder) and os.path.exists(folder):
        return f"{folder} is a file, not a folder; name the folder that has MNIST's files"
    what = f"lacks {lacks}" if os.path.isdir(folder) else "is no folder"
    return f"{folder} {what}; `minigrad data mnist --root {folder}` downloads MNIST there"


def find(root: str | Path | None = None) -> Path | None:
    """The first folder that has all four files, or None."""
    for folder in folders(root):
        if all(_path(folder, file) for file in FILES.values()):
            return folder
    return None


def _path(folder: Path, file: IdxFile) -> Path | None:
    """The file in `folder`, gzipped or not, or None."""
    for name in (file.name, file.name + ".gz"):
        if os.path.isfile(folder / name):  # False also where the folder may not be read
            return folder / name
    return None


def load(folder: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, 28, 28) and labels (N,), uint8, of "train" or "test", checked to the last bit."""
    images, labels = (_read(folder, FILES[split, kind]) for kind in ("images", "labels"))
    if len(images) != len(labels):
        raise ValueError(f"{folder}: {len(images)} images but {len(labels)} labels in {split}")
    return images, labels


def _read(folder: Path, file: IdxFile) -> np.ndarray:
    path = _path(folder, file)
    if path is None:
        raise FileNotFoundError(f"{folder} has no {file.name}[.gz]")
    size = prod(file.shape)
    content = idx.read_bytes(path, size)
    array = idx.parse(content, len(file.shape), str(path), size)
    if array.shape != file.shape:
        raise ValueError(f"{path}: expected shape {file.shape}, got {array.shape}")
    if len(file.shape) == 1 and array.max() > 9:
        raise ValueError(f"{path}: label {array.max()} at {array.argmax()}: digits are 0 to 9")
    if hashlib.sha256(content).hexdigest() != file.sha256:
        raise ValueError(
            f"{path}: the content is not MNIST's (its SHA-256 differs): damaged or another data "
            f"set under MNIST's name. Delete the file and run `minigrad data mnist --root {folder}`"
        )
    return array


def download(root: str | Path | None = None) -> Path:
    """Get what is missing from the mirrors, unzipped and checked; returns the folder.

    A file is written only when all of it is here and its hash is right. ConnectionError if no
    mirror gives it, OSError if it cannot be written: each says what to do.
    """
    folder = Path(root) if root is not None else cache_folder()
    if folder is None:
        raise FileNotFoundError(
            "there is no home folder to keep MNIST in (HOME is not set): name a folder, as in "
            "`minigrad data mnist --root FOLDER`, and let MINIGRAD_DATA name it too"
        )
    try:
        downloads.prepare(folder, [file.name for file in FILES.values()], own=root is None)
        for file in FILES.values():
            if not _is_here(folder, file):
                content = _fetch(file, folder)
                with replacing(folder / file.name) as written:
                    written.write(content)
    except downloads.NoMirror as error:
        raise ConnectionError(str(error)) from error
    except OSError as error:
        raise OSError(
            f"cannot write MNIST to the folder {folder}: {cause(error)}. It needs {SPACE}. To use "
            "another folder: `minigrad data mnist --root FOLDER`, and let MINIGRAD_DATA name it too"
        ) from error
    return folder


def _is_here(folder: Path, file: IdxFile) -> bool:
    """Whether the folder has the file. Unzipped, it must be right. `load` checks a zipped one."""
    if os.path.isfile(folder / f"{file.name}.gz"):
        return True
    try:
        content = idx.read_bytes(folder / file.name, prod(file.shape))
    except (FileNotFoundError, ValueError):
        return False
    return hashlib.sha256(content).hexdigest() == file.sha256


def _fetch(file: IdxFile, folder: Path) -> bytes:
    """The unzipped content of the file from the first mirror that gives it."""
    failures = []
    for mirror in MIRRORS:
        url = f"{mirror}{file.name}.gz"
        print(f"downloading {url}", file=sys.stderr)
        try:
            content = idx.read_bytes(downloads.get(url, prod(file.shape)), prod(file.shape))
        except (OSError, ValueError) as error:
            failures.append((url, downloads.why(error)))
            continue
        if hashlib.sha256(content).hexdigest() == file.sha256:
            return content
        failures.append((url, "another content than MNIST's (its SHA-256 differs)"))
    raise downloads.NoMirror(by_hand(file, folder, failures))


def by_hand(file: IdxFile, folder: Path, failures: list[tuple[str, str]]) -> str:
    """What to do when no mirror gave the file."""
    names = ", ".join(f.name + ".gz" for f in FILES.values())
    silent = all(why in downloads.SILENT for _, why in failures)
    reached = "no mirror could be reached. Is there a network?" if silent else "no mirror gave it."
    return "\n".join(
        [
            f"could not download {file.name}.gz: {reached}",
            *(f"  {url}: {why}" for url, why in failures),
            f"Without a network: put {names} (or the same files unzipped) into {folder}, or into "
            "any folder that MINIGRAD_DATA names. `--data digits` needs no download.",
        ]
    )
