"""The data sets that `load` and the command `minigrad data` know by name, and whose they are."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from minigrad.data import cifar, idx_sets, mnist, mnist_like


class About(NamedTuple):
    """What a data set is, where it is from, and under which terms."""

    title: str
    what: str
    download: str
    licence: str
    source: str


ABOUT = {
    "mnist": About(
        "MNIST",
        "70,000 handwritten digits, 28x28",
        "11 MB",
        "CC BY-SA 3.0, as Keras' documentation says",
        "Y. LeCun, C. Cortes, C. J. C. Burges: The MNIST database of handwritten digits, 1998",
    ),
    "fashion-mnist": About(
        "Fashion-MNIST",
        "70,000 pieces of clothing, 28x28, grey",
        "31 MB",
        "MIT",
        "H. Xiao, K. Rasul, R. Vollgraf, 2017, https://arxiv.org/abs/1708.07747",
    ),
    "kmnist": About(
        "KMNIST",
        "70,000 handwritten Japanese characters, 28x28",
        "22 MB",
        'CC BY-SA 4.0, "KMNIST Dataset" (created by CODH)',
        "T. Clanuwat et al., 2018, https://arxiv.org/abs/1812.01718",
    ),
    "cifar10": About(
        "CIFAR-10",
        "60,000 photographs, 32x32, in colour",
        "170 MB",
        "none is given; its report is to be cited",
        "A. Krizhevsky: Learning Multiple Layers of Features from Tiny Images, 2009",
    ),
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
