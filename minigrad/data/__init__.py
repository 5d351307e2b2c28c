"""Data sets: known ones by name, and your own from arrays, tables and pictures; augmentation."""

from minigrad.data import augment
from minigrad.data.csv.table import from_csv
from minigrad.data.dataset import Dataset
from minigrad.data.images.centring import like_mnist
from minigrad.data.images.folders import from_folder
from minigrad.data.images.pictures import read_image
from minigrad.data.known import idx, mnist
from minigrad.data.loading import NAMES, load, load_digits, redraw_labels
from minigrad.data.npz import from_npz, save_npz
from minigrad.data.planes import circles, moons, spirals, xor
from minigrad.data.scaling import standardize

__all__ = [
    "NAMES",
    "Dataset",
    "augment",
    "circles",
    "from_csv",
    "from_folder",
    "from_npz",
    "idx",
    "like_mnist",
    "load",
    "load_digits",
    "mnist",
    "moons",
    "read_image",
    "redraw_labels",
    "save_npz",
    "spirals",
    "standardize",
    "xor",
]
