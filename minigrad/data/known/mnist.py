"""The four MNIST files: where to look for them, what they must contain, how to get them.

`ABOUT` says whose they are. Each file is checked by the SHA-256 of its *unzipped* content. The hash
of a .gz file would not do: it differs from mirror to mirror. `idx_sets` does the work, for
Fashion-MNIST too.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from minigrad.data.known import idx_fetching, idx_sets, mnist_like, places
from minigrad.data.known.about import About
from minigrad.data.known.idx_sets import DIGITS, IdxFile, IdxSet
from minigrad.data.known.places import cache_folder as cache_folder  # also found under this name

ABOUT = About(
    name="mnist",
    title="MNIST",
    what="70,000 handwritten digits, 28x28",
    download="11 MB",
    licence="CC BY-SA 3.0, as Keras' documentation says",
    source="Y. LeCun, C. Cortes, C. J. C. Burges: The MNIST database of handwritten digits, 1998",
    unpacked="55 MB",
)

MIRRORS: tuple[str, ...] = (
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
)

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


def known() -> IdxSet:
    """MNIST as one of the sets of IDX files."""
    subfolders = ("mnist", "MNIST", "MNIST/raw")
    return IdxSet(ABOUT, FILES, MIRRORS, DIGITS, subfolders, own=True)


def folders(root: str | Path | None = None) -> list[Path]:
    """Where MNIST is looked for: `root` alone if given, else MINIGRAD_DATA, data/, the cache.

    In each of them it may also be in a subfolder mnist, MNIST or MNIST/raw. ValueError if
    MINIGRAD_DATA names a file.
    """
    return places.folders(root)


def why_none(root: str | Path | None = None) -> str:
    """Why `find` found nothing: what the named folder lacks, or that none was named."""
    named = root if root is not None else os.environ.get("MINIGRAD_DATA")
    if not named:
        return "no MNIST on disk; `minigrad data mnist` downloads it"
    folder = Path(named)
    if not os.path.isdir(folder) and os.path.exists(folder):
        return f"{folder} is a file, not a folder; name the folder that has MNIST's files"
    is_folder = os.path.isdir(folder)
    what = f"lacks {idx_sets.lacks(known(), folder)}" if is_folder else "is no folder"
    return f"{folder} {what}; `minigrad data mnist --root {folder}` downloads MNIST there"


def find(root: str | Path | None = None) -> Path | None:
    """The first folder that has all four files, or None."""
    return idx_sets.find(known(), folders(root), mnist_like.SETS)


def load(folder: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, 28, 28) and labels (N,), uint8, of "train" or "test", checked to the last bit."""
    return idx_sets.load(known(), folder, split, mnist_like.SETS)


def download(root: str | Path | None = None) -> Path:
    """Get what is missing from the mirrors, unzipped and checked; returns the folder.

    A file is written only when all of it is here and its hash is right. ConnectionError if no
    mirror gives it, OSError if it cannot be written: each says what to do.
    """
    folder = places.for_downloads(root, ABOUT)
    return idx_fetching.download(known(), folder, root is None, mnist_like.SETS)
