"""The data sets that `load` and the command `minigrad data` know by name, and whose they are."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from minigrad.data.known import cifar, idx_sets, mnist, mnist_like
from minigrad.data.known.about import About

ABOUT: dict[str, About] = {
    about.name: about
    for about in (mnist.ABOUT, *(known.about for known in mnist_like.SETS), cifar.ABOUT)
}


class Found(NamedTuple):
    """The arrays of one data set, and where they were read.

    parts    {"train": (images (N, C, H, W), labels (N,)), "test": ...}, uint8
    names    of the classes
    checked  whether every bit was compared with a published hash
    """

    parts: dict[str, tuple[np.ndarray, np.ndarray]]
    names: tuple[str, ...]
    where: Path
    checked: bool


def read(name: str, root: str | Path | None = None, anew: bool = False) -> Found:
    """The data set, downloaded if it is not on disk. ValueError if a file is not as it must be.

    anew: at `root` missing files are downloaded, whatever is in other folders
    """
    if name == "cifar10":
        path = cifar.find(root) or cifar.download(root)
        return Found(cifar.load(path), cifar.NAMES, path, True)
    if name == "mnist":
        known = mnist.known()
        folder = mnist.find(root) if not anew else None
        folder = folder or mnist.download(root)
        parts = {split: mnist.load(folder, split) for split in ("train", "test")}
        checked = True
    else:
        known = next(known for known in mnist_like.SETS if known.name == name)
        others = [mnist.known(), *(other for other in mnist_like.SETS if other is not known)]
        folder = idx_sets.find(known, mnist.folders(root), others)
        folder = folder or mnist_like.download(known, root)
        parts = {split: idx_sets.load(known, folder, split, others) for split in ("train", "test")}
        checked = idx_sets.is_checked(known, folder)
    one_channel = {split: (images[:, None], labels) for split, (images, labels) in parts.items()}
    return Found(one_channel, known.names, folder, checked)
