"""Fashion-MNIST and KMNIST: pictures of 28x28 in ten classes, in files that are named as MNIST's.

Each set's `about` says whose it is. The SHA-256 of their .gz files are public: here they are from
TensorFlow Datasets' table of checksums. Those of the unzipped files are not. `idx_sets` says what
is checked then.
"""

from __future__ import annotations

from pathlib import Path

from minigrad.data.known import idx_fetching, idx_sets, places
from minigrad.data.known.about import About
from minigrad.data.known.idx_sets import IdxFile, IdxSet

FASHION = IdxSet(
    about=About(
        name="fashion-mnist",
        title="Fashion-MNIST",
        what="70,000 pieces of clothing, 28x28, grey",
        download="31 MB",
        licence="MIT",
        source="H. Xiao, K. Rasul, R. Vollgraf, 2017, https://arxiv.org/abs/1708.07747",
    ),
    files={
        ("train", "images"): IdxFile(
            "train-images-idx3-ubyte",
            (60000, 28, 28),
            zipped_sha256="3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        ),
        ("train", "labels"): IdxFile(
            "train-labels-idx1-ubyte",
            (60000,),
            zipped_sha256="a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
            first=(9, 0, 0, 3, 0, 2, 7, 2, 5, 5, 0, 9, 5, 5, 7, 9, 1, 0, 6, 4),
        ),
        ("test", "images"): IdxFile(
            "t10k-images-idx3-ubyte",
            (10000, 28, 28),
            zipped_sha256="346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        ),
        ("test", "labels"): IdxFile(
            "t10k-labels-idx1-ubyte",
            (10000,),
            zipped_sha256="67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
            first=(9, 2, 1, 1, 6, 1, 4, 6, 5, 7, 4, 5, 7, 3, 4, 1, 2, 4, 8, 0),
        ),
    },
    mirrors=(
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    ),
    names=(
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ),
    subfolders=("fashion-mnist", "fashion_mnist", "FashionMNIST", "FashionMNIST/raw"),
    own=False,
)

KMNIST = IdxSet(
    about=About(
        name="kmnist",
        title="KMNIST",
        what="70,000 handwritten Japanese characters, 28x28",
        download="22 MB",
        licence='CC BY-SA 4.0, "KMNIST Dataset" (created by CODH)',
        source="T. Clanuwat et al., 2018, https://arxiv.org/abs/1812.01718",
    ),
    files={
        ("train", "images"): IdxFile(
            "train-images-idx3-ubyte",
            (60000, 28, 28),
            zipped_sha256="51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4",
        ),
        ("train", "labels"): IdxFile(
            "train-labels-idx1-ubyte",
            (60000,),
            zipped_sha256="e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17",
        ),
        ("test", "images"): IdxFile(
            "t10k-images-idx3-ubyte",
            (10000, 28, 28),
            zipped_sha256="edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5",
        ),
        ("test", "labels"): IdxFile(
            "t10k-labels-idx1-ubyte",
            (10000,),
            zipped_sha256="20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c",
        ),
    },
    mirrors=(
        "https://codh.rois.ac.jp/kmnist/dataset/kmnist/",
        "http://codh.rois.ac.jp/kmnist/dataset/kmnist/",
    ),
    names=("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
    subfolders=("kmnist", "KMNIST", "KMNIST/raw"),
    own=False,
)

SETS: tuple[IdxSet, ...] = (FASHION, KMNIST)


def download(known: IdxSet, root: str | Path | None = None) -> Path:
    """Get what is missing into a subfolder of `root` (or of the cache); returns that subfolder.

    A root that has the set's name, fashion-mnist, is that folder itself. ConnectionError if no
    mirror gives it, OSError if it cannot be written.
    """
    folder = places.for_downloads(root, known.about)
    if not idx_sets.is_named(folder, known):
        folder = folder / known.subfolders[0]
    return idx_fetching.download(known, folder, own=False)
