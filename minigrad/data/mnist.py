"""The four MNIST files: where to look for them, what they must contain, how to get them.

Each file is checked by the SHA-256 of its *unzipped* content. The hash of a .gz file would not do:
it differs from mirror to mirror.
"""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from minigrad import resources
from minigrad.data import idx

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
    """Where MNIST is looked for: `root` alone if given, else MINIGRAD_DATA, data/, the cache."""
    if root is not None:
        return [Path(root)]
    named = os.environ.get("MINIGRAD_DATA")
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
    what = f"lacks {lacks}" if folder.is_dir() else "is no folder"
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
        if (folder / name).is_file():
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
    size = int(np.prod(file.shape))
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

    No partial file is left behind: a file gets its name only when its hash is right.
    """
    import pooch

    folder = Path(root) if root is not None else cache_folder()
    if folder is None:
        raise FileNotFoundError(
            "there is no home folder to keep MNIST in (HOME is not set): name a folder, as in "
            "`minigrad data mnist --root FOLDER`, and let MINIGRAD_DATA name it too"
        )
    for file in FILES.values():
        if (folder / f"{file.name}.gz").is_file():
            continue  # put there by hand; `load` checks it. An unzipped one is checked by pooch
        failures = []
        for mirror in MIRRORS:
            try:
                pooch.retrieve(
                    mirror + file.name + ".gz",
                    known_hash=f"sha256:{file.sha256}",
                    fname=file.name,
                    path=folder,
                    downloader=_Unzipping(int(np.prod(file.shape))),
                )
                break
            except (OSError, ValueError) as error:  # no network, HTTP error, cut short, bad hash
                failures.append(f"  {mirror}{file.name}.gz: {error}")
        else:
            raise ConnectionError(by_hand(file, folder, failures))
    return folder


def by_hand(file: IdxFile, folder: Path, failures: list[str]) -> str:
    """What to do when no mirror gave the file."""
    names = ", ".join(f.name + ".gz" for f in FILES.values())
    return "\n".join(
        [
            f"could not download {file.name}.gz:",
            *failures,
            f"Without a network: put {names} (or the same files unzipped) into {folder}, or into "
            "any folder that MINIGRAD_DATA names. `--data digits` needs no download.",
        ]
    )


class _Unzipping:
    """A pooch downloader that stores the unzipped content. pooch then checks the hash of that."""

    def __init__(self, size: int):
        self.size = size

    def __call__(self, url: str, output_file: str, _: Any, check_only: bool = False) -> None:
        import pooch

        zipped = Path(f"{output_file}.gz")
        get = pooch.HTTPDownloader(progressbar=sys.stderr.isatty(), timeout=30)
        try:
            get(url, str(zipped), None)
            Path(output_file).write_bytes(idx.read_bytes(zipped, self.size))
        finally:
            zipped.unlink(missing_ok=True)
