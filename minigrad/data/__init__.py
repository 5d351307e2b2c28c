"""Data sets: MNIST where it is on disk, the embedded digits where it is not."""

from minigrad.data import augment, idx, mnist
from minigrad.data.dataset import Dataset
from minigrad.data.loading import NAMES, load, load_digits, redraw_labels

__all__ = ["NAMES", "Dataset", "augment", "idx", "load", "load_digits", "mnist", "redraw_labels"]
