"""The data sets by name. "auto": MNIST where it is on disk, the embedded digits where it is not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from minigrad import backend, resources
from minigrad.data.dataset import Dataset
from minigrad.data.known import mnist, reading
from minigrad.data.known.idx_sets import DIGITS

NAMES = ("auto", "digits", *reading.ABOUT)
SPELLINGS = {
    "fashion_mnist": "fashion-mnist",
    "fashionmnist": "fashion-mnist",
    "cifar-10": "cifar10",
}


def load(
    name: str = "auto",
    root: str | Path | None = None,
    normalize: tuple[float, float] | None = None,
    label_noise: float = 0.0,
    seed: int = 0,
) -> tuple[Dataset, Dataset]:
    """(train, test): images x (N, C, H, W) float32 in [0, 1], labels y (N,) int64, and their names.

    name         "digits" (embedded), "mnist", "fashion-mnist", "kmnist" or "cifar10" (downloaded
                 when they are not on disk), or "auto": MNIST if it is on disk, else the digits.
                 `train.source` says which. `minigrad data --help` says whose they are.
    root         the one folder to look in; None: MINIGRAD_DATA, data/, the user's cache. Each set
                 may be in a subfolder of its own: data/fashion-mnist.
    normalize    (mean, std): the images are then (x - mean) / std
    label_noise  the fraction of labels that are redrawn uniformly, in both sets. A tenth of the
                 redrawn ones stays right by chance.
    seed         of the redrawn labels

    C, H, W are 1, 28, 28, and for CIFAR-10 3, 32, 32. All have 10 classes.
    """
    given = name
    name = SPELLINGS.get(str(name).lower(), str(name).lower())
    if name not in NAMES:
        raise ValueError(f"unknown data set {given!r}: choose one of {', '.join(NAMES)}")
    if not 0 <= label_noise <= 1:
        raise ValueError(f"label_noise is a fraction: expected 0 to 1, got {label_noise}")
    if name == "digits" or (name == "auto" and mnist.find(root) is None):
        train, test = load_digits()
        if name == "auto":
            why = mnist.why_none(root)
            train = replace(train, source=f"{train.source} ({why})")
            test = replace(test, source=f"{test.source} ({why})")
    else:
        train, test = _known("mnist" if name == "auto" else name, root)
    if normalize is not None:
        train = _normalized(train, normalize)
        test = _normalized(test, normalize)
    rng = np.random.default_rng(seed)
    train = redraw_labels(train, label_noise, rng)
    test = redraw_labels(test, label_noise, rng)
    return train, test


def _known(name: str, root: str | Path | None) -> tuple[Dataset, Dataset]:
    """(train, test) of a set that is read from files."""
    found = reading.read(name, root)
    title = reading.ABOUT[name].title
    train, test = (
        _dataset(*found.parts[split], f"{title}, {split}, from {found.where}", found.names)
        for split in ("train", "test")
    )
    return train, test


def _normalized(dataset: Dataset, normalize: tuple[float, float]) -> Dataset:
    """(x - mean) / std, in float32."""
    mean, std = normalize
    if not std > 0:
        raise ValueError(f"normalize=(mean, std) needs std > 0, got {normalize}")
    return replace(dataset, x=(dataset.x - np.float32(mean)) / np.float32(std))


def _dataset(
    images: np.ndarray, labels: np.ndarray, source: str, names: tuple[str, ...]
) -> Dataset:
    """Images (N, C, H, W) of bytes as float32 in [0, 1]."""
    x = images.astype(np.float32)
    x /= 255
    return Dataset(x, labels.astype(np.int64), source=source, names=names)


def load_digits() -> tuple[Dataset, Dataset]:
    """The 1,797 embedded 8x8 digits as 28x28 images: each pixel 3x3, centred. 1,437 and 360."""
    with np.load(resources.find("data", "digits.npz"), allow_pickle=False) as file:
        images, labels = file["images"], file["labels"]
    x = np.zeros((len(images), 1, 28, 28), np.float32)
    x[:, 0, 2:26, 2:26] = images.repeat(3, axis=1).repeat(3, axis=2) / np.float32(16)
    # The file is ordered by writer; a fixed draw puts every writer into both parts.
    order = np.random.default_rng(0).permutation(len(x))
    parts = {"train": np.sort(order[360:]), "test": np.sort(order[:360])}
    train, test = (
        Dataset(
            x[rows],
            labels[rows].astype(np.int64),
            source=f"the embedded digits, {split}",
            names=DIGITS,
        )
        for split, rows in parts.items()
    )
    return train, test


def redraw_labels(dataset: Dataset, fraction: float, rng: np.random.Generator) -> Dataset:
    """Draw `fraction` of the labels anew, uniformly over the classes; clean_y keeps the old ones.

    With 10 classes a tenth of the redrawn labels is right by chance: 10 % noise is 9 % wrong.
    Labels that do not count (`ignore_index`) stay as they are.
    ValueError for a data set of values, which has no classes.
    Source: WTB repository, noisy data set.  Taught in: 08_well_tempered.
    """
    if dataset.classes is None:
        raise ValueError(
            f"redraw_labels is for labels, and y is {dataset.y.dtype}, values: add noise to them, "
            "dataclasses.replace(dataset, y=y + noise)"
        )
    n = round(fraction * len(dataset))
    if n == 0:
        return dataset
    y = backend.to_host(dataset.y).copy()
    rows = rng.permutation(len(y))[:n]
    drawn = rng.integers(0, dataset.classes, (n, *y.shape[1:]))
    if dataset.ignore_index is not None:
        drawn = np.where(y[rows] == dataset.ignore_index, y[rows], drawn)
    y[rows] = drawn
    return replace(dataset, y=backend.to_device(y, like=dataset.y))
